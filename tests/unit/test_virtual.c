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

static void fill(uint8_t *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed + i * 7);
}

/* --- write-back --- */

START_TEST(test_a_write_stays_in_the_view)
{
    uint8_t back[4];
    uint32_t done = 99;

    assert_hr(session_write_virtual(machine.a, BASE + 10, "abcd", 4, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    /* not a byte went out, or came in */
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 0);
    ck_assert_uint_eq(*ram(&machine, BASE + 10), 0);
    assert_hr(session_read_virtual(machine.a, BASE + 10, back, 4, &done), S_OK);
    ck_assert_mem_eq(back, "abcd", 4);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 0);
    assert_hr(session_read_virtual(machine.b, BASE + 10, back, 4, &done), S_OK);
    ck_assert_mem_eq(back, "\0\0\0\0", 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
    ck_assert_uint_eq(dirty_bytes(machine.b), 0);
}
END_TEST

START_TEST(test_a_write_asks_once_what_is_mapped)
{
    uint8_t bytes[3 * PAGE] = {0};

    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 1);
    ck_assert_uint_eq(fake_nth(fake, FAKE_TRANSLATE, 0)->length, 3);
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 1);
    fake->epoch++;
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 2);
}
END_TEST

START_TEST(test_a_write_stops_at_the_unmapped_page)
{
    uint8_t bytes[3 * PAGE] = {0};
    uint32_t done = 99;

    assert_hr(session_write_virtual(machine.a, UNMAPPED - 100, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, 100);
    ck_assert_uint_eq(dirty_bytes(machine.a), 100);
    assert_hr(session_write_virtual(machine.a, UNMAPPED + 1, bytes, 64, &done),
              SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 0);
    ck_assert_str_eq(session_message(machine.a), "WriteVirtual at 0xffff800000008001: page not "
                                                 "mapped (0 of 64 bytes written)");
    assert_hr(session_read_virtual(machine.a, UNMAPPED, bytes, 64, &done), SB_ERROR_READ_FAULT);
    ck_assert_uint_eq(done, 0);
    assert_hr(session_read_virtual(machine.a, UNMAPPED - 1, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 1);
}
END_TEST

START_TEST(test_size_zero_is_nothing)
{
    uint32_t done = 99;

    assert_hr(session_write_virtual(machine.a, UNMAPPED, "", 0, &done), S_OK);
    ck_assert_uint_eq(done, 0);
    fake_resume_by_others(fake);
    assert_hr(session_write_virtual(machine.a, BASE, "", 0, &done), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, NULL, 0, &done), S_OK);
    assert_hr(session_write_virtual_uncached(machine.a, BASE, "", 0, &done), S_OK);
    assert_hr(session_read_virtual_uncached(machine.a, BASE, NULL, 0, &done), S_OK);
    ck_assert_uint_eq(fake->log_count, 0);
}
END_TEST

START_TEST(test_a_range_is_cut_at_the_top)
{
    uint8_t bytes[64] = "at the very top";
    uint32_t done = 0;

    assert_hr(session_write_virtual(machine.a, UINT64_MAX - 7, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 8);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(fake_byte(fake, TOP_AT + PAGE - 8), bytes, 8);
    assert_hr(session_read_virtual(machine.a, UINT64_MAX, bytes, 64, &done), S_OK);
    ck_assert_uint_eq(done, 1);
    assert_hr(session_write_virtual_uncached(machine.a, UINT64_MAX, "x", 1, &done), S_OK);
    ck_assert_uint_eq(done, 1);
    ck_assert_uint_eq(*fake_byte(fake, TOP_AT + PAGE - 1), 'x');
}
END_TEST

START_TEST(test_nothing_is_sent_while_the_target_runs)
{
    uint8_t bytes[8];
    uint64_t physical;
    uint32_t done = 99;

    assert_hr(session_read_virtual(machine.a, BASE, bytes, 8, NULL), S_OK);
    fake_resume_by_others(fake);
    fake_clear_log(fake);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 8, &done), E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
    assert_hr(session_write_virtual(machine.a, BASE, bytes, 8, &done), E_UNEXPECTED);
    assert_hr(session_read_virtual_uncached(machine.a, BASE, bytes, 8, &done), E_UNEXPECTED);
    assert_hr(session_write_virtual_uncached(machine.a, BASE, bytes, 8, &done), E_UNEXPECTED);
    ck_assert_uint_eq(fake->log_count, 0);
    /* this one is the target's to refuse */
    assert_hr(session_virtual_to_physical(machine.a, BASE, &physical), E_UNEXPECTED);
    fake_halt(fake);
    fake_lose(fake);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 8, &done), E_UNEXPECTED);
    assert_hr(session_write_virtual(machine.a, BASE, bytes, 8, &done), E_UNEXPECTED);
    assert_hr(session_virtual_to_physical(machine.a, BASE, &physical), E_UNEXPECTED);
    fake_return(fake);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 8, &done), S_OK);
}
END_TEST

