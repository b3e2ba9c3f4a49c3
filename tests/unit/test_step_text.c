/* Which packets step one thread, and which stop replies say no more than that it was stepped. */
#include "upstream/link/step_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static uint64_t stepped(const char *payload, uint64_t selected, uint64_t only)
{
    return step_text_thread(payload, strlen(payload), selected, only);
}

START_TEST(packets_that_step_one_thread)
{
    static const char *const two[] = {"vCont;s:2",      "vCont;s:02",       "vCont;s:p1.2",
                                      "vCont;s:p01.02", "vCont;s:2;c",      "vCont;s:2;c:p1.-1",
                                      "vCont;c:1;s:2",  "vCont;C05:1;s:2;", "vCont;S05:2;c"};
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        ck_assert_msg(stepped(two[i], 1, 0) == 2, "%s", two[i]);
    ck_assert_uint_eq(stepped("s", 3, 0), 3);
    ck_assert_uint_eq(stepped("S05", 3, 0), 3);
    ck_assert_uint_eq(stepped("s", 0, 1), 1);
    ck_assert_uint_eq(stepped("vCont;s", 2, 1), 1); /* the only one there is */
}
END_TEST

START_TEST(packets_that_do_not)
{
    static const char *const none[] = {
        "",
        "c",
        "C05",
        "bs",
        "bc",
        "s1000",
        "S05;1000",
        "S",
        "S5",
        "Sxx",
        "k",
        "vCont?",
        "vCont",
        "vCont;",
        "vCont;c",
        "vCont;s",
        "vCont;s:0",
        "vCont;s:-1",
        "vCont;s:",
        "vCont;s:2x",
        "vCont;s:p1.-1",
        "vCont;t:2",
        "vCont;r1,2",
        "vCont;s:1;s:2",
        "vCont;s;c",
        "vCont;s:1;t",
        "vCont;s:p1",
        "vCont;s:p1.",
        "vRun;x",
        "vCont;s:2;bs",
    };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert_msg(stepped(none[i], 0, 0) == 0, "%s", none[i]);
}
END_TEST

START_TEST(nothing_behind_the_end_is_looked_at)
{
    ck_assert_uint_eq(step_text_thread("vCont;s:25", 9, 0, 0), 2);
    ck_assert_uint_eq(step_text_thread("s1", 1, 4, 0), 4);
    ck_assert_uint_eq(step_text_thread("S05", 2, 4, 0), 0);
}
END_TEST

START_TEST(stops_that_end_a_step)
{
    static const char *const good[] = {"T05thread:02;", "T05thread:p01.02;", "T05core:01;thread:2;",
                                       "T05thread:2", "T05thread:02;core:1;"};
    static const char *const bad[] = {
        "",
        "T05",
        "S05",
        "T02thread:02;",
        "T05thread:01;",
        "T05thread:p01.01;",
        "T05core:01;",
        "T05thread:02;watch:1000;",
        "T05watch:1000;thread:02;",
        "T05thread:02;swbreak:;",
        "T05thread:02;hwbreak:;",
        "T05thread:02;fork:p1.1;",
        "T05thread:02;06:00112233;",
        "T05thread:2x;",
        "T05thread:;",
        "T05thread:02;thread:01;",
        "W00",
        "X05",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_msg(step_text_ended(good[i], 2), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!step_text_ended(bad[i], 2), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("step_text");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, packets_that_step_one_thread);
    tcase_add_test(tcase, packets_that_do_not);
    tcase_add_test(tcase, nothing_behind_the_end_is_looked_at);
    tcase_add_test(tcase, stops_that_end_a_step);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
