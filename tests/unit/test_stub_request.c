#include "stub/request.h"
#include "stub_run.h"

#include <string.h>

/* Each request is put in memory of exactly its size, so that a look beyond its end is found. */
static struct request make(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return (struct request){copy, length};
}

static void done(struct request *request)
{
    free((char *)request->text);
}

#define EACH(texts)                                                                                \
    for (const char *const *each = texts; each < texts + sizeof(texts) / sizeof *(texts); each++)

START_TEST(ranges)
{
    uint64_t address, length;
    struct request request = make("mffffffff81000000,4", 19);
    ck_assert(request_range(&request, 1, &address, &length));
    ck_assert_uint_eq(address, 0xffffffff81000000);
    ck_assert_uint_eq(length, 4);
    done(&request);
    static const char *const bad[] = {"m",
                                      "m,",
                                      "m1",
                                      "m1,",
                                      "m,1",
                                      "m1,2x",
                                      "m1,2,3",
                                      "m-1,2",
                                      "m 1,2",
                                      "m0x1,2",
                                      "m10000000000000000,1",
                                      "m1,10000000000000000"};
    EACH(bad)
    {
        request = make(*each, strlen(*each));
        ck_assert_msg(!request_range(&request, 1, &address, &length), "%s", *each);
        done(&request);
    }
}
END_TEST

START_TEST(writes)
{
    struct request_write write;
    struct request request = make("M10,3:00aAff", 12);
    ck_assert(request_write(&request, &write));
    ck_assert_uint_eq(write.address, 0x10);
    ck_assert_uint_eq(write.length, 3);
    ck_assert_str_eq(write.data, "00aAff");
    done(&request);
    request = make("X10,3:\0#:", 9);
    ck_assert(request_write(&request, &write));
    ck_assert_mem_eq(write.data, "\0#:", 3);
    done(&request);
    request = make("X10,0:", 6);
    ck_assert(request_write(&request, &write));
    ck_assert_uint_eq(write.length, 0);
    done(&request);
    static const char *const bad[] = {"M",
                                      "M10",
                                      "M10,1",
                                      "M10,1:",
                                      "M10,1:0",
                                      "M10,1:0000",
                                      "M10,2:00",
                                      "M10,1:0g",
                                      "M10,ffffffffffffffff:00",
                                      "M10,8000000000000000:",
                                      "X10,1:",
                                      "X10,1:ab",
                                      "X10,ffffffffffffffff:a",
                                      "X,1:a"};
    EACH(bad)
    {
        request = make(*each, strlen(*each));
        ck_assert_msg(!request_write(&request, &write), "%s", *each);
        done(&request);
    }
}
END_TEST

START_TEST(breakpoints)
{
    struct request_breakpoint point;
    struct request request = make("Z2,1000,8;X1,0", 14);
    ck_assert(request_breakpoint(&request, &point));
    ck_assert_uint_eq(point.type, 2);
    ck_assert_uint_eq(point.address, 0x1000);
    ck_assert_uint_eq(point.kind, 8);
    ck_assert_str_eq(point.rest, ";X1,0");
    done(&request);
    static const char *const bad[] = {"Z",     "Z0",     "Z0,",     "Z0,1",
                                      "Z0,1,", "Z5,1,1", "Z0,1,1x", "Z,1,1"};
    EACH(bad)
    {
        request = make(*each, strlen(*each));
        ck_assert_msg(!request_breakpoint(&request, &point), "%s", *each);
        done(&request);
    }
}
END_TEST

START_TEST(registers)
{
    struct thread_id thread;
    uint64_t number;
    struct request request = make("p10;thread:0001;", 16), value;
    const char *kept = request.text;
    ck_assert(request_thread_suffix(&request, &thread));
    ck_assert_int_eq(thread.thread, 1);
    ck_assert(request_register(&request, &number));
    ck_assert_uint_eq(number, 0x10);
    free((char *)kept);
    request = make("P1f=0011", 8);
    ck_assert(request_thread_suffix(&request, &thread));
    ck_assert_int_eq(thread.thread, THREAD_ANY);
    ck_assert(request_register_write(&request, &number, &value));
    ck_assert_uint_eq(number, 0x1f);
    ck_assert_uint_eq(value.length, 4);
    done(&request);
    static const char *const bad[] = {"P", "P1", "P1=", "P1=0", "P1=0g", "P=00", "P1=00 "};
    EACH(bad)
    {
        request = make(*each, strlen(*each));
        ck_assert_msg(!request_register_write(&request, &number, &value), "%s", *each);
        done(&request);
    }
    static const char *const bad_suffixes[] = {"g;thread:", "g;thread:x;", "g;thread:1;x",
                                               "g;thread:1;;"};
    EACH(bad_suffixes)
    {
        request = make(*each, strlen(*each));
        kept = request.text;
        ck_assert_msg(!request_thread_suffix(&request, &thread), "%s", *each);
        free((char *)kept);
    }
}
END_TEST