/* --- fills --- */

START_TEST(test_a_read_fills_the_whole_line_once)
{
    uint8_t bytes[PAGE];
    uint32_t done;

    fill(ram(&machine, BASE), PAGE, 3);
    assert_hr(session_read_virtual(machine.a, BASE + 100, bytes, 4, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    ck_assert_mem_eq(bytes, ram(&machine, BASE + 100), 4);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 1);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 0)->length, PAGE);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, PAGE, NULL), S_OK);
    ck_assert_mem_eq(bytes, ram(&machine, BASE), PAGE);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 1);
    ck_assert_uint_eq(machine_status(machine.a).hits, 1);
    ck_assert_uint_eq(machine_status(machine.a).misses, 1);
    ck_assert_uint_eq(machine_status(machine.a).valid_bytes, PAGE);
}
END_TEST

START_TEST(test_a_fill_goes_round_dirty_bytes)
{
    uint8_t bytes[PAGE];

    fill(ram(&machine, BASE), PAGE, 3);
    assert_hr(session_write_virtual(machine.a, BASE, "HEAD", 4, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE + 1000, "MIDDLE", 6, NULL), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, PAGE, NULL), S_OK);
    ck_assert_mem_eq(bytes, "HEAD", 4);
    ck_assert_mem_eq(bytes + 4, ram(&machine, BASE + 4), 996);
    ck_assert_mem_eq(bytes + 1000, "MIDDLE", 6);
    ck_assert_mem_eq(bytes + 1006, ram(&machine, BASE + 1006), PAGE - 1006);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 0)->address, BASE + 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 10);
}
END_TEST

START_TEST(test_many_pages_are_one_batch)
{
    uint8_t bytes[8 * PAGE];

    for (int i = 0; i < 8; i++)
        fill(ram(&machine, BASE + (uint64_t)i * PAGE), PAGE, (unsigned)i);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    ck_assert_mem_eq(bytes, ram(&machine, BASE), sizeof(bytes));
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 8);
}
END_TEST

START_TEST(test_where_a_page_cannot_be_read_the_wanted_bytes_may)
{
    uint8_t bytes[16];
    uint32_t done;

    fill(ram(&machine, BASE), PAGE, 9);
    fake->read_limit = 64;
    assert_hr(session_read_virtual(machine.a, BASE + 5, bytes, 16, &done), S_OK);
    ck_assert_uint_eq(done, 16);
    ck_assert_mem_eq(bytes, ram(&machine, BASE + 5), 16);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 1)->address, BASE + 5);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 1)->length, 16);
    ck_assert_uint_eq(machine_status(machine.a).valid_bytes, 16);
}
END_TEST

START_TEST(test_a_retry_keeps_own_bytes_and_counts_what_came)
{
    uint8_t bytes[200];
    uint32_t done;

    fill(ram(&machine, BASE), PAGE, 9);
    assert_hr(session_write_virtual(machine.a, BASE + 50, "OWN", 3, NULL), S_OK);
    fake->fail_after = 0; /* the fill */
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 200, &done), S_OK);
    ck_assert_uint_eq(done, 200);
    ck_assert_mem_eq(bytes + 50, "OWN", 3);
    ck_assert_mem_eq(bytes, ram(&machine, BASE), 50);
    ck_assert_mem_eq(bytes + 53, ram(&machine, BASE + 53), 147);
    /* both the fill and the retry fail, the retry after a few bytes */
    assert_hr(session_discard(machine.a, NULL), S_OK);
    assert_hr(session_invalidate(machine.a), S_OK);
    fake->read_limit = 1;
    fake->fail_done = 7;
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 200, &done), S_OK);
    ck_assert_uint_eq(done, 7);
    fake->fail_done = 0;
    assert_hr(session_read_virtual(machine.a, BASE + 300, bytes, 200, &done), SB_ERROR_READ_FAULT);
}
END_TEST

START_TEST(test_a_fault_in_the_middle_of_a_read_is_counted)
{
    uint8_t bytes[4 * PAGE];
    uint32_t done;

    fake->fail_after = 2; /* the third page, and not its retry: it wants the same bytes */
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4 * PAGE, &done), S_OK);
    ck_assert_uint_eq(done, 2 * PAGE);
    assert_says(machine.a, "8192 of 16384 bytes read");
}
END_TEST

/* --- stale lines --- */

