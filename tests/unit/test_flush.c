#include "space/run.h"
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

/* A view of four lines. */
static void set_up_small(void)
{
    machine_start(&machine, CACHE_WRITE_BACK, 4 * PAGE);
}

static void tear_down(void)
{
    machine_stop(&machine);
}

static void put(struct session *session, uint64_t address, const char *text)
{
    assert_hr(session_write_virtual(session, address, text, (uint32_t)strlen(text), NULL), S_OK);
}

START_TEST(test_exactly_the_dirty_bytes_in_address_order)
{
    uint64_t flushed = 0;
    uint8_t bytes[PAGE];

    assert_hr(session_read_virtual(machine.a, BASE + PAGE, bytes, PAGE, NULL), S_OK);
    put(machine.a, AFTER, "last");
    put(machine.a, BASE + PAGE - 2, "over");
    put(machine.a, BASE, "first");
    put(machine.a, BASE + 100, "x");
    fake_clear_log(fake);
    assert_hr(session_flush(machine.a, &flushed), S_OK);
    ck_assert_uint_eq(flushed, 14);
    static const struct {
        uint64_t address;
        size_t length;
    } expected[] = {{BASE, 5}, {BASE + 100, 1}, {BASE + PAGE - 2, 2}, {BASE + PAGE, 2}, {AFTER, 4}};
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 5);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(fake_nth(fake, FAKE_WRITE_VIRTUAL, i)->address, expected[i].address);
        ck_assert_uint_eq(fake_nth(fake, FAKE_WRITE_VIRTUAL, i)->length, expected[i].length);
    }
    /* nothing may have moved since the writes */
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 0);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE - 2), "over", 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
    /* what was dirty is valid still */
    fake_clear_log(fake);
    assert_hr(session_read_virtual(machine.a, AFTER, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "last", 4);
    ck_assert_uint_eq(fake->log_count, 0);
    assert_hr(session_flush(machine.a, &flushed), S_OK);
    ck_assert_uint_eq(flushed, 0);
    ck_assert_uint_eq(fake->log_count, 0);
    ck_assert_uint_eq(machine_status(machine.a).flushes, 1);
    ck_assert_uint_eq(machine_status(machine.a).flushed_bytes, 14);
}
END_TEST

START_TEST(test_pages_that_may_have_moved_are_looked_up_together)
{
    put(machine.a, BASE, "one");
    put(machine.a, BASE + PAGE, "two");
    put(machine.a, AFTER, "three");
    fake->epoch++;
    fake_clear_log(fake);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_uint_eq(fake_count(fake, FAKE_TRANSLATE), 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 3);
}
END_TEST

START_TEST(test_a_hole_in_the_middle_loses_its_bytes_alone)
{
    uint64_t flushed = 0;
    uint8_t byte;

    put(machine.a, BASE, "one");
    put(machine.a, BASE + PAGE + 7, "gone");
    put(machine.a, BASE + PAGE + 100, "gone too");
    put(machine.a, BASE + 2 * PAGE, "three");
    fake_unmap(fake, 0, BASE + PAGE);
    assert_hr(session_flush(machine.a, &flushed), E_FAIL);
    ck_assert_uint_eq(flushed, 8);
    assert_says(machine.a, "FlushCache");
    assert_says(machine.a, "12 dirty bytes lost, the first at 0xffff800000001007");
    assert_says(machine.a, "page not mapped");
    ck_assert_mem_eq(ram(&machine, BASE), "one", 3);
    ck_assert_mem_eq(ram(&machine, BASE + 2 * PAGE), "three", 5);
    struct session_cache_status status = machine_status(machine.a);
    ck_assert_uint_eq(status.lost_bytes, 12);
    ck_assert_uint_eq(status.dirty_bytes, 0);
    ck_assert_uint_eq(status.valid_bytes, 8);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 0); /* the answer says it */
    assert_hr(session_flush(machine.a, &flushed), S_OK);
    fake_map(fake, 0, BASE + PAGE, RAM_AT + PAGE);
    assert_hr(session_read_virtual(machine.a, BASE + PAGE + 7, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 0);
}
END_TEST

