#include "stub/threads.h"
#include "stub_run.h"

#include <string.h>

static void expect(const char *text, int64_t process, int64_t thread)
{
    struct thread_id id;
    const char *at = text;
    ck_assert_msg(thread_parse(&id, &at, text + strlen(text)), "%s", text);
    ck_assert_msg(*at == '\0', "%s", text);
    ck_assert_int_eq(id.process, process);
    ck_assert_int_eq(id.thread, thread);
}

START_TEST(every_form)
{
    expect("1", THREAD_ANY, 1);
    expect("01", THREAD_ANY, 1);
    expect("0001", THREAD_ANY, 1);
    expect("0000000000000000000000001", THREAD_ANY, 1);
    expect("0", THREAD_ANY, THREAD_ANY);
    expect("00", THREAD_ANY, THREAD_ANY);
    expect("-1", THREAD_ANY, THREAD_ALL);
    expect("1f", THREAD_ANY, 0x1f);
    expect("1F", THREAD_ANY, 0x1f);
    expect("p1.1", 1, 1);
    expect("p01.02", 1, 2);
    expect("p1.-1", 1, THREAD_ALL);
    expect("p-1.-1", THREAD_ALL, THREAD_ALL);
    expect("p1", 1, THREAD_ALL);
    expect("p0.0", THREAD_ANY, THREAD_ANY);
    expect("p7c33.7c34", 0x7c33, 0x7c34);
}
END_TEST

START_TEST(no_ids)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "-",
                                        "-2",
                                        "p",
                                        "p.",
                                        "p1.",
                                        "p.1",
                                        "p1.x",
                                        "px.1",
                                        " 1",
                                        "ffffffffffffffff",
                                        "10000000000000000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct thread_id id;
        const char *at = texts[i];
        ck_assert_msg(!thread_parse(&id, &at, at + strlen(at)), "%s", texts[i]);
        ck_assert_ptr_eq(at, texts[i]);
    }
}
END_TEST

START_TEST(stops_at_the_end)
{
    struct thread_id id;
    const char *text = "p1.25;c", *at = text;
    ck_assert(thread_parse(&id, &at, text + 4)); /* "p1.2" */
    ck_assert_int_eq(id.thread, 2);
    ck_assert_ptr_eq(at, text + 4);
    at = text;
    ck_assert(thread_parse(&id, &at, text + strlen(text)));
    ck_assert_int_eq(id.thread, 0x25);
    ck_assert_str_eq(at, ";c");
}
END_TEST

START_TEST(writes_them)
{
    char text[THREAD_TEXT_SIZE];
    ck_assert_str_eq(thread_format(text, true, 1, 2), "p1.2");
    ck_assert_str_eq(thread_format(text, false, 1, 0x2a), "2a");
    ck_assert_str_eq(thread_format(text, true, THREAD_ALL, THREAD_ALL), "p-1.-1");
    ck_assert_str_eq(thread_format(text, true, INT64_MAX, INT64_MAX),
                     "p7fffffffffffffff.7fffffffffffffff");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("threads");
    tcase_add_test(tcase, every_form);
    tcase_add_test(tcase, no_ids);
    tcase_add_test(tcase, stops_at_the_end);
    tcase_add_test(tcase, writes_them);
    return stub_run(tcase, "stub threads");
}
