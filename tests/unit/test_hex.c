#include "base/hex.h"

#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(every_character_is_a_digit_or_not)
{
    for (int character = -300; character < 600; character++) {
        int expected = -1;
        if (character >= 0 && character < 128 && isxdigit(character)) {
            char text[2] = {(char)character, '\0'};
            expected = (int)strtol(text, NULL, 16);
        }
        ck_assert_int_eq(hex_digit(character), expected);
    }
}
END_TEST

START_TEST(every_byte_goes_there_and_back)
{
    uint8_t bytes[256], back[256];
    char text[513], upper[512], expected[3];
    for (size_t i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    text[512] = '!';
    hex_encode(text, bytes, sizeof(bytes));
    ck_assert_int_eq(text[512], '!'); /* no terminator */
    for (size_t i = 0; i < 256; i++) {
        snprintf(expected, sizeof(expected), "%02zx", i);
        ck_assert_mem_eq(text + 2 * i, expected, 2);
    }
    for (size_t i = 0; i < 512; i++)
        upper[i] = (char)toupper(text[i]);
    ck_assert(hex_decode(back, text, 512));
    ck_assert_mem_eq(back, bytes, 256);
    memset(back, 0, sizeof(back));
    ck_assert(hex_decode(back, upper, 512));
    ck_assert_mem_eq(back, bytes, 256);
    hex_encode(text, bytes, 0);
    ck_assert(hex_decode(back, text, 0));
}
END_TEST

START_TEST(what_is_not_hex_is_refused)
{
    uint8_t bytes[8];
    ck_assert(!hex_decode(bytes, "0", 1));
    ck_assert(!hex_decode(bytes, "123", 3));
    ck_assert(!hex_decode(bytes, "0g", 2));
    ck_assert(!hex_decode(bytes, "g0", 2));
    ck_assert(!hex_decode(bytes, "00 0", 4));
    ck_assert(!hex_decode(bytes, "\xff\xff", 2));
    ck_assert(!hex_decode(bytes, "0\0", 2));
}
END_TEST

static void check_number(const char *text, bool fine, uint64_t expected, size_t used)
{
    uint64_t number = 0x1234;
    const char *at = text;
    ck_assert_msg(hex_number(&number, &at, text + strlen(text)) == fine, "%s", text);
    ck_assert_uint_eq(number, fine ? expected : 0x1234);
    ck_assert_uint_eq((size_t)(at - text), used);
}

START_TEST(numbers_are_read_up_to_what_follows)
{
    check_number("0", true, 0, 1);
    check_number("1f,20", true, 0x1f, 2);
    check_number("ABCdef:", true, 0xabcdef, 6);
    check_number("ffffffffffffffff", true, UINT64_MAX, 16);
    check_number("0000000000000001;", true, 1, 16);
    check_number("", false, 0, 0);
    check_number(",1", false, 0, 0);
    check_number("-1", false, 0, 0);
    check_number(" 1", false, 0, 0);
    check_number("+1", false, 0, 0);
    check_number("10000000000000000", false, 0, 0);
    check_number("00000000000000001", false, 0, 0);
    check_number("0x10", true, 0, 1); /* the caller finds an x where it wants a comma */

    const char *at = "12345";
    uint64_t number;
    ck_assert(hex_number(&number, &at, at + 2)); /* not beyond the end */
    ck_assert_uint_eq(number, 0x12);
    ck_assert_str_eq(at, "345");
    ck_assert(!hex_number(&number, &at, at));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hex");
    TCase *tcase = tcase_create("hex");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, every_character_is_a_digit_or_not);
    tcase_add_test(tcase, every_byte_goes_there_and_back);
    tcase_add_test(tcase, what_is_not_hex_is_refused);
    tcase_add_test(tcase, numbers_are_read_up_to_what_follows);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
