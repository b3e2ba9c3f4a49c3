#include "base/bytes.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t eight[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

START_TEST(numbers_of_every_width_in_either_order)
{
    uint64_t little = 0, big = 0;
    ck_assert_uint_eq(bytes_load(eight, 0, true), 0);
    for (size_t size = 1; size <= 8; size++) {
        uint8_t back[10];
        little |= (uint64_t)eight[size - 1] << 8 * (size - 1);
        big = big << 8 | eight[size - 1];
        ck_assert_uint_eq(bytes_load(eight, size, false), little);
        ck_assert_uint_eq(bytes_load(eight, size, true), big);
        for (int order = 0; order < 2; order++) {
            memset(back, 0x55, sizeof back);
            bytes_store(back + 1, order ? big : little, size, order);
            ck_assert_mem_eq(back + 1, eight, size);
            ck_assert_uint_eq(back[0], 0x55);
            ck_assert_uint_eq(back[size + 1], 0x55);
        }
    }
}
END_TEST

START_TEST(what_does_not_fit_is_cut_from_a_number)
{
    uint8_t two[2];
    bytes_store(two, 0x123456, 2, true);
    ck_assert_uint_eq(bytes_load(two, 2, true), 0x3456);
}
END_TEST

START_TEST(ranges_end_with_the_space)
{
    static const struct {
        uint64_t address, size, fits;
    } cases[] = {
        {0, 0, 0},
        {0, UINT64_MAX, UINT64_MAX},
        {1, UINT64_MAX, UINT64_MAX},
        {2, UINT64_MAX, UINT64_MAX - 1},
        {UINT64_MAX, 0, 0},
        {UINT64_MAX, 1, 1},
        {UINT64_MAX, 2, 1},
        {UINT64_MAX - 4095, 4096, 4096},
        {UINT64_MAX - 4095, 4097, 4096},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(bytes_clip(cases[i].address, cases[i].size) == cases[i].fits,
                      "%" PRIx64 " bytes from %" PRIx64, cases[i].size, cases[i].address);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bytes");
    TCase *tcase = tcase_create("bytes");
    tcase_add_test(tcase, numbers_of_every_width_in_either_order);
    tcase_add_test(tcase, what_does_not_fit_is_cut_from_a_number);
    tcase_add_test(tcase, ranges_end_with_the_space);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
