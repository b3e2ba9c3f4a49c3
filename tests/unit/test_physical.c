#include "space_fixture.h"

#include <check.h>
#include <stdio.h>
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

static HRESULT put(uint64_t address, uint32_t flags, const void *bytes, uint32_t size,
                   uint32_t *done)
{
    return session_write_physical(machine.a, "WritePhysical2", address, flags, bytes, size, done);
}

static HRESULT get(uint64_t address, uint32_t flags, void *bytes, uint32_t size, uint32_t *done)
{
    return session_read_physical(machine.a, "ReadPhysical2", address, flags, bytes, size, done);
}

START_TEST(test_ram_in_bulk)
{
    uint8_t bytes[5000], back[5000];
    uint32_t done = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 3);
    for (uint32_t flags = 0; flags < 2; flags++) {
        fake_clear_log(fake);
        assert_hr(put(0x1001, flags, bytes, 5000, &done), S_OK);
        ck_assert_uint_eq(done, 5000);
        ck_assert_mem_eq(fake_byte(fake, 0x1001), bytes, 5000);
        ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 1);
        ck_assert_int_eq(fake_nth(fake, FAKE_WRITE_PHYSICAL, 0)->access, TARGET_ACCESS_BULK);
        memset(back, 0, sizeof(back));
        assert_hr(get(0x1001, flags, back, 5000, &done), S_OK);
        ck_assert_mem_eq(bytes, back, 5000);
        ck_assert_int_eq(fake_nth(fake, FAKE_READ_PHYSICAL, 0)->access, TARGET_ACCESS_BULK);
        /* physical memory is never cached */
        assert_hr(get(0x1001, flags, back, 5000, &done), S_OK);
        ck_assert_uint_eq(fake_count(fake, FAKE_READ_PHYSICAL), 2);
    }
}
END_TEST

START_TEST(test_a_large_range_is_cut_into_pieces)
{
    size_t size = 0xf0000;
    uint8_t *bytes = malloc(size);
    uint32_t done = 0;

    ck_assert_ptr_nonnull(bytes);
    memset(bytes, 'L', size);
    assert_hr(put(0x800, 0, bytes, (uint32_t)size, &done), S_OK);
    ck_assert_uint_eq(done, size);
    ck_assert_uint_eq(*fake_byte(fake, 0x7ff), 0);
    ck_assert_uint_eq(*fake_byte(fake, 0x800), 'L');
    ck_assert_uint_eq(*fake_byte(fake, 0x800 + size - 1), 'L');
    ck_assert_uint_eq(*fake_byte(fake, 0x800 + size), 0);
    uint64_t at = 0x800;
    for (size_t i = 0; i < fake_count(fake, FAKE_WRITE_PHYSICAL); i++) {
        ck_assert_uint_eq(fake_nth(fake, FAKE_WRITE_PHYSICAL, i)->address, at);
        ck_assert_uint_le(fake_nth(fake, FAKE_WRITE_PHYSICAL, i)->length, 65536);
        at += fake_nth(fake, FAKE_WRITE_PHYSICAL, i)->length;
    }
    ck_assert_uint_eq(at, 0x800 + size);
    free(bytes);
}
END_TEST

/* Every kind of region with every flag. */
START_TEST(test_flags_must_match_the_region)
{
    enum { REFUSED = 0, BULK = 'b', NATURAL = 'n', FAULT = 'f' };
    static const struct {
        uint64_t address;
        const char *name;
        char write[4], read[4]; /* by flag */
    } row[] = {
        {0x1000, "pc.ram", {BULK, BULK, REFUSED, REFUSED}, {BULK, BULK, REFUSED, REFUSED}},
        {ROM_BASE, "pc.rom", {FAULT, FAULT, REFUSED, REFUSED}, {BULK, BULK, REFUSED, REFUSED}},
        {HPET_BASE,
         "hpet",
         {NATURAL, REFUSED, NATURAL, REFUSED},
         {NATURAL, REFUSED, NATURAL, REFUSED}},
        {BAR_BASE,
         "edu",
         {NATURAL, REFUSED, NATURAL, REFUSED},
         {NATURAL, REFUSED, NATURAL, REFUSED}},
        {VRAM_BASE, "vga.vram", {BULK, REFUSED, NATURAL, BULK}, {BULK, REFUSED, NATURAL, BULK}},
        {LAPIC_BASE,
         "apic-msi",
         {FAULT, REFUSED, FAULT, REFUSED},
         {FAULT, REFUSED, FAULT, REFUSED}},
        {NOWHERE, "", {FAULT, FAULT, FAULT, FAULT}, {FAULT, FAULT, FAULT, FAULT}},
    };
    uint8_t bytes[16] = "0123456789abcde";

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        for (uint32_t flags = 0; flags < 4; flags++) {
            for (int write = 0; write < 2; write++) {
                uint32_t done = 99;
                char expected = write ? row[i].write[flags] : row[i].read[flags];
                enum fake_op op = write ? FAKE_WRITE_PHYSICAL : FAKE_READ_PHYSICAL;
                fake_clear_log(fake);
                HRESULT hr = write ? put(row[i].address + 4, flags, bytes, 12, &done)
                                   : get(row[i].address + 4, flags, bytes, 12, &done);
                ck_assert_msg(fake_traffic(fake) == fake_count(fake, op), "other traffic");
                if (expected == REFUSED || expected == FAULT) {
                    HRESULT fault = write ? SB_ERROR_WRITE_FAULT : SB_ERROR_READ_FAULT;
                    assert_hr(hr, expected == REFUSED ? E_INVALIDARG : fault);
                    ck_assert_uint_eq(done, 0);
                    ck_assert_uint_eq(fake_traffic(fake), 0);
                    assert_says(machine.a, row[i].name);
                    assert_says(machine.a, write ? "WritePhysical2 at 0x" : "ReadPhysical2 at 0x");
                    continue;
                }
                assert_hr(hr, S_OK);
                ck_assert_uint_eq(done, 12);
                ck_assert_int_eq(fake_nth(fake, op, 0)->access,
                                 expected == BULK ? TARGET_ACCESS_BULK : TARGET_ACCESS_NATURAL);
                ck_assert_uint_eq(fake_count(fake, op), expected == BULK ? 1 : 2);
                if (expected == NATURAL) {
                    ck_assert_uint_eq(fake_nth(fake, op, 0)->length, 4);
                    ck_assert_uint_eq(fake_nth(fake, op, 1)->length, 8);
                }
            }
        }
    }
}
END_TEST