START_TEST(test_a_write_that_fails_loses_what_was_not_acknowledged)
{
    uint64_t flushed = 0;
    uint8_t bytes[8];

    put(machine.a, BASE, "12345678");
    put(machine.a, BASE + PAGE, "next");
    fake->fail_after = 0;
    fake->fail_done = 3;
    fake->fail_error = TARGET_FAILED;
    assert_hr(session_flush(machine.a, &flushed), E_FAIL);
    ck_assert_uint_eq(flushed, 7);
    assert_says(machine.a, "5 dirty bytes lost, the first at 0xffff800000000003");
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "next", 4);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 8, NULL), S_OK);
    ck_assert_mem_eq(bytes, "123\0\0\0\0\0", 8);
}
END_TEST

START_TEST(test_a_page_that_became_a_device_is_written_as_one)
{
    put(machine.a, BASE + 4, "1234");
    put(machine.a, BASE + PAGE, "ram");
    fake_map(fake, 0, BASE, HPET_BASE);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(fake_byte(fake, HPET_BASE + 4), "1234", 4);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL), 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 1);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "ram", 3);
}
END_TEST

START_TEST(test_a_page_that_cannot_be_reached_any_more_is_lost)
{
    put(machine.a, BASE, "a");
    put(machine.a, BASE + PAGE, "b");
    fake_map(fake, 0, BASE, LAPIC_BASE);
    fake_map(fake, 0, BASE + PAGE, NOWHERE);
    assert_hr(session_flush(machine.a, NULL), E_FAIL);
    assert_says(machine.a, "2 dirty bytes lost, the first at 0xffff800000000000");
    assert_says(machine.a, "nothing upstream can reach apic-msi");
}
END_TEST

START_TEST(test_a_flush_that_remaps_its_own_pages_is_not_believed)
{
    uint64_t flushed = 0;

    /* The first page written is the page table of the second. The stub answers OK to all. */
    fake->table_byte = (struct fake_table_byte){RAM_AT + 16, 0, BASE + PAGE, BAR_BASE};
    put(machine.a, BASE + 16, "T");
    put(machine.a, BASE + PAGE + 5, "swallowed");
    put(machine.a, BASE + 2 * PAGE, "fine");
    assert_hr(session_flush(machine.a, &flushed), E_FAIL);
    ck_assert_uint_eq(flushed, 5);
    assert_says(machine.a, "9 dirty bytes lost, the first at 0xffff800000001005");
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

START_TEST(test_a_flush_that_moves_a_page_within_memory_is_believed)
{
    uint8_t byte;

    fake->table_byte = (struct fake_table_byte){RAM_AT + 16, 0, BASE + PAGE, RAM_AT + 5 * PAGE};
    assert_hr(session_read_virtual(machine.b, BASE + 5 * PAGE, &byte, 1, NULL), S_OK);
    put(machine.a, BASE + 16, "T");
    put(machine.a, BASE + PAGE, "m");
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_uint_eq(*ram(&machine, BASE + 5 * PAGE), 'm');
    assert_hr(session_read_virtual(machine.b, BASE + 5 * PAGE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 'm');
    assert_hr(session_read_virtual(machine.a, BASE + PAGE, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 'm');
}
END_TEST

START_TEST(test_discard_rolls_back)
{
    uint64_t dropped = 0;
    uint8_t bytes[4];

    memcpy(ram(&machine, BASE), "real", 4);
    put(machine.a, BASE, "fake");
    put(machine.b, BASE, "keep");
    assert_hr(session_discard(machine.a, &dropped), S_OK);
    ck_assert_uint_eq(dropped, 4);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "real", 4);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
    ck_assert_uint_eq(dirty_bytes(machine.b), 4);
    assert_hr(session_discard(machine.a, &dropped), S_OK);
    ck_assert_uint_eq(dropped, 0);
}
END_TEST

START_TEST(test_nothing_is_flushed_while_the_target_runs)
{
    uint64_t flushed = 99;

    put(machine.a, BASE, "kept");
    fake_resume_by_others(fake);
    fake_clear_log(fake);
    assert_hr(session_flush(machine.a, &flushed), E_UNEXPECTED);
    ck_assert_uint_eq(flushed, 0);
    assert_says(machine.a, "FlushCache");
    ck_assert_uint_eq(fake->log_count, 0);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
    fake_halt(fake);
    assert_hr(session_flush(machine.a, &flushed), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "kept", 4);
}
END_TEST

static void resume_hook(void *context, enum fake_op op, bool after)
{
    (void)context;
    if (op == FAKE_WRITE_VIRTUAL && !after) {
        fake->hook = NULL;
        fake_resume_by_others(fake);
    }
}

START_TEST(test_bytes_that_were_not_sent_stay_dirty)
{
    uint64_t flushed = 99;

    put(machine.a, BASE, "kept");
    put(machine.a, BASE + PAGE, "too");
    fake->hook = resume_hook;
    assert_hr(session_flush(machine.a, &flushed), E_UNEXPECTED);
    ck_assert_uint_eq(flushed, 0);
    ck_assert_uint_eq(dirty_bytes(machine.a), 7);
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, 0);
    fake_halt(fake);
    assert_hr(session_flush(machine.a, &flushed), S_OK);
    ck_assert_uint_eq(flushed, 7);
    ck_assert_mem_eq(ram(&machine, BASE), "kept", 4);
}
END_TEST

/* --- a full view --- */

START_TEST(test_clean_lines_go_before_anything_is_flushed)
{
    uint8_t bytes[3 * PAGE];

    assert_hr(session_read_virtual(machine.a, BASE, bytes, 3 * PAGE, NULL), S_OK);
    put(machine.a, BASE + 3 * PAGE, "1");
    put(machine.a, BASE + 4 * PAGE, "2");
    put(machine.a, BASE + 5 * PAGE, "3");
    ck_assert_uint_eq(machine_status(machine.a).evictions, 2);
    ck_assert_uint_eq(machine_status(machine.a).used, 4 * PAGE);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
    put(machine.a, BASE + 6 * PAGE, "4");
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
    put(machine.a, BASE + 7 * PAGE, "5");
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 1);
    ck_assert_uint_eq(machine_status(machine.a).lines, 4);
}
END_TEST

