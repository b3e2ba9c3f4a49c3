/* What cached reads fetch without being asked. */
#include "space_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct machine machine;
static struct fake_target *const fake = &machine.fake;
static uint8_t bytes[PAGE];

static void set_up(void)
{
    machine_start(&machine, CACHE_WRITE_BACK, 0);
}

static void tear_down(void)
{
    machine_stop(&machine);
}

static void read_well(uint64_t address, uint32_t size)
{
    uint32_t done = 0;

    assert_hr(session_read_virtual(machine.a, address, bytes, size, &done), S_OK);
    ck_assert_uint_eq(done, size);
}

static size_t asked(void)
{
    return fake_count(fake, FAKE_READ_VIRTUAL) + fake_count(fake, FAKE_READ_PHYSICAL);
}

START_TEST(a_sequence_is_read_ahead_of)
{
    for (unsigned i = 0; i < 7; i++)
        memset(ram(&machine, BASE + i * PAGE), (int)('a' + i), PAGE);
    read_well(BASE, PAGE);
    ck_assert_uint_eq(asked(), 1);
    read_well(BASE + PAGE, PAGE);
    ck_assert_uint_eq(asked(), 4); /* page 1, and 2 and 3 as runs of their own */
    read_well(BASE + 2 * PAGE, PAGE);
    ck_assert_int_eq(bytes[0], 'c');
    read_well(BASE + 3 * PAGE, PAGE);
    ck_assert_int_eq(bytes[PAGE - 1], 'd');
    ck_assert_uint_eq(asked(), 4);
    /* Others' writes are seen, in what was read ahead too. */
    read_well(BASE + 4 * PAGE, PAGE); /* 5 to 7 behind it: 8 is not mapped */
    ck_assert_uint_eq(asked(), 8);
    assert_hr(session_write_virtual_uncached(machine.b, BASE + 5 * PAGE, "xyz", 3, NULL), S_OK);
    read_well(BASE + 5 * PAGE, PAGE);
    ck_assert_mem_eq(bytes, "xyzf", 4);
}
END_TEST

START_TEST(scattered_reads_are_not)
{
    read_well(BASE + 3 * PAGE, 8);
    read_well(BASE, 8);
    read_well(BASE + 5 * PAGE, 8);
    ck_assert_uint_eq(asked(), 3);
    ck_assert_uint_eq(machine_status(machine.a).lines, 3);
}
END_TEST

START_TEST(the_end_of_what_is_mapped_is_the_end)
{
    read_well(BASE + 6 * PAGE, PAGE);
    read_well(BASE + 7 * PAGE, PAGE);
    ck_assert_uint_eq(asked(), 2);
    ck_assert_str_eq(session_message(machine.a), "");
    read_well(V_TOP, PAGE - 8);
    read_well(V_TOP + PAGE - 8, 8); /* the last byte there is */
    ck_assert_uint_eq(asked(), 3);
}
END_TEST

/* Pages 40 to 46 are ROM, registers, a frame buffer, ...: reading ahead must touch none of them. */
START_TEST(nothing_but_ram_is_read_ahead)
{
    fake->mapping[fake->mappings++] =
        (struct fake_mapping){.page = V_ROM - 2 * PAGE, .physical = RAM_AT};
    fake->mapping[fake->mappings++] =
        (struct fake_mapping){.page = V_ROM - PAGE, .physical = RAM_AT + PAGE};
    read_well(V_ROM - 2 * PAGE, PAGE);
    read_well(V_ROM - PAGE, PAGE);
    ck_assert_uint_eq(asked(), 2);
    read_well(V_ROM, PAGE); /* goes on, and registers follow */
    ck_assert_uint_eq(asked(), 3);
    ck_assert_uint_eq(machine_status(machine.a).lines, 3);
}
END_TEST

START_TEST(dirty_bytes_stay_as_they_are)
{
    assert_hr(session_write_virtual(machine.a, BASE + 2 * PAGE + 5, "dirty", 5, NULL), S_OK);
    read_well(BASE, PAGE);
    read_well(BASE + PAGE, PAGE);
    read_well(BASE + 2 * PAGE, PAGE);
    ck_assert_mem_eq(bytes + 5, "dirty", 5);
    ck_assert_uint_eq(dirty_bytes(machine.a), 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("read ahead");
    TCase *tcase = tcase_create("read ahead");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_sequence_is_read_ahead_of);
    tcase_add_test(tcase, scattered_reads_are_not);
    tcase_add_test(tcase, the_end_of_what_is_mapped_is_the_end);
    tcase_add_test(tcase, nothing_but_ram_is_read_ahead);
    tcase_add_test(tcase, dirty_bytes_stay_as_they_are);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