/* Nobody can say that a flag does not match what is unknown; what may be a device gets no bulk. */
START_TEST(test_flags_of_an_unknown_region)
{
    static const enum target_access access[2][3] = {
        {TARGET_ACCESS_BULK, TARGET_ACCESS_BULK, TARGET_ACCESS_NATURAL},
        {TARGET_ACCESS_NATURAL, TARGET_ACCESS_NATURAL, TARGET_ACCESS_NATURAL},
    };
    uint8_t bytes[8] = {0}, page[64];
    uint32_t done;

    for (unsigned device = 0; device < 2; device++) {
        fake->region[0].unknown = true;
        fake->region[0].kind = device ? REGION_DEVICE : REGION_RAM;
        for (uint32_t flags = 0; flags < 3; flags++) {
            fake_clear_log(fake);
            assert_hr(put(0x1000, flags, bytes, 8, &done), S_OK);
            ck_assert_uint_eq(done, 8);
            ck_assert_int_eq(fake_nth(fake, FAKE_WRITE_PHYSICAL, 0)->access, access[device][flags]);
            assert_hr(get(0x1000, flags, bytes, 8, &done), S_OK);
            ck_assert_int_eq(fake_nth(fake, FAKE_READ_PHYSICAL, 0)->access, access[device][flags]);
        }
        assert_hr(put(0x1000, 3, bytes, 8, &done), E_INVALIDARG);
    }
    /* and it is not cached */
    fake->region[0].kind = REGION_RAM;
    fake_clear_log(fake);
    for (unsigned i = 0; i < 2; i++)
        assert_hr(session_read_virtual(machine.a, BASE, page, sizeof page, &done), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 2);
}
END_TEST

START_TEST(test_the_refusal_names_flag_region_and_kind)
{
    assert_hr(put(HPET_BASE, DEBUG_PHYSICAL_CACHED, "x", 1, NULL), E_INVALIDARG);
    assert_says(machine.a, "DEBUG_PHYSICAL_CACHED does not match hpet");
    assert_says(machine.a, region_kind_text(REGION_DEVICE));
    assert_hr(put(VRAM_BASE, DEBUG_PHYSICAL_CACHED, "x", 1, NULL), E_INVALIDARG);
    assert_says(machine.a, "PCI BAR");
}
END_TEST

START_TEST(test_a_flag_over_3_comes_before_all_else)
{
    uint32_t done = 9;

    assert_hr(put(NOWHERE, 4, "x", 1, &done), E_INVALIDARG);
    assert_hr(put(NOWHERE, 4, "x", 0, &done), E_INVALIDARG);
    fake->info.physical = false;
    assert_hr(get(NOWHERE, UINT32_MAX, NULL, 1, &done), E_INVALIDARG);
    ck_assert_uint_eq(done, 0);
    assert_hr(put(0, 0, "x", 1, &done), E_NOTIMPL);
    assert_hr(put(0, 0, "x", 0, &done), E_NOTIMPL);
    fake_resume_by_others(fake);
    assert_hr(put(NOWHERE, 4, "x", 1, &done), E_INVALIDARG);
    ck_assert_uint_eq(fake->log_count, 0);
}
END_TEST