START_TEST(test_a_line_is_checked_when_translations_may_have_moved)
{
    uint8_t byte;

    *ram(&machine, BASE) = 'a';
    *ram(&machine, BASE + PAGE) = 'b';
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    fake_clear_log(fake);
    fake->epoch++;
    /* the same page still: the line is kept */
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 0);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 1);
    fake_map(fake, 0, BASE, RAM_AT + PAGE);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 'b');
    fake_unmap(fake, 0, BASE);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), SB_ERROR_READ_FAULT);
    assert_hr(session_write_virtual(machine.a, BASE, "x", 1, NULL), SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
}
END_TEST

START_TEST(test_dirty_bytes_outlive_their_mapping_and_go_where_it_points)
{
    uint8_t bytes[2];
    uint32_t done;

    assert_hr(session_read_virtual(machine.a, BASE, bytes, 2, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE, "D", 1, NULL), S_OK);
    fake_unmap(fake, 0, BASE);
    /* own writes can be read, the rest cannot */
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 2, &done), S_OK);
    ck_assert_uint_eq(done, 1);
    ck_assert_uint_eq(bytes[0], 'D');
    assert_hr(session_write_virtual(machine.a, BASE, "E", 1, NULL), SB_ERROR_WRITE_FAULT);
    fake_map(fake, 0, BASE, RAM_AT + 3 * PAGE);
    *ram(&machine, BASE + 3 * PAGE + 1) = 'r';
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 2, &done), S_OK);
    ck_assert_mem_eq(bytes, "Dr", 2);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_uint_eq(*ram(&machine, BASE + 3 * PAGE), 'D');
    ck_assert_uint_eq(*ram(&machine, BASE), 0);
}
END_TEST

START_TEST(test_what_others_write_is_never_read_stale)
{
    uint8_t byte;

    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, ALIAS, &byte, 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.b, BASE + 1, "d", 1, NULL), S_OK);
    /* uncached, flushed, physical: three ways to the target */
    assert_hr(session_write_virtual_uncached(machine.a, ALIAS, "1", 1, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, '1');
    assert_hr(session_write_virtual(machine.a, BASE, "22", 2, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, '1');
    assert_hr(session_flush(machine.a, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, '2');
    assert_hr(session_read_virtual(machine.b, ALIAS, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, '2');
    assert_hr(session_write_physical(machine.a, "WritePhysical", RAM_AT, 0, "33", 2, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, '3');
    /* dirty bytes of others are never touched */
    assert_hr(session_read_virtual(machine.b, BASE + 1, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 'd');
    ck_assert_uint_eq(dirty_bytes(machine.b), 1);
}
END_TEST

START_TEST(test_an_alias_in_the_same_view_is_not_read_stale)
{
    uint8_t byte;

    assert_hr(session_read_virtual(machine.a, ALIAS, &byte, 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE, "n", 1, NULL), S_OK);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    assert_hr(session_read_virtual(machine.a, ALIAS, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 'n');
    /* two dirty aliases in one flush: the higher address is written last */
    assert_hr(session_write_virtual(machine.a, ALIAS, "2", 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE, "1", 1, NULL), S_OK);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, '2');
}
END_TEST

START_TEST(test_memory_changed_drops_clean_bytes_of_all)
{
    uint8_t bytes[2];

    assert_hr(session_read_virtual(machine.a, BASE, bytes, 1, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, BASE, bytes, 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE, "d", 1, NULL), S_OK);
    fake_memory_changed(fake);
    memcpy(ram(&machine, BASE), "xy", 2);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 2, NULL), S_OK);
    ck_assert_mem_eq(bytes, "dy", 2);
    assert_hr(session_read_virtual(machine.b, BASE, bytes, 2, NULL), S_OK);
    ck_assert_mem_eq(bytes, "xy", 2);
}
END_TEST

START_TEST(test_invalidate_drops_clean_lines_only)
{
    uint8_t bytes[2];

    assert_hr(session_read_virtual(machine.a, BASE, bytes, 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE, "d", 1, NULL), S_OK);
    memcpy(ram(&machine, BASE), "xy", 2);
    assert_hr(session_invalidate(machine.a), S_OK);
    ck_assert_uint_eq(machine_status(machine.a).valid_bytes, 1);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 2, NULL), S_OK);
    ck_assert_mem_eq(bytes, "dy", 2);
}
END_TEST

/* --- uncached --- */

START_TEST(test_uncached_leaves_own_lines_as_they_were)
{
    uint8_t bytes[4];
    uint32_t done;

    memcpy(ram(&machine, BASE), "old!", 4);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE + 1, "D", 1, NULL), S_OK);
    struct session_cache_status before = machine_status(machine.a);
    assert_hr(session_write_virtual_uncached(machine.a, BASE, "new!", 4, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    ck_assert_mem_eq(ram(&machine, BASE), "new!", 4);
    assert_hr(session_read_virtual_uncached(machine.a, BASE, bytes, 4, &done), S_OK);
    ck_assert_mem_eq(bytes, "new!", 4);
    struct session_cache_status after = machine_status(machine.a);
    ck_assert_uint_eq(after.valid_bytes, before.valid_bytes);
    ck_assert_uint_eq(after.dirty_bytes, before.dirty_bytes);
    ck_assert_uint_eq(after.lines, before.lines);
    ck_assert_uint_eq(after.hits, before.hits);
    ck_assert_uint_eq(after.misses, before.misses);
    ck_assert_uint_eq(after.flushes, before.flushes);
    /* a later cached read sees the older bytes, and its own */
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "oDd!", 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 1);
}
END_TEST

