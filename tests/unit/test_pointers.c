#include "space_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct machine machine;
static struct fake_target *const fake = &machine.fake;

static void set_up(void)
{
    machine_start(&machine, CACHE_WRITE_BACK, 0);
}

static void tear_down(void)
{
    machine_stop(&machine);
}

static const uint64_t some[] = {UINT64_C(0x1122334455667788), UINT64_C(0xffffffff80000001),
                                UINT64_C(0x00000000fedcba98)};

static void assert_memory(const char *hex_bytes, size_t size)
{
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), hex_bytes, size);
}

START_TEST(test_eight_little_endian_bytes)
{
    uint64_t back[3];
    uint32_t done = 0;

    assert_hr(session_write_pointers_virtual(machine.a, 3, BASE, some, &done), S_OK);
    ck_assert_uint_eq(done, 3);
    ck_assert_uint_eq(dirty_bytes(machine.a), 24); /* through the view */
    assert_hr(session_read_pointers_virtual(machine.a, 3, BASE, back, &done), S_OK);
    ck_assert_mem_eq(back, some, sizeof(some));
    assert_memory("\x88\x77\x66\x55\x44\x33\x22\x11\x01\0\0\x80\xff\xff\xff\xff", 16);
}
END_TEST

START_TEST(test_eight_big_endian_bytes)
{
    uint64_t back[3];

    fake->info.big_endian = true;
    assert_hr(session_write_pointers_virtual(machine.a, 3, BASE, some, NULL), S_OK);
    assert_hr(session_read_pointers_virtual(machine.a, 3, BASE, back, NULL), S_OK);
    ck_assert_mem_eq(back, some, sizeof(some));
    assert_memory("\x11\x22\x33\x44\x55\x66\x77\x88\xff\xff\xff\xff\x80\0\0\x01", 16);
}
END_TEST

START_TEST(test_a_byte_order_that_nothing_tells)
{
    uint64_t back[3];

    fake->info.order_unknown = true;
    assert_hr(session_write_pointers_virtual(machine.a, 3, BASE, some, NULL), E_NOTIMPL);
    ck_assert_ptr_nonnull(strstr(session_message(machine.a), "byte order"));
    assert_hr(session_read_pointers_virtual(machine.a, 3, BASE, back, NULL), E_NOTIMPL);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

START_TEST(test_four_bytes_are_cast_and_sign_extended)
{
    uint64_t back[3];
    uint32_t done = 0;

    /* the processor says so, whatever the target's info says */
    fake->pointer_size = 4;
    assert_hr(session_write_pointers_virtual(machine.a, 3, BASE, some, &done), S_OK);
    ck_assert_uint_eq(done, 3);
    assert_hr(session_read_pointers_virtual(machine.a, 3, BASE, back, &done), S_OK);
    ck_assert_uint_eq(done, 3);
    ck_assert_uint_eq(back[0], 0x55667788);
    ck_assert_uint_eq(back[1], UINT64_C(0xffffffff80000001));
    ck_assert_uint_eq(back[2], UINT64_C(0xfffffffffedcba98));
    assert_memory("\x88\x77\x66\x55\x01\0\0\x80\x98\xba\xdc\xfe\0\0", 14);
    fake->info.big_endian = true;
    assert_hr(session_write_pointers_virtual(machine.a, 1, BASE, some, NULL), S_OK);
    assert_hr(session_read_pointers_virtual(machine.a, 1, BASE, back, NULL), S_OK);
    ck_assert_uint_eq(back[0], 0x55667788);
    assert_memory("\x55\x66\x77\x88", 4);
}
END_TEST

START_TEST(test_all_or_an_error_that_says_how_many)
{
    uint64_t back[3];
    uint32_t done = 9;

    assert_hr(session_write_pointers_virtual(machine.a, 3, UNMAPPED - 12, some, &done),
              SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 1);
    assert_says(machine.a, "WritePointersVirtual at 0xffff800000007ff4");
    assert_says(machine.a, "1 of 3 pointers written");
    assert_hr(session_write_pointers_virtual(machine.a, 3, UNMAPPED, some, &done),
              SB_ERROR_WRITE_FAULT);
    assert_says(machine.a, "0 of 3 pointers written");
    assert_hr(session_read_pointers_virtual(machine.a, 3, UNMAPPED - 12, back, &done),
              SB_ERROR_READ_FAULT);
    ck_assert_uint_eq(done, 1);
    ck_assert_uint_eq(back[0], some[0]);
    assert_says(machine.a, "1 of 3 pointers read");
    /* the end of the space is an end too */
    assert_hr(session_write_pointers_virtual(machine.a, 2, UINT64_MAX - 7, some, &done),
              SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(test_none_is_all_of_none)
{
    uint32_t done = 9;

    assert_hr(session_write_pointers_virtual(machine.a, 0, UNMAPPED, NULL, &done), S_OK);
    ck_assert_uint_eq(done, 0);
    assert_hr(session_read_pointers_virtual(machine.a, 0, UNMAPPED, NULL, &done), S_OK);
    ck_assert_uint_eq(fake->log_count, 0);
}
END_TEST

START_TEST(test_too_many_to_count)
{
    uint64_t back[1];

    assert_hr(session_read_pointers_virtual(machine.a, UINT32_MAX / 8 + 1, BASE, back, NULL),
              E_INVALIDARG);
    assert_hr(session_write_pointers_virtual(machine.a, UINT32_MAX, BASE, some, NULL),
              E_INVALIDARG);
    assert_says(machine.a, "too many");
}
END_TEST

START_TEST(test_not_while_it_runs)
{
    uint64_t back[1];

    fake_resume_by_others(fake);
    assert_hr(session_write_pointers_virtual(machine.a, 1, BASE, some, NULL), E_UNEXPECTED);
    assert_hr(session_read_pointers_virtual(machine.a, 1, BASE, back, NULL), E_UNEXPECTED);
    ck_assert_uint_eq(fake->log_count, 0);
}
END_TEST

START_TEST(test_the_current_processor_is_asked)
{
    assert_hr(session_set_current_processor(machine.a, 1), S_OK);
    assert_hr(session_write_pointers_virtual(machine.a, 1, BASE, some, NULL), S_OK);
    ck_assert_uint_eq(fake_nth(fake, FAKE_POINTER_SIZE, 0)->cpu, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pointers");
    TCase *tests = tcase_create("pointers");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_eight_little_endian_bytes);
    tcase_add_test(tests, test_eight_big_endian_bytes);
    tcase_add_test(tests, test_a_byte_order_that_nothing_tells);
    tcase_add_test(tests, test_four_bytes_are_cast_and_sign_extended);
    tcase_add_test(tests, test_all_or_an_error_that_says_how_many);
    tcase_add_test(tests, test_none_is_all_of_none);
    tcase_add_test(tests, test_too_many_to_count);
    tcase_add_test(tests, test_not_while_it_runs);
    tcase_add_test(tests, test_the_current_processor_is_asked);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