START_TEST(test_a_refused_write_flushes_nothing)
{
    assert_hr(session_write_virtual(machine.a, BASE, "dirt", 4, NULL), S_OK);
    assert_hr(put(HPET_BASE, DEBUG_PHYSICAL_CACHED, "x", 1, NULL), E_INVALIDARG);
    assert_hr(put(0x1000, 9, "x", 1, NULL), E_INVALIDARG);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
}
END_TEST

START_TEST(test_a_range_stops_at_the_first_region_that_refuses)
{
    uint8_t bytes[64];
    uint32_t done;

    memset(bytes, 'r', sizeof(bytes));
    /* RAM, then a hole */
    assert_hr(put(0x100000 - 10, 0, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 10);
    assert_says(machine.a, "10 of 64 bytes written");
    /* RAM, then a device: default takes both, cached the RAM only */
    assert_hr(put(MIXED_BASE + 0x7f0, 0, bytes, 32, &done), S_OK);
    ck_assert_uint_eq(done, 32);
    ck_assert_uint_eq(*fake_byte(fake, MIXED_BASE + 0x80f), 'r');
    assert_hr(put(MIXED_BASE + 0x7f0, DEBUG_PHYSICAL_CACHED, bytes, 32, &done), S_OK);
    ck_assert_uint_eq(done, 16);
    assert_says(machine.a, "uart");
    /* ROM, then RAM: read in one, not a byte written */
    assert_hr(get(ROM_BASE + 2 * PAGE - 4, DEBUG_PHYSICAL_CACHED, bytes, 8, &done), S_OK);
    ck_assert_uint_eq(done, 8);
    assert_hr(put(ROM_BASE + 2 * PAGE - 4, 0, bytes, 8, &done), SB_ERROR_WRITE_FAULT);
    assert_says(machine.a, "pc.rom is ROM");
    ck_assert_uint_eq(*fake_byte(fake, EDGE_BASE), 0);
}
END_TEST

START_TEST(test_failures_in_mid_range_are_counted)
{
    static uint8_t bytes[3 * 65536];
    uint32_t done;

    fake->fail_after = 1;
    fake->fail_error = TARGET_FAILED;
    assert_hr(put(0, 0, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, 65536);
    fake->fail_after = 0;
    assert_hr(put(0, 0, bytes, sizeof(bytes), &done), E_FAIL);
    ck_assert_uint_eq(done, 0);
    fake->fail_after = 1;
    assert_hr(get(HPET_BASE, 0, bytes, 16, &done), S_OK);
    ck_assert_uint_eq(done, 8);
    fake->lose_after = 0;
    assert_hr(get(0, 0, bytes, 16, &done), E_UNEXPECTED);
}
END_TEST

START_TEST(test_while_it_runs_nothing_is_sent)
{
    uint8_t bytes[4];
    uint32_t done = 9;

    fake_resume_by_others(fake);
    assert_hr(put(0x1000, 0, "x", 1, &done), E_UNEXPECTED);
    assert_hr(get(0x1000, 0, bytes, 1, &done), E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
    assert_hr(get(0x1000, 0, bytes, 0, &done), S_OK);
    ck_assert_uint_eq(fake->log_count, 0);
    fake_lose(fake);
    assert_hr(put(0x1000, 0, "x", 1, &done), E_UNEXPECTED);
}
END_TEST

START_TEST(test_the_top_of_the_space)
{
    uint8_t bytes[16] = {0};
    uint32_t done;

    fake_region(fake, REGION_RAM, UINT64_MAX - 15, 16, "top.ram");
    assert_hr(put(UINT64_MAX - 3, 0, "abcdefgh", 8, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    ck_assert_mem_eq(fake_byte(fake, UINT64_MAX - 3), "abcd", 4);
    assert_hr(get(UINT64_MAX - 15, 0, bytes, 16, &done), S_OK);
    ck_assert_uint_eq(done, 16);
    assert_hr(get(UINT64_MAX, 0, bytes, UINT32_MAX, &done), S_OK);
    ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(test_own_clean_lines_follow_a_physical_write)
{
    uint8_t byte;

    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    assert_hr(put(RAM_AT, 0, "p", 1, NULL), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 'p');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("physical");
    TCase *tests = tcase_create("physical");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_ram_in_bulk);
    tcase_add_test(tests, test_a_large_range_is_cut_into_pieces);
    tcase_add_test(tests, test_flags_must_match_the_region);
    tcase_add_test(tests, test_flags_of_an_unknown_region);
    tcase_add_test(tests, test_the_refusal_names_flag_region_and_kind);
    tcase_add_test(tests, test_a_flag_over_3_comes_before_all_else);
    tcase_add_test(tests, test_a_refused_write_flushes_nothing);
    tcase_add_test(tests, test_a_range_stops_at_the_first_region_that_refuses);
    tcase_add_test(tests, test_failures_in_mid_range_are_counted);
    tcase_add_test(tests, test_while_it_runs_nothing_is_sent);
    tcase_add_test(tests, test_the_top_of_the_space);
    tcase_add_test(tests, test_own_clean_lines_follow_a_physical_write);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