START_TEST(test_uncached_neither_fills_nor_reads_ahead)
{
    uint8_t bytes[8];

    assert_hr(session_read_virtual_uncached(machine.a, BASE + PAGE - 4, bytes, 8, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 2);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 0)->length, 4);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 1)->length, 4);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
}
END_TEST

START_TEST(test_uncached_stops_at_the_unmapped_page)
{
    uint8_t bytes[3 * PAGE];
    uint32_t done;

    memset(bytes, 'u', sizeof(bytes));
    assert_hr(session_write_virtual_uncached(machine.a, UNMAPPED - 10, bytes, sizeof(bytes), &done),
              S_OK);
    ck_assert_uint_eq(done, 10);
    ck_assert_uint_eq(*ram(&machine, UNMAPPED - 10), 'u');
    ck_assert_uint_eq(*ram(&machine, AFTER), 0);
    assert_hr(session_read_virtual_uncached(machine.a, UNMAPPED - 10, bytes, sizeof(bytes), &done),
              S_OK);
    ck_assert_uint_eq(done, 10);
    assert_hr(session_write_virtual_uncached(machine.a, UNMAPPED, bytes, 1, &done),
              SB_ERROR_WRITE_FAULT);
}
END_TEST

START_TEST(test_a_partly_acknowledged_write_is_counted_as_such)
{
    uint8_t bytes[3 * PAGE] = {1};
    uint32_t done;

    fake->fail_after = 1;
    fake->fail_done = 100;
    assert_hr(session_write_virtual_uncached(machine.a, BASE, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, PAGE + 100);
    fake->lose_after = 1;
    assert_hr(session_write_virtual_uncached(machine.a, BASE, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, PAGE);
    assert_hr(session_write_virtual_uncached(machine.a, BASE, bytes, sizeof(bytes), &done),
              E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
}
END_TEST

/* --- write-through and off --- */

START_TEST(test_write_through_writes_the_target_first)
{
    uint8_t bytes[4];
    uint32_t done;

    assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_THROUGH), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE + 4, "thru", 4, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    ck_assert_mem_eq(ram(&machine, BASE + 4), "thru", 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
    ck_assert_uint_eq(machine_status(machine.a).valid_bytes, 4);
    fake_clear_log(fake);
    assert_hr(session_read_virtual(machine.a, BASE + 4, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "thru", 4);
    ck_assert_uint_eq(fake->log_count, 0);
}
END_TEST

START_TEST(test_write_through_follows_only_what_was_written)
{
    uint8_t bytes[2 * PAGE], back[8];
    uint32_t done;

    assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_THROUGH), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    memset(bytes, 'w', sizeof(bytes));
    fake->fail_after = 1;
    fake->fail_done = 2;
    assert_hr(session_write_virtual(machine.a, BASE + PAGE - 4, bytes, 12, &done), S_OK);
    ck_assert_uint_eq(done, 6);
    fake_clear_log(fake);
    assert_hr(session_read_virtual(machine.a, BASE + PAGE - 4, back, 6, NULL), S_OK);
    ck_assert_mem_eq(back, "wwwwww", 6);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 0);
    /* what was not acknowledged is asked again */
    *ram(&machine, BASE + PAGE + 5) = 'p';
    assert_hr(session_read_virtual(machine.a, BASE + PAGE + 2, back, 6, NULL), S_OK);
    ck_assert_mem_eq(back, "\0\0\0p\0\0", 6);
    ck_assert_uint_ge(fake_count(fake, FAKE_READ_VIRTUAL), 1);
    assert_hr(session_write_virtual(machine.a, UNMAPPED - 2, bytes, 12, &done), S_OK);
    ck_assert_uint_eq(done, 2);
}
END_TEST

START_TEST(test_write_through_to_the_same_memory_twice)
{
    uint8_t bytes[2 * PAGE], back[2 * PAGE];

    assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_THROUGH), S_OK);
    fake_map(fake, 0, BASE + PAGE, RAM_AT);
    memset(bytes, '1', PAGE);
    memset(bytes + PAGE, '2', PAGE);
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, back, sizeof(back), NULL), S_OK);
    ck_assert_mem_eq(back, bytes + PAGE, PAGE);
    ck_assert_mem_eq(back + PAGE, bytes + PAGE, PAGE);
}
END_TEST

