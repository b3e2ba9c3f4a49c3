/* The same main for each of the stub's test programs. */
#ifndef SB_TESTS_STUB_RUN_H
#define SB_TESTS_STUB_RUN_H

#include <check.h>
#include <stdlib.h>

static inline int stub_run(TCase *tcase, const char *name)
{
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