START_TEST(test_a_read_does_not_flush_a_full_view)
{
    uint8_t bytes[4];

    for (int i = 0; i < 4; i++)
        put(machine.a, BASE + (uint64_t)i * PAGE, "d");
    memcpy(ram(&machine, BASE + 5 * PAGE), "read", 4);
    assert_hr(session_read_virtual(machine.a, BASE + 5 * PAGE, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "read", 4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
    ck_assert_uint_eq(machine_status(machine.a).lines, 4);
}
END_TEST

START_TEST(test_a_call_larger_than_the_view_works)
{
    uint8_t bytes[8 * PAGE], back[8 * PAGE];
    uint32_t done = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / PAGE);
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, sizeof(bytes));
    ck_assert_uint_le(machine_status(machine.a).used, 4 * PAGE);
    assert_hr(session_read_virtual(machine.a, BASE, back, sizeof(back), &done), S_OK);
    ck_assert_mem_eq(bytes, back, sizeof(bytes));
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), bytes, sizeof(bytes));
    assert_hr(session_read_virtual(machine.b, BASE, back, sizeof(back), &done), S_OK);
    ck_assert_mem_eq(bytes, back, sizeof(bytes));
    ck_assert_uint_le(machine_status(machine.b).used, 4 * PAGE);
}
END_TEST

START_TEST(test_a_loss_by_eviction_fails_the_call_that_caused_it)
{
    uint8_t bytes[2 * PAGE] = {0};
    uint32_t done = 99;

    put(machine.a, BASE, "lost");
    for (int i = 1; i < 4; i++)
        put(machine.a, BASE + (uint64_t)i * PAGE, "d");
    fake_unmap(fake, 0, BASE);
    assert_hr(session_write_virtual(machine.a, BASE + 4 * PAGE, bytes, sizeof(bytes), &done),
              E_FAIL);
    ck_assert_uint_eq(done, 0);
    assert_says(machine.a, "WriteVirtual at 0xffff800000004000");
    assert_says(machine.a, "4 dirty bytes lost, the first at 0xffff800000000000");
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, 4);
    assert_hr(session_write_virtual(machine.a, BASE + 4 * PAGE, bytes, sizeof(bytes), &done), S_OK);
    ck_assert_uint_eq(done, sizeof(bytes));
}
END_TEST