START_TEST(test_write_through_to_a_page_that_moves_under_it)
{
    uint8_t bytes[2 * PAGE], byte = 0;

    assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_THROUGH), S_OK);
    fake->table_byte = (struct fake_table_byte){RAM_AT + 16, 0, BASE + PAGE, RAM_AT + 5 * PAGE};
    memset(bytes, 'w', sizeof(bytes));
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    ck_assert_uint_eq(*ram(&machine, BASE + 5 * PAGE), 'w');
    /* and back: nothing was written there */
    fake_map(fake, 0, BASE + PAGE, RAM_AT + PAGE);
    assert_hr(session_read_virtual(machine.a, BASE + PAGE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 0);
}
END_TEST

START_TEST(test_off_is_as_uncached)
{
    uint8_t bytes[4];

    assert_hr(session_write_virtual(machine.a, BASE, "dirt", 4, NULL), S_OK);
    assert_hr(session_set_cache_policy(machine.a, CACHE_OFF), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "dirt", 4); /* flushed by the change */
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    fake_clear_log(fake);
    assert_hr(session_write_virtual(machine.a, BASE, "off.", 4, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "off.", 4);
    for (int i = 0; i < 2; i++)
        assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 2);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 0)->length, 4);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    assert_hr(session_set_cache_policy(machine.a, (enum cache_policy)7), E_INVALIDARG);
}
END_TEST

/* --- ROM, devices, BARs --- */

START_TEST(test_rom_is_patched_by_virtual_writes_and_cached)
{
    uint8_t bytes[4];

    assert_hr(session_read_virtual(machine.a, V_ROM, bytes, 4, NULL), S_OK);
    ck_assert_uint_eq(machine_status(machine.a).valid_bytes, PAGE);
    assert_hr(session_write_virtual(machine.a, V_ROM + 4, "rom!", 4, NULL), S_OK);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(fake_byte(fake, ROM_BASE + 4), "rom!", 4);
    assert_hr(session_write_virtual_uncached(machine.a, V_ROM, "now!", 4, NULL), S_OK);
    ck_assert_mem_eq(fake_byte(fake, ROM_BASE), "now!", 4);
}
END_TEST

static void assert_widths(enum fake_op op, uint64_t address, const size_t *widths)
{
    size_t nth = 0;
    for (; widths[nth]; nth++) {
        const struct fake_entry *entry = fake_nth(fake, op, nth);
        ck_assert_uint_eq(entry->address, address);
        ck_assert_uint_eq(entry->length, widths[nth]);
        ck_assert_int_eq(entry->access, TARGET_ACCESS_NATURAL);
        address += widths[nth];
    }
    ck_assert_uint_eq(fake_count(fake, op), nth);
}

START_TEST(test_a_device_gets_natural_accesses_each_byte_once)
{
    static const size_t widths[] = {1, 2, 4, 8, 8, 4, 2, 1, 0};
    uint8_t bytes[30], back[30];
    uint32_t done;

    fill(bytes, 30, 1);
    for (int uncached = 0; uncached < 2; uncached++) {
        fake_clear_log(fake);
        assert_hr((uncached ? session_write_virtual_uncached
                            : session_write_virtual)(machine.a, V_HPET + 1, bytes, 30, &done),
                  S_OK);
        ck_assert_uint_eq(done, 30);
        assert_widths(FAKE_WRITE_PHYSICAL, HPET_BASE + 1, widths);
        ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
        ck_assert_uint_eq(fake_count(fake, FAKE_READ_PHYSICAL), 0); /* never read back */
        ck_assert_mem_eq(fake_byte(fake, HPET_BASE + 1), bytes, 30);
        assert_hr((uncached ? session_read_virtual_uncached
                            : session_read_virtual)(machine.a, V_HPET + 1, back, 30, &done),
                  S_OK);
        ck_assert_mem_eq(back, bytes, 30);
        assert_widths(FAKE_READ_PHYSICAL, HPET_BASE + 1, widths);
        ck_assert_uint_eq(machine_status(machine.a).lines, 0);
        /* every read counts: it is asked again */
        assert_hr(session_read_virtual(machine.a, V_HPET, back, 4, &done), S_OK);
        ck_assert_uint_eq(fake_count(fake, FAKE_READ_PHYSICAL), 9);
    }
}
END_TEST

