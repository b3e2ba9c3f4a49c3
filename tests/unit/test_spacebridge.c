/* The client library's functions, against the real front on a fake machine. */
#include "spacebridge/spacebridge.h"

#include "served_machine.h"
#include "wire/protocol.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BASE UINT64_C(0x100000000)
#define LARGE_SIZE ((size_t)160 * 1024 * 1024)

static struct served_machine served;
static spacebridge_t *sb;

static spacebridge_t *join(void)
{
    char error[2048];
    spacebridge_t *joined = spacebridge_open(served.endpoint, 20, error, sizeof error);

    ck_assert_msg(joined != NULL, "%s", error);
    return joined;
}

static const struct target_transport ways[] = {
    {.name = "rsp", .open = true, .calls = 3, .bytes_read = UINT64_MAX, .bytes_written = 5},
    {.name = "qtest", .note = "nobody asked for it"},
    {.name = "a way whose name is longer than any today", .open = true},
};
#define WAYS (sizeof ways / sizeof ways[0])

static void add_ways(struct machine *machine)
{
    machine->fake.transports = ways;
    machine->fake.transports_count = WAYS;
}

static void set_up(void)
{
    served_start(&served, add_ways);
    sb = join();
}

static void tear_down(void)
{
    spacebridge_close(sb);
    served_stop(&served);
}

static void says(const char *part)
{
    ck_assert_msg(strstr(spacebridge_last_message(sb), part), "\"%s\" lacks \"%s\"",
                  spacebridge_last_message(sb), part);
}

START_TEST(the_target_is_known)
{
    struct spacebridge_hello hello;

    assert_hr(spacebridge_get_hello(sb, &hello), S_OK);
    ck_assert_uint_eq(hello.pointer_size, 8);
    ck_assert_uint_eq(hello.processors, 2);
    ck_assert_uint_eq(hello.page_size, 4096);
    ck_assert(!hello.big_endian);
    ck_assert_str_ne(hello.server_version, "");
}
END_TEST