START_TEST(test_own_bytes_lost_by_eviction_are_not_counted)
{
    uint8_t bytes[6 * PAGE];
    uint32_t done = 99;

    memset(bytes, 'w', sizeof(bytes));
    fake->fail_after = 2; /* the third page of this very call */
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), &done), E_FAIL);
    ck_assert_uint_eq(done, 2 * PAGE);
    assert_says(machine.a, "4096 dirty bytes lost, the first at 0xffff800000002000");
}
END_TEST

/* --- what flushes, and what does not --- */

START_TEST(test_a_resume_flushes_every_view)
{
    put(machine.a, BASE, "a");
    put(machine.b, BASE + 1, "b");
    put(machine.c, BASE + 2, "c");
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_GO), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "abc", 3);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    assert_hr(session_interrupt(machine.b), S_OK);
    put(machine.b, BASE, "B");
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_STEP_INTO), S_OK);
    ck_assert_uint_eq(*ram(&machine, BASE), 'B');
}
END_TEST

START_TEST(test_own_loss_calls_the_resume_off)
{
    put(machine.a, BASE, "a");
    put(machine.b, BASE + PAGE, "b");
    fake_unmap(fake, 0, BASE);
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_GO), E_FAIL);
    assert_says(machine.a, "1 dirty byte lost, the first at 0xffff800000000000");
    ck_assert_int_eq(fake->state, TARGET_STATE_HALTED);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 0);
    /* the rest was written all the same, and the next try goes through */
    ck_assert_uint_eq(*ram(&machine, BASE + PAGE), 'b');
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_GO), S_OK);
}
END_TEST

static enum space_error resume(struct session *session)
{
    return session_resume(session, NULL);
}

static enum space_error resume_packet(struct session *session)
{
    return session_resume_packet(session, 0, "vCont;c", 7, NULL);
}

static enum space_error set_execution_status(struct session *session)
{
    return FAILED(session_set_execution_status(session, DEBUG_STATUS_GO)) ? SPACE_FAILED : SPACE_OK;
}

/* Until a resume goes out, the views that were flushed for it stay clean; when it fails, they are
 * written to as before. */
START_TEST(test_a_failed_resume_leaves_write_back_as_it_was)
{
    static enum space_error (*const resumes[])(struct session *) = {
        set_execution_status,
        resume,
        resume_packet,
    };

    fake->resume_error = TARGET_FAILED;
    put(machine.a, BASE, "a");
    ck_assert_int_eq(resumes[_i](machine.b), SPACE_FAILED);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
    put(machine.a, BASE, "A");
    ck_assert_uint_eq(dirty_bytes(machine.a), 1);
    ck_assert_uint_eq(*ram(&machine, BASE), 'a');
}
END_TEST

START_TEST(test_anothers_loss_is_told_to_both)
{
    put(machine.b, BASE, "bb");
    fake_unmap(fake, 0, BASE);
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_STEP_INTO), E_FAIL);
    assert_says(machine.a, "rpc#2");
    ck_assert_int_eq(fake->state, TARGET_STATE_HALTED);
    ck_assert_uint_eq(machine.heard[1].flush_failed, 1);
    assert_hr(machine.heard[1].hr, E_FAIL);
    ck_assert_ptr_nonnull(strstr(machine.heard[1].message, "2 dirty bytes lost"));
    ck_assert_uint_eq(machine.heard[0].flush_failed, 0);
}
END_TEST

START_TEST(test_reads_and_translations_of_others_do_not_flush)
{
    uint8_t bytes[4];
    uint64_t physical;

    put(machine.a, BASE, "d");
    assert_hr(session_read_physical(machine.a, "ReadPhysical", RAM_AT, 0, bytes, 4, NULL), S_OK);
    assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x70, bytes, 1, NULL), S_OK);
    assert_hr(session_read_virtual_uncached(machine.a, BASE, bytes, 4, NULL), S_OK);
    assert_hr(session_virtual_to_physical(machine.b, BASE, &physical), S_OK);
    assert_hr(session_write_io(machine.b, SB_INTERFACE_ISA, 0, 1, 0x70, bytes, 1, NULL), S_OK);
    assert_hr(session_write_physical(machine.b, "WritePhysical", RAM_AT + 8, 0, bytes, 1, NULL),
              S_OK);
    assert_hr(session_set_current_processor(machine.b, 1), S_OK);
    ck_assert_uint_eq(dirty_bytes(machine.a), 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 0);
}
END_TEST