START_TEST(test_a_long_device_range_is_all_written)
{
    uint8_t bytes[0x400], back[0x400];
    uint32_t done;

    fill(bytes, sizeof(bytes), 5);
    assert_hr(session_write_virtual(machine.a, V_HPET, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, 0x400);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 128);
    assert_hr(session_read_virtual(machine.a, V_HPET, back, sizeof(back), &done), S_OK);
    ck_assert_mem_eq(bytes, back, sizeof(back));
}
END_TEST

START_TEST(test_a_device_ends_at_its_last_byte)
{
    uint8_t bytes[0x800] = {0};
    uint32_t done;

    assert_hr(session_write_virtual(machine.a, V_HPET + 0x3f8, bytes, 16, &done), S_OK);
    ck_assert_uint_eq(done, 8);
    assert_says(machine.a, "hole");
    assert_hr(session_write_virtual(machine.a, V_HPET + 0x400, bytes, 4, &done),
              SB_ERROR_WRITE_FAULT);
    assert_hr(session_read_virtual(machine.a, V_HPET + 0x400, bytes, 4, &done),
              SB_ERROR_READ_FAULT);
    assert_hr(session_read_virtual_uncached(machine.a, V_HPET, bytes, 0x800, &done), S_OK);
    ck_assert_uint_eq(done, 0x400);
}
END_TEST

START_TEST(test_a_failing_device_access_ends_the_call)
{
    uint8_t bytes[24] = {1};
    uint32_t done;

    fake->fail_after = 1;
    assert_hr(session_write_virtual(machine.a, V_HPET, bytes, 24, &done), S_OK);
    ck_assert_uint_eq(done, 8);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 2);
    fake->fail_after = 0;
    assert_hr(session_read_virtual(machine.a, V_HPET, bytes, 24, &done), SB_ERROR_READ_FAULT);
    ck_assert_uint_eq(done, 0);
}
END_TEST

START_TEST(test_unreachable_and_unassigned_pages_are_faults)
{
    uint8_t bytes[4] = {0};

    assert_hr(session_write_virtual(machine.a, V_LAPIC + 0x80, bytes, 4, NULL),
              SB_ERROR_WRITE_FAULT);
    assert_says(machine.a, "nothing upstream can reach apic-msi");
    assert_hr(session_read_virtual_uncached(machine.a, V_LAPIC, bytes, 4, NULL),
              SB_ERROR_READ_FAULT);
    assert_hr(session_write_virtual(machine.a, V_HOLE, bytes, 4, NULL), SB_ERROR_WRITE_FAULT);
    assert_hr(session_write_virtual_uncached(machine.a, V_HOLE, bytes, 4, NULL),
              SB_ERROR_WRITE_FAULT);
    assert_hr(session_read_virtual(machine.a, V_HOLE, bytes, 4, NULL), SB_ERROR_READ_FAULT);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL) + fake_count(fake, FAKE_WRITE_VIRTUAL),
                      0);
}
END_TEST

START_TEST(test_a_frame_buffer_is_passed_through_in_bulk)
{
    uint8_t bytes[64], back[64];

    fill(bytes, 64, 8);
    assert_hr(session_write_virtual(machine.a, V_VRAM + 3, bytes, 64, NULL), S_OK);
    ck_assert_mem_eq(fake_byte(fake, VRAM_BASE + 3), bytes, 64);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 0);
    assert_hr(session_read_virtual(machine.a, V_VRAM + 3, back, 64, NULL), S_OK);
    ck_assert_mem_eq(back, bytes, 64);
    ck_assert_uint_eq(fake_nth(fake, FAKE_READ_VIRTUAL, 0)->length, 64);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    assert_hr(session_read_virtual(machine.a, V_VRAM + 3, back, 64, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_READ_VIRTUAL), 2);
}
END_TEST

