#include "client/cli_number.h"

#include "spacebridge/hresult.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char error[CLI_ERROR_SIZE];

static const struct {
    const char *text;
    uint64_t number;
} good[] = {
    {"0", 0},
    {"10", 10},
    {"010", 10}, /* no octal */
    {"0x10", 16},
    {"0XfF", 255},
    {"18446744073709551615", UINT64_MAX},
    {"0xffffffffffffffff", UINT64_MAX},
    {"0x00000000000000000001", 1},
};

START_TEST(numbers)
{
    uint64_t number = 99;

    ck_assert_msg(cli_number(good[_i].text, "N", UINT64_MAX, &number, error), "%s", error);
    ck_assert_uint_eq(number, good[_i].number);
}
END_TEST

static const struct {
    const char *text, *says;
} bad[] = {
    {"", "not a number"},
    {"0x", "not a number"},
    {"-1", "not a number"},
    {"+1", "not a number"},
    {" 1", "not a number"},
    {"1 ", "not a number"},
    {"1k", "not a number"},
    {"fe", "begin with 0x"},
    {"12ab", "begin with 0x"},
    {"0x1g", "not a number"},
    {"18446744073709551616", "64 bits"},
    {"0x10000000000000000", "64 bits"},
    {"99999999999999999999999", "64 bits"},
};

START_TEST(no_numbers)
{
    uint64_t number = 99;

    ck_assert(!cli_number(bad[_i].text, "ADDRESS", UINT64_MAX, &number, error));
    ck_assert_msg(strstr(error, bad[_i].says), "%s", error);
    ck_assert_ptr_nonnull(strstr(error, "ADDRESS"));
    ck_assert_uint_eq(number, 99);
}
END_TEST

START_TEST(their_limit)
{
    uint64_t number;

    ck_assert(cli_number("255", "VALUE", 255, &number, error));
    ck_assert(!cli_number("256", "VALUE", 255, &number, error));
    ck_assert_str_eq(error, "VALUE '256' is over 255");
}
END_TEST

START_TEST(seconds)
{
    static const struct {
        const char *text;
        uint32_t milliseconds;
    } times[] = {{"0", 0},
                 {"1", 1000},
                 {"0.5", 500},
                 {"2.25", 2250},
                 {"1.0009", 1000},
                 {"4294966", 4294966000},
                 {"4294967", 4294967000}};
    static const char *const wrong[] = {
        "",    ".",   "1.",    ".5",      "-1",
        "1.x", "1e3", "0x1.5", "4294968", "99999999999999999999999999999999999999999"};
    uint32_t milliseconds;

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        ck_assert_msg(cli_seconds(times[i].text, &milliseconds, error), "%s", error);
        ck_assert_uint_eq(milliseconds, times[i].milliseconds);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!cli_seconds(wrong[i], &milliseconds, error), "'%s' passed", wrong[i]);
}
END_TEST

START_TEST(physical_types)
{
    uint32_t flags;

    ck_assert(cli_physical_type("default", &flags, error) && flags == DEBUG_PHYSICAL_DEFAULT);
    ck_assert(cli_physical_type("cached", &flags, error) && flags == DEBUG_PHYSICAL_CACHED);
    ck_assert(cli_physical_type("uncached", &flags, error) && flags == DEBUG_PHYSICAL_UNCACHED);
    ck_assert(cli_physical_type("write-combined", &flags, error) &&
              flags == DEBUG_PHYSICAL_WRITE_COMBINED);
    ck_assert(!cli_physical_type("CACHED", &flags, error));
    ck_assert(!cli_physical_type("", &flags, error));
}
END_TEST

START_TEST(interfaces)
{
    int32_t type;

    ck_assert(cli_interface("isa", &type, error) && type == SB_INTERFACE_ISA);
    ck_assert(cli_interface("PCIBus", &type, error) && type == SB_INTERFACE_PCI_BUS);
    ck_assert(cli_interface("ACPIBUS", &type, error) && type == SB_INTERFACE_ACPI_BUS);
    ck_assert(cli_interface("internal", &type, error) && type == SB_INTERFACE_INTERNAL);
    ck_assert(cli_interface("ProcessorInternal", &type, error) &&
              type == SB_INTERFACE_PROCESSOR_INTERNAL);
    ck_assert(cli_interface("5", &type, error) && type == 5);
    ck_assert(cli_interface("0x63", &type, error) && type == 99); /* the daemon refuses it */
    ck_assert(!cli_interface("usb", &type, error));
    ck_assert(!cli_interface("-1", &type, error));
    ck_assert(!cli_interface("", &type, error));
    ck_assert(!cli_interface("4294967296", &type, error));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_number");
    TCase *tcase = tcase_create("cli_number");

    tcase_add_loop_test(tcase, numbers, 0, (int)(sizeof good / sizeof good[0]));
    tcase_add_loop_test(tcase, no_numbers, 0, (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tcase, their_limit);
    tcase_add_test(tcase, seconds);
    tcase_add_test(tcase, physical_types);
    tcase_add_test(tcase, interfaces);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