START_TEST(test_calls_that_flush_first)
{
    uint64_t physical;

    for (int call = 0; call < 6; call++) {
        *ram(&machine, BASE) = 0;
        put(machine.a, BASE, "d");
        switch (call) {
        case 0:
            assert_hr(
                session_write_physical(machine.a, "WritePhysical", RAM_AT + 8, 0, "x", 1, NULL),
                S_OK);
            break;
        case 1:
            assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x70, "x", 1, NULL),
                      S_OK);
            break;
        case 2:
            assert_hr(session_virtual_to_physical(machine.a, BASE, &physical), S_OK);
            break;
        case 3:
            assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_THROUGH), S_OK);
            assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_BACK), S_OK);
            break;
        case 4:
            ck_assert_uint_eq(space_flush_all(machine.space), 0);
            break;
        default:
            assert_hr(session_set_current_processor(machine.a, 1), S_OK);
        }
        ck_assert_msg(*ram(&machine, BASE) == 'd', "call %d did not flush", call);
    }
}
END_TEST

START_TEST(test_a_call_whose_flush_loses_does_not_go_on)
{
    uint64_t physical = 7;
    uint32_t cpu = 7, done = 7;

    for (int call = 0; call < 5; call++) {
        fake_map(fake, 0, BASE, RAM_AT);
        put(machine.a, BASE, "d");
        fake_unmap(fake, 0, BASE);
        fake_clear_log(fake);
        switch (call) {
        case 0:
            assert_hr(
                session_write_physical(machine.a, "WritePhysical", RAM_AT + 8, 0, "x", 1, &done),
                E_FAIL);
            ck_assert_uint_eq(done, 0);
            break;
        case 1:
            assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x70, "x", 1, &done),
                      E_FAIL);
            ck_assert_uint_eq(done, 0);
            break;
        case 2:
            assert_hr(session_virtual_to_physical(machine.a, BASE + PAGE, &physical), E_FAIL);
            ck_assert_uint_eq(physical, 7);
            break;
        case 3:
            assert_hr(session_set_current_processor(machine.a, 1), E_FAIL);
            assert_hr(session_get_current_processor(machine.a, &cpu), S_OK);
            ck_assert_uint_eq(cpu, 0);
            continue; /* the message is gone: a call went well since */
        default:
            assert_hr(session_set_cache_policy(machine.a, CACHE_OFF), E_FAIL);
            ck_assert_int_eq(machine_status(machine.a).policy, CACHE_WRITE_BACK);
            continue;
        }
        assert_says(machine.a, "1 dirty byte lost, the first at 0xffff800000000000");
        ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_PHYSICAL) + fake_count(fake, FAKE_PORT_OUT),
                          0);
    }
}
END_TEST

START_TEST(test_close_flushes)
{
    put(machine.a, BASE, "bye");
    session_close(machine.a);
    machine.a = NULL;
    ck_assert_mem_eq(ram(&machine, BASE), "bye", 3);
    put(machine.b, BASE, "x");
    fake_unmap(fake, 0, BASE);
    session_close(machine.b); /* says so in the log, tells nobody who has gone */
    machine.b = NULL;
    ck_assert_uint_eq(machine.heard[1].flush_failed, 0);
    /* the target runs: the bytes cannot be written */
    put(machine.c, BASE + PAGE, "y");
    fake_resume_by_others(fake);
    session_close(machine.c);
    machine.c = NULL;
    ck_assert_uint_eq(*ram(&machine, BASE + PAGE), 0);
}
END_TEST

START_TEST(test_flush_all_reports_what_could_not_be_written)
{
    put(machine.a, BASE, "lost");
    put(machine.b, BASE + PAGE, "ok");
    fake_unmap(fake, 0, BASE);
    ck_assert_uint_eq(space_flush_all(machine.space), 4);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 1);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "ok", 2);
    put(machine.a, BASE + PAGE, "run");
    fake_resume_by_others(fake);
    ck_assert_uint_eq(space_flush_all(machine.space), 3);
}
END_TEST

/* --- the target is lost --- */

