/* What follows from QEMU's version number, for the texts that QEMU and others give. */
#include "upstream/machine/qemu_version.h"

#include <check.h>
#include <stdlib.h>

START_TEST(stops_are_told_of_before_8_1)
{
    static const char *const all[] = {"QEMU 7.2.22", "QEMU 8.0.5",  "QEMU 8.0.0",
                                      "QEMU 6.2.0",  "QEMU 2.11.1", "QEMU 5.0.50"};
    /* 8.0.50 is what became 8.1; what names no version tells nothing. */
    static const char *const some[] = {"QEMU 8.1.0",
                                       "QEMU 8.0.50",
                                       "QEMU 8.0.94",
                                       "QEMU 8.2.1",
                                       "QEMU 10.0.13",
                                       "QEMU 11.1.3",
                                       "QEMU 70.2.22",
                                       "QEMU ",
                                       "QEMU 7",
                                       "QEMU 7.2",
                                       "QEMU 7.2.",
                                       "GDB stub",
                                       "",
                                       "7.2.22"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ck_assert_msg(qemu_version_tells_every_stop(all[i]), "%s", all[i]);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        ck_assert_msg(!qemu_version_tells_every_stop(some[i]), "%s", some[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qemu_version");
    TCase *tcase = tcase_create("qemu_version");
    tcase_add_test(tcase, stops_are_told_of_before_8_1);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