START_TEST(documents)
{
    struct request_xfer xfer;
    struct request request = make("qXfer:features:read:target.xml:1f,ffb", 37);
    ck_assert(request_xfer(&request, &xfer));
    ck_assert_str_eq(xfer.object, "features");
    ck_assert_str_eq(xfer.annex, "target.xml");
    ck_assert_uint_eq(xfer.offset, 0x1f);
    ck_assert_uint_eq(xfer.length, 0xffb);
    done(&request);
    request = make("qXfer:threads:read::0,10", 24);
    ck_assert(request_xfer(&request, &xfer));
    ck_assert_str_eq(xfer.annex, "");
    done(&request);
    static const char *const bad[] = {
        "qXfer:",
        "qXfer:a",
        "qXfer:a:write::0,1",
        "qXfer:a:read",
        "qXfer:a:read:b",
        "qXfer:a:read:b:0",
        "qXfer:a:read:b:0,",
        "qXfer:a:read:b:0,1x",
        "qXfer:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:read:b:0,1"};
    EACH(bad)
    {
        request = make(*each, strlen(*each));
        ck_assert_msg(!request_xfer(&request, &xfer), "%s", *each);
        done(&request);
    }
    char annex[300];
    memset(annex, 'a', sizeof annex);
    memcpy(annex, "qXfer:features:read:", 20);
    memcpy(annex + 290, ":0,1", 4);
    request = make(annex, 294);
    ck_assert(!request_xfer(&request, &xfer));
    done(&request);
}
END_TEST

START_TEST(searches)
{
    struct request_search search;
    struct request request = make("qSearch:memory:10;20;a\0b", 24);
    ck_assert(request_search(&request, &search));
    ck_assert_uint_eq(search.address, 0x10);
    ck_assert_uint_eq(search.length, 0x20);
    ck_assert_uint_eq(search.pattern_length, 3);
    done(&request);
    request = make("qSearch:memory:10;20;", 21);
    ck_assert(!request_search(&request, &search));
    done(&request);
}
END_TEST

static bool resumes(const char *text, struct request_resume *resume)
{
    struct request request = make(text, strlen(text));
    bool good = request_resume(&request, resume);
    done(&request);
    return good;
}

START_TEST(resume_forms)
{
    struct request_resume resume;
    ck_assert(resumes("vCont;c", &resume));
    ck_assert(resume.vcont && resume.count == 1 && !resume.actions[0].have_thread);
    ck_assert(resumes("vCont;s:p1.1;c:p1.-1", &resume));
    ck_assert_uint_eq(resume.count, 2);
    ck_assert_int_eq(resume.actions[0].thread.thread, 1);
    ck_assert_int_eq(resume.actions[1].thread.thread, THREAD_ALL);
    ck_assert(resumes("vCont;s:0001", &resume)); /* not 0 and something */
    ck_assert_int_eq(resume.actions[0].thread.thread, 1);
    ck_assert(resumes("vCont;C1e:2;r10,20:1;c", &resume));
    ck_assert_uint_eq(resume.actions[0].signal, 0x1e);
    ck_assert_uint_eq(resume.actions[1].last, 0x20);
    ck_assert(resumes("c", &resume) && !resume.have_address && !resume.vcont);
    ck_assert(resumes("s1000", &resume) && resume.have_address && resume.address == 0x1000);
    ck_assert(resumes("C05", &resume) && resume.actions[0].signal == 5);
    ck_assert(resumes("S05;1000", &resume) && resume.address == 0x1000);
    static const char *const bad[] = {"vCont",      "vCont;",   "vCont;x",  "vCont;c:", "vCont;c:x",
                                      "vCont;C",    "vCont;C5", "vCont;cc", "vCont;c;", "vCont;r:1",
                                      "vCont;r1:1", "cx",       "C",        "C5",       "Cxx",
                                      "C05x",       "C05;",     "S05;x",    ""};
    EACH(bad)
    ck_assert_msg(!resumes(*each, &resume), "%s", *each);
    char many[8 + 4 * (REQUEST_ACTIONS_MAX + 1)] = "vCont";
    for (int i = 0; i <= REQUEST_ACTIONS_MAX; i++)
        strcat(many, ";s:1");
    ck_assert(!resumes(many, &resume));
}
END_TEST

START_TEST(numbers)
{
    uint64_t number;
    ck_assert(request_number("0x70", &number) && number == 0x70);
    ck_assert(request_number("112", &number) && number == 112);
    ck_assert(request_number("010", &number) && number == 10);
    ck_assert(request_number("0", &number) && number == 0);
    ck_assert(request_number("0xffffffffffffffff", &number) && number == UINT64_MAX);
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "0x", "0xg", "1x", "ff", "0x10000000000000000"};
    EACH(bad)
    ck_assert_msg(!request_number(*each, &number), "%s", *each);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("request");
    tcase_add_test(tcase, ranges);
    tcase_add_test(tcase, writes);
    tcase_add_test(tcase, breakpoints);
    tcase_add_test(tcase, registers);
    tcase_add_test(tcase, documents);
    tcase_add_test(tcase, searches);
    tcase_add_test(tcase, resume_forms);
    tcase_add_test(tcase, numbers);
    return stub_run(tcase, "stub request");
}