START_TEST(test_losing_the_target_loses_dirty_bytes_aloud)
{
    uint8_t byte;

    assert_hr(session_read_virtual(machine.c, BASE, &byte, 1, NULL), S_OK);
    put(machine.a, BASE + 5, "abc");
    put(machine.b, BASE, "b");
    fake_lose(fake);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 1);
    assert_hr(machine.heard[0].hr, E_UNEXPECTED);
    ck_assert_ptr_nonnull(strstr(machine.heard[0].message, "3 dirty bytes"));
    ck_assert_ptr_nonnull(strstr(machine.heard[0].message, "0xffff800000000005"));
    ck_assert_uint_eq(machine.heard[1].flush_failed, 1);
    ck_assert_uint_eq(machine.heard[2].flush_failed, 0);
    ck_assert_uint_eq(machine.heard[2].state_changed, 1);
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, 3);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    ck_assert_uint_eq(machine_status(machine.c).lines, 0);
    fake_return(fake);
    assert_hr(session_read_virtual(machine.a, BASE + 5, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 0);
}
END_TEST

START_TEST(test_losing_the_target_in_mid_flush)
{
    uint64_t flushed = 0;

    put(machine.a, BASE, "11");
    put(machine.a, BASE + PAGE, "222");
    put(machine.a, BASE + 2 * PAGE, "3333");
    fake->lose_after = 1;
    assert_hr(session_flush(machine.a, &flushed), E_FAIL);
    ck_assert_uint_eq(flushed, 2);
    assert_says(machine.a, "7 dirty bytes lost, the first at 0xffff800000001000");
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, 7);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
}
END_TEST

START_TEST(test_losing_the_target_in_mid_call_does_not_count_the_view)
{
    uint8_t bytes[8 * PAGE];
    uint32_t done = 99;

    memset(bytes, 'w', sizeof(bytes));
    fake->lose_after = 2; /* while the first four pages are evicted */
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), &done), E_FAIL);
    ck_assert_uint_eq(done, 0);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flush");
    TCase *tests = tcase_create("flush");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_exactly_the_dirty_bytes_in_address_order);
    tcase_add_test(tests, test_pages_that_may_have_moved_are_looked_up_together);
    tcase_add_test(tests, test_a_hole_in_the_middle_loses_its_bytes_alone);
    tcase_add_test(tests, test_a_write_that_fails_loses_what_was_not_acknowledged);
    tcase_add_test(tests, test_a_page_that_became_a_device_is_written_as_one);
    tcase_add_test(tests, test_a_page_that_cannot_be_reached_any_more_is_lost);
    tcase_add_test(tests, test_a_flush_that_remaps_its_own_pages_is_not_believed);
    tcase_add_test(tests, test_a_flush_that_moves_a_page_within_memory_is_believed);
    tcase_add_test(tests, test_discard_rolls_back);
    tcase_add_test(tests, test_nothing_is_flushed_while_the_target_runs);
    tcase_add_test(tests, test_bytes_that_were_not_sent_stay_dirty);
    tcase_add_test(tests, test_a_resume_flushes_every_view);
    tcase_add_test(tests, test_own_loss_calls_the_resume_off);
    tcase_add_loop_test(tests, test_a_failed_resume_leaves_write_back_as_it_was, 0, 3);
    tcase_add_test(tests, test_anothers_loss_is_told_to_both);
    tcase_add_test(tests, test_reads_and_translations_of_others_do_not_flush);
    tcase_add_test(tests, test_calls_that_flush_first);
    tcase_add_test(tests, test_a_call_whose_flush_loses_does_not_go_on);
    tcase_add_test(tests, test_close_flushes);
    tcase_add_test(tests, test_flush_all_reports_what_could_not_be_written);
    tcase_add_test(tests, test_losing_the_target_loses_dirty_bytes_aloud);
    tcase_add_test(tests, test_losing_the_target_in_mid_flush);
    suite_add_tcase(suite, tests);
    TCase *small = tcase_create("small view");
    tcase_add_checked_fixture(small, set_up_small, tear_down);
    tcase_add_test(small, test_clean_lines_go_before_anything_is_flushed);
    tcase_add_test(small, test_a_read_does_not_flush_a_full_view);
    tcase_add_test(small, test_a_call_larger_than_the_view_works);
    tcase_add_test(small, test_a_loss_by_eviction_fails_the_call_that_caused_it);
    tcase_add_test(small, test_own_bytes_lost_by_eviction_are_not_counted);
    tcase_add_test(small, test_losing_the_target_in_mid_call_does_not_count_the_view);
    suite_add_tcase(suite, small);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