START_TEST(test_a_page_of_several_regions_is_split_at_their_ends)
{
    uint8_t bytes[16], back[16];
    uint32_t done;

    fill(bytes, 16, 77);
    assert_hr(session_write_virtual(machine.a, V_MIXED + 0x7f8, bytes, 16, &done), S_OK);
    ck_assert_uint_eq(done, 16);
    ck_assert_mem_eq(fake_byte(fake, MIXED_BASE + 0x7f8), bytes, 8);
    ck_assert_mem_eq(fake_byte(fake, MIXED_BASE + 0x800), bytes + 8, 8);
    ck_assert_uint_eq(fake_nth(fake, FAKE_WRITE_VIRTUAL, 0)->length, 8);
    ck_assert_uint_eq(fake_nth(fake, FAKE_WRITE_PHYSICAL, 0)->address, MIXED_BASE + 0x800);
    assert_hr(session_read_virtual(machine.a, V_MIXED + 0x7f8, back, 16, &done), S_OK);
    ck_assert_mem_eq(back, bytes, 16);
    /* the epoch moves with the write: what is still memory was written */
    fake->epoch_on_write = true;
    assert_hr(session_write_virtual_uncached(machine.a, V_MIXED + 0x7f8, bytes, 16, &done), S_OK);
    ck_assert_uint_eq(done, 16);
}
END_TEST

START_TEST(test_ram_and_device_in_one_call_keep_their_order)
{
    uint8_t bytes[3 * PAGE];
    uint32_t done;

    fake_map(fake, 0, BASE + PAGE, BAR_BASE);
    memset(bytes, 'o', sizeof(bytes));
    assert_hr(session_write_virtual_uncached(machine.a, BASE + PAGE - 4, bytes, PAGE + 8, &done),
              S_OK);
    ck_assert_uint_eq(done, PAGE + 8);
    ck_assert_int_eq(fake->log[1].op, FAKE_WRITE_VIRTUAL);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), PAGE / 8);
    ck_assert_int_eq(fake->log[fake->log_count - 1].op, FAKE_WRITE_VIRTUAL);
    assert_hr(session_read_virtual(machine.b, BASE + PAGE - 4, bytes, PAGE + 8, &done), S_OK);
    ck_assert_uint_eq(done, PAGE + 8);
}
END_TEST

START_TEST(test_a_doorbell_finds_its_descriptors_in_memory)
{
    assert_hr(session_write_virtual(machine.a, BASE, "desc", 4, NULL), S_OK);
    fake_clear_log(fake);
    assert_hr(session_write_virtual_uncached(machine.a, V_HPET, "ring", 4, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
    assert_hr(session_write_virtual(machine.a, V_HPET, "ring", 4, NULL), S_OK);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
    ck_assert_mem_eq(ram(&machine, BASE), "desc", 4);
    /* in that order */
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 2);
    ck_assert_int_eq(fake->log[fake->log_count - 1].op, FAKE_WRITE_PHYSICAL);
    /* and when the descriptors are lost, it does not ring */
    assert_hr(session_write_virtual(machine.a, BASE, "desc", 4, NULL), S_OK);
    fake->fail_after = 0;
    assert_hr(session_write_virtual(machine.a, V_HPET, "ring", 4, NULL), E_FAIL);
    assert_says(machine.a, "4 dirty bytes lost, the first at 0xffff800000000000");
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 2);
}
END_TEST

/* --- what is answered OK and lost --- */