START_TEST(virtual_memory)
{
    spacebridge_t *other = join();
    size_t done = 9;
    char text[8] = "";
    uint64_t flushed;

    assert_hr(spacebridge_write_virtual(sb, BASE, "abcd", 4, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    assert_hr(spacebridge_read_virtual(sb, BASE, text, 4, &done), S_OK);
    ck_assert_str_eq(text, "abcd");
    assert_hr(spacebridge_read_virtual(other, BASE, text, 4, &done), S_OK);
    ck_assert_str_eq(text, "");
    assert_hr(spacebridge_flush_cache(sb, &flushed), S_OK);
    ck_assert_uint_eq(flushed, 4);
    assert_hr(spacebridge_read_virtual_uncached(other, BASE, text, 4, NULL), S_OK);
    ck_assert_str_eq(text, "abcd");
    assert_hr(spacebridge_write_virtual_uncached(sb, BASE, "wxyz", 4, NULL), S_OK);
    assert_hr(spacebridge_read_virtual_uncached(other, BASE, text, 4, NULL), S_OK);
    ck_assert_str_eq(text, "wxyz");
    spacebridge_close(other);
}
END_TEST

START_TEST(partial_and_failed_transfers)
{
    uint8_t bytes[64] = {0};
    size_t done = 9;

    assert_hr(spacebridge_write_virtual(sb, UNMAPPED - 16, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 16);
    says("WriteVirtual: 16 of 64 bytes");
    assert_hr(spacebridge_read_virtual(sb, UNMAPPED - 16, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 16);
    assert_hr(spacebridge_write_virtual(sb, UNMAPPED, bytes, 64, &done), SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 0);
    says("WriteVirtual");
    assert_hr(spacebridge_read_virtual(sb, UNMAPPED, bytes, 64, &done), SB_ERROR_READ_FAULT);
    ck_assert_uint_eq(done, 0);
    assert_hr(spacebridge_write_virtual(sb, UNMAPPED, NULL, 0, &done), S_OK);
    assert_hr(spacebridge_read_virtual(sb, UNMAPPED, NULL, 0, &done), S_OK);
    /* The top of the space. */
    assert_hr(spacebridge_write_virtual(sb, UINT64_MAX - 3, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 4);
}
END_TEST

START_TEST(physical_memory_pointers_and_ports)
{
    uint64_t pointers[2] = {UINT64_MAX - 5, 6}, physical;
    uint8_t port[2] = {0x12, 0x34}, bytes[4] = {0};
    uint32_t moved = 9;
    size_t done = 9;

    assert_hr(spacebridge_write_physical(sb, RAM_AT, "pqrs", 4, &done), S_OK);
    assert_hr(spacebridge_read_physical(sb, RAM_AT, bytes, 4, &done), S_OK);
    ck_assert_mem_eq(bytes, "pqrs", 4);
    assert_hr(spacebridge_write_physical2(sb, BAR_BASE, DEBUG_PHYSICAL_UNCACHED, "tuvw", 4, &done),
              S_OK);
    assert_hr(spacebridge_read_physical2(sb, BAR_BASE, DEBUG_PHYSICAL_UNCACHED, bytes, 4, &done),
              S_OK);
    ck_assert_mem_eq(bytes, "tuvw", 4);
    assert_hr(spacebridge_write_physical2(sb, BAR_BASE, 7, "tuvw", 4, &done), E_INVALIDARG);
    ck_assert_uint_eq(done, 0);
    assert_hr(spacebridge_write_pointers_virtual(sb, 2, BASE, pointers), S_OK);
    memset(pointers, 0, sizeof pointers);
    assert_hr(spacebridge_read_pointers_virtual(sb, 2, BASE, pointers), S_OK);
    ck_assert_uint_eq(pointers[0], UINT64_MAX - 5);
    ck_assert_uint_eq(pointers[1], 6);
    assert_hr(spacebridge_read_pointers_virtual(sb, WIRE_POINTERS_MOST + 1, BASE, pointers),
              E_INVALIDARG);
    says("pointers are more than");
    assert_hr(spacebridge_write_io(sb, SB_INTERFACE_ISA, 0, 1, 0x70, port, 2, &moved), S_OK);
    ck_assert_uint_eq(moved, 2);
    assert_hr(spacebridge_read_io(sb, SB_INTERFACE_ISA, 0, 1, 0x70, bytes, 2, &moved), S_OK);
    ck_assert_mem_eq(bytes, port, 2);
    assert_hr(spacebridge_read_io(sb, SB_INTERFACE_UNDEFINED, 0, 1, 0x70, bytes, 2, NULL),
              E_INVALIDARG);
    assert_hr(spacebridge_virtual_to_physical(sb, BASE + 9, &physical), S_OK);
    ck_assert_uint_eq(physical, RAM_AT + 9);
    assert_hr(spacebridge_virtual_to_physical(sb, UNMAPPED, NULL), SB_STATUS_NO_PAGEFILE);
}
END_TEST

START_TEST(fills)
{
    uint32_t filled = 9;
    char bytes[16];

    /* Over and over, the last copy cut short. */
    assert_hr(spacebridge_fill_virtual(sb, BASE + 1, 8, "abc", 3, &filled), S_OK);
    ck_assert_uint_eq(filled, 8);
    assert_hr(spacebridge_read_virtual(sb, BASE, bytes, 10, NULL), S_OK);
    ck_assert_mem_eq(bytes, "\0abcabcab\0", 10);
    assert_hr(spacebridge_fill_physical(sb, RAM_AT + 16, 4, "wxyz123", 7, &filled), S_OK);
    ck_assert_uint_eq(filled, 4);
    assert_hr(spacebridge_read_physical(sb, RAM_AT + 15, bytes, 6, NULL), S_OK);
    ck_assert_mem_eq(bytes, "\0wxyz\0", 6);
    assert_hr(spacebridge_fill_physical(sb, RAM_AT + 16, 4, "-", 1, NULL), S_OK);
    assert_hr(spacebridge_read_physical(sb, RAM_AT + 16, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "----", 4);
    /* Up to the end of what is mapped, and not one byte. */
    assert_hr(spacebridge_fill_virtual(sb, UNMAPPED - 16, 64, "fill", 4, &filled), S_OK);
    ck_assert_uint_eq(filled, 16);
    assert_hr(spacebridge_fill_virtual(sb, UNMAPPED, 64, "fill", 4, &filled), SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(filled, 0);
    says("FillVirtual");
    filled = 9;
    assert_hr(spacebridge_fill_physical(sb, RAM_AT, 4, NULL, 0, &filled), E_INVALIDARG);
    ck_assert_uint_eq(filled, 0);
    says("FillPhysical");
    assert_hr(spacebridge_fill_virtual(sb, BASE, 0, "fill", 4, &filled), S_OK);
    ck_assert_uint_eq(filled, 0);
}
END_TEST

START_TEST(the_ways_to_the_target)
{
    struct spacebridge_transport got[WAYS + 1];
    size_t count = 9;

    assert_hr(spacebridge_get_transport_status(sb, got, WAYS + 1, &count), S_OK);
    ck_assert_uint_eq(count, WAYS);
    ck_assert_str_eq(got[0].name, "rsp");
    ck_assert_uint_eq(got[0].open, 1);
    ck_assert_uint_eq(got[0].calls, 3);
    ck_assert_uint_eq(got[0].bytes_read, UINT64_MAX);
    ck_assert_uint_eq(got[0].bytes_written, 5);
    ck_assert_str_eq(got[0].note, "");
    ck_assert_str_eq(got[1].name, "qtest");
    ck_assert_uint_eq(got[1].open, 0);
    ck_assert_str_eq(got[1].note, "nobody asked for it");
    /* Cut, and ended. */
    ck_assert_uint_eq(strlen(got[2].name), sizeof got[2].name - 1);
    ck_assert_int_eq(strncmp(got[2].name, ways[2].name, sizeof got[2].name - 1), 0);
    /* No more than there is room for. */
    memset(got, 0x5a, sizeof got);
    assert_hr(spacebridge_get_transport_status(sb, got, 1, &count), S_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(got[0].name, "rsp");
    ck_assert_int_eq(got[1].name[0], 0x5a);
    assert_hr(spacebridge_get_transport_status(sb, NULL, 0, &count), S_OK);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(run_control)
{
    uint32_t number = 9;
    char text[100];

    assert_hr(spacebridge_get_execution_status(sb, &number), S_OK);
    ck_assert_uint_eq(number, DEBUG_STATUS_BREAK);
    assert_hr(spacebridge_set_execution_status(sb, DEBUG_STATUS_GO), S_OK);
    assert_hr(spacebridge_wait_for_event(sb, 0, text, sizeof text), S_FALSE);
    ck_assert_str_eq(text, "");
    assert_hr(spacebridge_set_interrupt(sb), S_OK);
    assert_hr(spacebridge_wait_for_event(sb, UINT32_MAX, text, sizeof text), S_OK);
    ck_assert_str_ne(text, "");
    assert_hr(spacebridge_wait_for_event(sb, 0, NULL, 0), S_OK);
    assert_hr(spacebridge_get_number_processors(sb, &number), S_OK);
    ck_assert_uint_eq(number, 2);
    assert_hr(spacebridge_set_current_processor(sb, 1), S_OK);
    assert_hr(spacebridge_get_current_processor(sb, &number), S_OK);
    ck_assert_uint_eq(number, 1);
    assert_hr(spacebridge_get_current_processor(sb, NULL), S_OK);
}
END_TEST

START_TEST(the_view)
{
    struct spacebridge_cache_status status;
    uint64_t count;

    assert_hr(spacebridge_write_virtual(sb, BASE, "abc", 3, NULL), S_OK);
    assert_hr(spacebridge_get_cache_status(sb, &status), S_OK);
    ck_assert_str_eq(status.policy, "write-back");
    ck_assert_uint_eq(status.size, SPACE_CACHE_SIZE_DEFAULT);
    ck_assert_uint_eq(status.dirty_bytes, 3);
    ck_assert_uint_eq(status.dirty_lines, 1);
    assert_hr(spacebridge_discard_cache(sb, &count), S_OK);
    ck_assert_uint_eq(count, 3);
    assert_hr(spacebridge_invalidate_cache(sb), S_OK);
    assert_hr(spacebridge_set_cache_policy(sb, "write-through"), S_OK);
    assert_hr(spacebridge_set_cache_policy(sb, "sometimes"), E_INVALIDARG);
    says("sometimes");
    assert_hr(spacebridge_get_cache_status(sb, &status), S_OK);
    ck_assert_str_eq(status.policy, "write-through");
}
END_TEST

static void add_large(struct machine *machine)
{
    fake_region(&machine->fake, REGION_RAM, LARGE_BASE, LARGE_SIZE, "large.ram");
}

/* More than one frame carries, at an odd address; then up to and over the end of memory. */
START_TEST(large_transfers_are_split)
{
    const size_t size = (size_t)WIRE_FRAME_MOST * 2 + 12345;
    uint8_t *bytes = malloc(size), *back = calloc(1, size);
    size_t done = 9;

    served_start(&served, add_large);
    sb = join();
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 12));
    assert_hr(spacebridge_write_physical(sb, LARGE_BASE + 3, bytes, size, &done), S_OK);
    ck_assert_uint_eq(done, size);
    ck_assert_str_eq(spacebridge_last_message(sb), "");
    assert_hr(spacebridge_read_physical(sb, LARGE_BASE + 3, back, size, &done), S_OK);
    ck_assert_uint_eq(done, size);
    ck_assert_mem_eq(bytes, back, size);
    uint64_t end = LARGE_BASE + LARGE_SIZE;
    assert_hr(spacebridge_write_physical(sb, end - WIRE_FRAME_MOST - 100, bytes, size, &done),
              S_OK);
    ck_assert_uint_eq(done, WIRE_FRAME_MOST + 100);
    says("WritePhysical");
    assert_hr(spacebridge_read_physical(sb, end - WIRE_FRAME_MOST - 100, back, size, &done), S_OK);
    ck_assert_uint_eq(done, WIRE_FRAME_MOST + 100);
    assert_hr(spacebridge_write_physical(sb, end, bytes, size, &done), SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 0);
    free(bytes);
    free(back);
    spacebridge_close(sb);
    served_stop(&served);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(spacebridge_hresult_name(S_OK), "S_OK");
    ck_assert_str_eq(spacebridge_hresult_name(SB_ERROR_WRITE_FAULT), "ERROR_WRITE_FAULT");
    ck_assert_str_eq(spacebridge_hresult_name(SB_STATUS_NO_PAGEFILE), "STATUS_NO_PAGEFILE");
    ck_assert_str_eq(spacebridge_hresult_name((HRESULT)0x80040205), "HRESULT");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spacebridge");
    TCase *tcase = tcase_create("calls"), *alone = tcase_create("alone");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, the_target_is_known);
    tcase_add_test(tcase, virtual_memory);
    tcase_add_test(tcase, partial_and_failed_transfers);
    tcase_add_test(tcase, physical_memory_pointers_and_ports);
    tcase_add_test(tcase, fills);
    tcase_add_test(tcase, the_ways_to_the_target);
    tcase_add_test(tcase, run_control);
    tcase_add_test(tcase, the_view);
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(alone, 120);
    tcase_add_test(alone, large_transfers_are_split);
    tcase_add_test(alone, names);
    suite_add_tcase(suite, alone);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
