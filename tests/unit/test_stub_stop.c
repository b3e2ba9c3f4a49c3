#include "stub/stop.h"
#include "stub/threads.h"
#include "stub_run.h"

#include <string.h>

START_TEST(parsing)
{
    struct stop stop;
    ck_assert(stop_parse(&stop, "T05thread:01;"));
    ck_assert(stop.kind == 'T' && stop.signal == 5 && stop.thread == 1 && !stop.watch);
    ck_assert(stop_parse(&stop, "T05core:01;")); /* QEMU 11 names no thread */
    ck_assert_int_eq(stop.thread, THREAD_ANY);
    ck_assert(stop_parse(&stop, "T05thread:p01.02;watch:00001000;"));
    ck_assert(stop.thread == 2 && stop.watch && stop.address == 0x1000);
    ck_assert(stop_parse(&stop, "T05swbreak:;06:00112233;"));
    ck_assert(stop.swbreak && !stop.hwbreak);
    ck_assert(stop_parse(&stop, "S02") && stop.kind == 'S');
    ck_assert(stop_parse(&stop, "W07") && stop.signal == 7);
    ck_assert(stop_parse(&stop, "X0b;process:12"));
    static const char *const bad[] = {"", "T", "T0", "Tzz", "E01", "OK", "O41", "N"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!stop_parse(&stop, bad[i]), "%s", bad[i]);
    ck_assert(stop_parse(&stop, "T05;;;:;thread;thread:;watch:x;") && !stop.watch);
}
END_TEST

static void expect(const char *reply, struct stop_view view, const char *expected)
{
    struct buffer out = {0};
    ck_assert(stop_write(&out, reply, &view));
    ck_assert(buffer_append_byte(&out, 0));
    ck_assert_str_eq((const char *)buffer_bytes(&out), expected);
    buffer_free(&out);
}

START_TEST(writing)
{
    const struct stop_view gdb = {.multiprocess = true, .process = 1, .thread = 1};
    const struct stop_view plain = {.process = 1, .thread = 1};
    struct stop_view view;

    expect("T05thread:01;", gdb, "T05thread:p1.1;");
    expect("T05thread:02;", plain, "T05thread:2;");
    expect("S02", gdb, "T02thread:p1.1;"); /* a stop names its thread */
    expect("T05core:01;", plain, "T05core:01;thread:1;");
    expect("T0506:0011;07:22;thread:7c33;core:3;", plain, "T0506:0011;07:22;core:3;thread:7c33;");
    expect("W00", plain, "W00");
    expect("W07", gdb, "W07;process:1");
    view = gdb;
    view.nobodys = true; /* an interrupt, of which QEMU names the processor that it resumed last */
    expect("T02thread:04;", view, "T02thread:p1.1;");
    expect("T02core:03;", view, "T02thread:p1.1;");
    expect("T02core:04;thread:04;", view, "T02thread:p1.1;");
    expect("S02", view, "T02thread:p1.1;");
    view = gdb;
    view.hide_watch = true;
    expect("T05thread:01;watch:1000;", view, "T05thread:p1.1;");
    expect("T05thread:01;awatch:1000;", view, "T05thread:p1.1;");
    expect("T05thread:01;rwatch:1000;", gdb, "T05rwatch:1000;thread:p1.1;");
    view = gdb;
    view.swbreak = true;
    expect("T05thread:01;", view, "T05swbreak:;thread:p1.1;");
    expect("T05swbreak:;thread:01;", view, "T05swbreak:;thread:p1.1;");
    view = plain;
    view.hide_breaks = true;
    expect("T05swbreak:;thread:01;", view, "T05thread:1;");
    view.threads = "1,2";
    expect("T05thread:01;", view, "T05thread:1;threads:1,2;");
}
END_TEST

START_TEST(not_a_stop)
{
    struct buffer out = {0};
    const struct stop_view view = {.process = 1};
    ck_assert(!stop_write(&out, "", &view) && !stop_write(&out, "E01", &view));
    ck_assert_uint_eq(out.length, 0);
    buffer_free(&out);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("stop");
    tcase_add_test(tcase, parsing);
    tcase_add_test(tcase, writing);
    tcase_add_test(tcase, not_a_stop);
    return stub_run(tcase, "stub stop");
}