START_TEST(test_a_write_that_remaps_the_next_page_is_not_believed)
{
    uint8_t bytes[2 * PAGE];
    uint32_t done;

    memset(bytes, 'm', sizeof(bytes));
    /* the first page holds the page table of the second, which becomes a device */
    fake->table_byte = (struct fake_table_byte){RAM_AT + 16, 0, BASE + PAGE, BAR_BASE};
    assert_hr(session_write_virtual_uncached(machine.a, BASE, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, PAGE);
    ck_assert_uint_eq(*fake_byte(fake, BAR_BASE), 0);
}
END_TEST

START_TEST(test_a_target_whose_translations_always_move_still_works)
{
    uint8_t bytes[4 * PAGE], back[4 * PAGE];
    uint32_t done;

    fake->epoch_on_write = true;
    fill(bytes, sizeof(bytes), 4);
    assert_hr(session_write_virtual_uncached(machine.a, BASE + 5, bytes, 3 * PAGE, &done), S_OK);
    ck_assert_uint_eq(done, 3 * PAGE);
    assert_hr(session_read_virtual(machine.b, BASE + 5, back, 3 * PAGE, &done), S_OK);
    ck_assert_mem_eq(back, bytes, 3 * PAGE);
}
END_TEST

START_TEST(test_virtual_to_physical)
{
    uint64_t physical = 0;

    assert_hr(session_write_virtual(machine.a, BASE, "f", 1, NULL), S_OK);
    assert_hr(session_virtual_to_physical(machine.a, BASE + PAGE + 0x123, &physical), S_OK);
    ck_assert_uint_eq(physical, RAM_AT + PAGE + 0x123);
    ck_assert_uint_eq(*ram(&machine, BASE), 'f'); /* flushed first */
    assert_hr(session_virtual_to_physical(machine.a, UINT64_MAX, &physical), S_OK);
    ck_assert_uint_eq(physical, TOP_AT + PAGE - 1);
    assert_hr(session_virtual_to_physical(machine.a, UNMAPPED, &physical), SB_STATUS_NO_PAGEFILE);
    assert_says(machine.a, "VirtualToPhysical at 0xffff800000008000");
    fake->info.physical = false;
    assert_hr(session_virtual_to_physical(machine.a, BASE, &physical), E_NOTIMPL);
}
END_TEST

START_TEST(test_a_target_without_physical_space)
{
    uint8_t bytes[4];

    fake_map(fake, 0, 0x400000, 0x40000);
    fake->info.physical = false;
    assert_hr(session_write_virtual(machine.a, 0x400ffe, "abcd", 4, NULL), S_OK);
    ck_assert_uint_eq(dirty_bytes(machine.a), 2); /* the next page is not there */
    assert_hr(session_flush(machine.a, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, 0x400ffe, bytes, 2, NULL), S_OK);
    ck_assert_mem_eq(bytes, "ab", 2);
    assert_hr(session_write_virtual_uncached(machine.a, 0x400ffe, "zz", 2, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, 0x400ffe, bytes, 2, NULL), S_OK);
    ck_assert_mem_eq(bytes, "zz", 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("virtual");
    TCase *tests = tcase_create("virtual");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_a_write_stays_in_the_view);
    tcase_add_test(tests, test_a_write_asks_once_what_is_mapped);
    tcase_add_test(tests, test_a_write_stops_at_the_unmapped_page);
    tcase_add_test(tests, test_size_zero_is_nothing);
    tcase_add_test(tests, test_a_range_is_cut_at_the_top);
    tcase_add_test(tests, test_nothing_is_sent_while_the_target_runs);
    tcase_add_test(tests, test_a_read_fills_the_whole_line_once);
    tcase_add_test(tests, test_a_fill_goes_round_dirty_bytes);
    tcase_add_test(tests, test_many_pages_are_one_batch);
    tcase_add_test(tests, test_where_a_page_cannot_be_read_the_wanted_bytes_may);
    tcase_add_test(tests, test_a_retry_keeps_own_bytes_and_counts_what_came);
    tcase_add_test(tests, test_a_fault_in_the_middle_of_a_read_is_counted);
    tcase_add_test(tests, test_a_line_is_checked_when_translations_may_have_moved);
    tcase_add_test(tests, test_dirty_bytes_outlive_their_mapping_and_go_where_it_points);
    tcase_add_test(tests, test_what_others_write_is_never_read_stale);
    tcase_add_test(tests, test_an_alias_in_the_same_view_is_not_read_stale);
    tcase_add_test(tests, test_memory_changed_drops_clean_bytes_of_all);
    tcase_add_test(tests, test_invalidate_drops_clean_lines_only);
    tcase_add_test(tests, test_uncached_leaves_own_lines_as_they_were);
    tcase_add_test(tests, test_uncached_neither_fills_nor_reads_ahead);
    tcase_add_test(tests, test_uncached_stops_at_the_unmapped_page);
    tcase_add_test(tests, test_a_partly_acknowledged_write_is_counted_as_such);
    tcase_add_test(tests, test_write_through_writes_the_target_first);
    tcase_add_test(tests, test_write_through_follows_only_what_was_written);
    tcase_add_test(tests, test_write_through_to_the_same_memory_twice);
    tcase_add_test(tests, test_write_through_to_a_page_that_moves_under_it);
    tcase_add_test(tests, test_off_is_as_uncached);
    tcase_add_test(tests, test_rom_is_patched_by_virtual_writes_and_cached);
    tcase_add_test(tests, test_a_device_gets_natural_accesses_each_byte_once);
    tcase_add_test(tests, test_a_long_device_range_is_all_written);
    tcase_add_test(tests, test_a_device_ends_at_its_last_byte);
    tcase_add_test(tests, test_a_failing_device_access_ends_the_call);
    tcase_add_test(tests, test_unreachable_and_unassigned_pages_are_faults);
    tcase_add_test(tests, test_a_frame_buffer_is_passed_through_in_bulk);
    tcase_add_test(tests, test_a_page_of_several_regions_is_split_at_their_ends);
    tcase_add_test(tests, test_ram_and_device_in_one_call_keep_their_order);
    tcase_add_test(tests, test_a_doorbell_finds_its_descriptors_in_memory);
    tcase_add_test(tests, test_a_write_that_remaps_the_next_page_is_not_believed);
    tcase_add_test(tests, test_a_target_whose_translations_always_move_still_works);
    tcase_add_test(tests, test_virtual_to_physical);
    tcase_add_test(tests, test_a_target_without_physical_space);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
