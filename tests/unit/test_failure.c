#include "base/failure.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(code_and_text_are_set_together)
{
    struct failure failure = {0};
    ck_assert_int_eq(failure_set(&failure, 3, "no %s within %d s", "answer", 5), 3);
    ck_assert_int_eq(failure.code, 3);
    ck_assert_str_eq(failure.text, "no answer within 5 s");
    failure_clear(&failure);
    ck_assert_int_eq(failure.code, 0);
    ck_assert_str_eq(failure.text, "");
}
END_TEST

START_TEST(a_long_text_is_cut)
{
    struct failure failure = {0};
    ck_assert_int_eq(failure_set(&failure, 1, "%*s", 3 * FAILURE_SIZE, "x"), 1);
    ck_assert_uint_eq(strlen(failure.text), FAILURE_SIZE - 1);
}
END_TEST

START_TEST(the_first_text_stays)
{
    struct failure failure = {0};
    ck_assert_int_eq(failure_complete(&failure, 2, "gone"), 2);
    ck_assert_str_eq(failure.text, "gone");
    ck_assert_int_eq(failure_complete(&failure, 4, "refused"), 4);
    ck_assert_int_eq(failure.code, 4);
    ck_assert_str_eq(failure.text, "gone");
    ck_assert_int_eq(failure_recode(&failure, 7), 7);
    ck_assert_int_eq(failure.code, 7);
    ck_assert_str_eq(failure.text, "gone");
}
END_TEST

START_TEST(nobody_needs_to_listen)
{
    failure_clear(NULL);
    ck_assert_int_eq(failure_set(NULL, 1, "%d", 1), 1);
    ck_assert_int_eq(failure_complete(NULL, 2, "text"), 2);
    ck_assert_int_eq(failure_recode(NULL, 3), 3);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("failure");
    tcase_add_test(tcase, code_and_text_are_set_together);
    tcase_add_test(tcase, a_long_text_is_cut);
    tcase_add_test(tcase, the_first_text_stays);
    tcase_add_test(tcase, nobody_needs_to_listen);
    Suite *suite = suite_create("failure");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
