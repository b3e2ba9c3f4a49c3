/* Calls of several sessions in real tasks on the fake target, which suspends where a test wants it
 * to: what may come in between must do no harm. A test that leaves a task waiting for ever fails in
 * its tear-down. */
#include "base/task.h"
#include "space_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct machine machine;
static struct fake_target *const fake = &machine.fake;
static struct ev_loop *loop;
static struct task_cond moved;

/* Where the target stops one operation until it is let go. */
static struct gate {
    enum fake_op op;
    bool after;
    unsigned skip; /* let that many pass first */
    bool armed, arrived, open;
} gate;

static void gate_hook(void *context, enum fake_op op, bool after)
{
    (void)context;
    if (!gate.armed || op != gate.op || after != gate.after || gate.skip-- > 0)
        return;
    gate.armed = false;
    gate.arrived = true;
    task_cond_broadcast(&moved);
    while (!gate.open)
        task_cond_wait(&moved, -1);
}

static void gate_close(enum fake_op op, bool after)
{
    gate = (struct gate){.op = op, .after = after, .armed = true};
}

static void gate_await(void)
{
    while (!gate.arrived)
        task_cond_wait(&moved, -1);
}

static void gate_open(void)
{
    gate.open = true;
    task_cond_broadcast(&moved);
}

/* Let all others run until nobody can. */
static void let_others_run(void)
{
    for (int i = 0; i < 20; i++)
        task_sleep(0);
}

static void set_up(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    memset(&gate, 0, sizeof(gate));
    machine_start(&machine, CACHE_WRITE_BACK, 0);
    fake->hook = gate_hook;
}

static void tear_down(void)
{
    machine_stop(&machine);
    ev_loop_destroy(loop);
}

static void run(task_fn *one, task_fn *two, task_fn *three)
{
    task_fn *const fn[] = {one, two, three};
    for (int i = 0; i < 3; i++) {
        if (fn[i])
            ck_assert_ptr_nonnull(task_spawn(loop, "test", fn[i], NULL));
    }
    ev_run(loop, 0);
    ck_assert_msg(task_count() == 0, "%zu tasks wait for ever", task_count());
}

/* --- a fill that is overtaken by a write --- */

static uint8_t seen;

static void read_slowly(void *arg)
{
    (void)arg;
    assert_hr(session_read_virtual(machine.a, BASE, &seen, 1, NULL), S_OK);
}

static void write_meanwhile(void *arg)
{
    (void)arg;
    gate_await();
    assert_hr(session_write_virtual_uncached(machine.b, BASE, "n", 1, NULL), S_OK);
    gate_open();
}

START_TEST(test_what_was_read_before_a_write_is_not_kept_after_it)
{
    *ram(&machine, BASE) = 'o';
    gate_close(FAKE_READ_VIRTUAL, true);
    run(read_slowly, write_meanwhile, NULL);
    ck_assert_uint_eq(seen, 'o');
    assert_hr(session_read_virtual(machine.a, BASE, &seen, 1, NULL), S_OK);
    ck_assert_uint_eq(seen, 'n');
}
END_TEST

static void change_meanwhile(void *arg)
{
    (void)arg;
    gate_await();
    *ram(&machine, BASE) = 'n';
    fake_memory_changed(fake);
    gate_open();
}

START_TEST(test_what_was_read_before_memory_changed_is_not_kept_after_it)
{
    gate_close(FAKE_READ_VIRTUAL, true);
    run(read_slowly, change_meanwhile, NULL);
    assert_hr(session_read_virtual(machine.a, BASE, &seen, 1, NULL), S_OK);
    ck_assert_uint_eq(seen, 'n');
}
END_TEST

/* --- two writers of one byte, write-through --- */

static void write_through_slowly(void *arg)
{
    (void)arg;
    assert_hr(session_write_virtual(machine.a, BASE, "a", 1, NULL), S_OK);
}

START_TEST(test_a_write_through_that_was_overtaken_is_read_again)
{
    assert_hr(session_set_cache_policy(machine.a, CACHE_WRITE_THROUGH), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, &seen, 1, NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, true);
    run(write_through_slowly, write_meanwhile, NULL);
    ck_assert_uint_eq(*ram(&machine, BASE), 'n');
    assert_hr(session_read_virtual(machine.a, BASE, &seen, 1, NULL), S_OK);
    ck_assert_uint_eq(seen, 'n');
}
END_TEST

/* --- a flush under way --- */

static void flush_a(void *arg)
{
    (void)arg;
    assert_hr(session_flush(machine.a, NULL), S_OK);
}

static void resume_b(void *arg)
{
    (void)arg;
    assert_hr(session_set_execution_status(machine.b, DEBUG_STATUS_GO), S_OK);
}

static void resume_b_during_flush(void *arg)
{
    gate_await();
    resume_b(arg);
}

static void watch_resume_wait(void *arg)
{
    (void)arg;
    gate_await();
    let_others_run();
    ck_assert_int_eq(fake->state, TARGET_STATE_HALTED);
    gate_open();
}

START_TEST(test_a_resume_waits_for_a_flush_under_way)
{
    assert_hr(session_write_virtual(machine.a, BASE, "d", 1, NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, false);
    run(flush_a, resume_b_during_flush, watch_resume_wait);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_uint_eq(*ram(&machine, BASE), 'd');
}
END_TEST

static void flush_twice(void *arg)
{
    gate_await();
    flush_a(arg);
    ck_assert(gate.open); /* it followed the other */
}

START_TEST(test_two_flushes_of_one_view_follow_one_another)
{
    assert_hr(session_write_virtual(machine.a, BASE, "d", 1, NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, false);
    run(flush_a, flush_twice, watch_resume_wait);
    ck_assert_uint_eq(fake_count(fake, FAKE_WRITE_VIRTUAL), 1);
}
END_TEST

static void use_a_during_flush(void *arg)
{
    uint8_t bytes[2];
    (void)arg;
    gate_await();
    task_sleep(0);
    gate_open();
    /* own bytes are read all the while, and what is written now is dirty again */
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 2, NULL), S_OK);
    ck_assert_mem_eq(bytes, "dd", 2);
    assert_hr(session_write_virtual(machine.a, BASE + 1, "e", 1, NULL), S_OK);
}

static void flush_all(void *arg)
{
    (void)arg;
    ck_assert_uint_eq(space_flush_all(machine.space), 0);
}

START_TEST(test_the_owner_works_on_while_others_flush)
{
    assert_hr(session_write_virtual(machine.a, BASE, "dd", 2, NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, false);
    run(flush_all, use_a_during_flush, NULL);
    ck_assert_mem_eq(ram(&machine, BASE), "dd", 2);
    ck_assert_uint_eq(dirty_bytes(machine.a), 1);
}
END_TEST

static void write_without_end(struct session *session)
{
    for (;;) {
        HRESULT hr = session_write_virtual(session, BASE, "w", 1, NULL);
        if (hr == E_UNEXPECTED)
            return; /* it runs */
        assert_hr(hr, S_OK);
        task_sleep(0);
    }
}

static void write_without_end_a(void *arg)
{
    (void)arg;
    write_without_end(machine.a);
}

static void write_without_end_c(void *arg)
{
    (void)arg;
    write_without_end(machine.c);
}

static void yield_hook(void *context, enum fake_op op, bool after)
{
    (void)context;
    if (after && (op == FAKE_WRITE_VIRTUAL || op == FAKE_TRANSLATE)) {
        for (int i = 0; i < 3; i++)
            task_sleep(0);
    }
}

/* While the one is flushed the other makes new dirty bytes. */
START_TEST(test_busy_writers_cannot_hold_up_a_resume)
{
    assert_hr(session_write_virtual(machine.a, BASE, "w", 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.c, BASE, "w", 1, NULL), S_OK);
    fake->hook = yield_hook;
    run(write_without_end_a, write_without_end_c, resume_b);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

static void resume_c(void *arg)
{
    (void)arg;
    HRESULT hr = session_set_execution_status(machine.c, DEBUG_STATUS_GO);
    ck_assert(hr == S_OK || hr == E_UNEXPECTED);
}

static void resume_d(void *arg)
{
    (void)arg;
    HRESULT hr = session_set_execution_status(machine.b, DEBUG_STATUS_GO);
    ck_assert(hr == S_OK || hr == E_UNEXPECTED);
}

START_TEST(test_two_resumes_at_once)
{
    assert_hr(session_write_virtual(machine.a, BASE, "a", 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.b, BASE + 1, "b", 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.c, BASE + 2, "c", 1, NULL), S_OK);
    fake->hook = yield_hook;
    run(resume_c, resume_d, NULL);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_mem_eq(ram(&machine, BASE), "abc", 3);
}
END_TEST

/* --- sessions that end --- */

static void close_a(void *arg)
{
    (void)arg;
    gate_await();
    task_sleep(0);
    gate_open();
    session_close(machine.a);
    machine.a = NULL;
}

START_TEST(test_a_session_ends_while_others_flush_it)
{
    assert_hr(session_write_virtual(machine.a, BASE, "a", 1, NULL), S_OK);
    assert_hr(session_write_virtual(machine.c, BASE + 2, "c", 1, NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, false);
    run(resume_b, close_a, NULL);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_mem_eq(ram(&machine, BASE), "a\0c", 3);
}
END_TEST

static void close_a_slowly(void *arg)
{
    (void)arg;
    session_close(machine.a);
    machine.a = NULL;
}

START_TEST(test_a_resume_waits_for_a_session_that_ends)
{
    assert_hr(session_write_virtual(machine.a, BASE, "a", 1, NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, false);
    run(close_a_slowly, resume_b_during_flush, watch_resume_wait);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_uint_eq(*ram(&machine, BASE), 'a');
}
END_TEST

/* --- what changes while a call asks what is mapped --- */

static HRESULT result;
static uint32_t result_done;

static void write_a_slowly(void *arg)
{
    (void)arg;
    result = session_write_virtual(machine.a, BASE, "doorbell", 8, &result_done);
}

static void remap_meanwhile(void *arg)
{
    (void)arg;
    gate_await();
    fake_map(fake, 0, BASE, HPET_BASE);
    gate_open();
}

START_TEST(test_a_translation_that_moved_is_made_again)
{
    gate_close(FAKE_TRANSLATE, true);
    run(write_a_slowly, remap_meanwhile, NULL);
    assert_hr(result, S_OK);
    ck_assert_mem_eq(fake_byte(fake, HPET_BASE), "doorbell", 8);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

static void resume_meanwhile(void *arg)
{
    (void)arg;
    gate_await();
    assert_hr(session_set_execution_status(machine.b, DEBUG_STATUS_GO), S_OK);
    gate_open();
}

START_TEST(test_nothing_becomes_dirty_once_it_runs)
{
    fake->translate_running = true;
    gate_close(FAKE_TRANSLATE, true);
    run(write_a_slowly, resume_meanwhile, NULL);
    assert_hr(result, E_UNEXPECTED);
    ck_assert_uint_eq(result_done, 0);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

static void remap_during_write(void *arg)
{
    (void)arg;
    gate_await();
    fake_map(fake, 0, BASE, BAR_BASE); /* by another's write to a page table */
    gate_open();
}

static void write_uncached_slowly(void *arg)
{
    (void)arg;
    result = session_write_virtual_uncached(machine.a, BASE, "lost?", 5, &result_done);
}

START_TEST(test_a_single_page_that_became_a_device_under_way_is_not_believed)
{
    gate_close(FAKE_WRITE_VIRTUAL, false);
    run(write_uncached_slowly, remap_during_write, NULL);
    assert_hr(result, SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(result_done, 0);
    ck_assert_uint_eq(*fake_byte(fake, BAR_BASE), 0);
}
END_TEST

/* --- the target is lost --- */

static void lose_meanwhile(void *arg)
{
    (void)arg;
    gate_await();
    fake_lose(fake);
    gate_open();
}

static void read_two_pages(void *arg)
{
    uint8_t bytes[2 * PAGE];
    (void)arg;
    result = session_read_virtual(machine.a, BASE, bytes, sizeof(bytes), &result_done);
}

START_TEST(test_losing_the_target_under_a_read)
{
    assert_hr(session_write_virtual(machine.a, BASE, "dirty", 5, NULL), S_OK);
    gate_close(FAKE_READ_VIRTUAL, false);
    run(read_two_pages, lose_meanwhile, NULL);
    assert_hr(result, S_OK);
    ck_assert_uint_eq(result_done, 5); /* what the view had when it was asked */
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 1);
}
END_TEST

static void flush_a_in_vain(void *arg)
{
    (void)arg;
    uint64_t flushed = 0;
    /* All was acknowledged, but it can never be told whether the first page remapped the others. */
    assert_hr(session_flush(machine.a, &flushed), E_FAIL);
    ck_assert_uint_eq(flushed, PAGE);
    assert_says(machine.a, "12288 dirty bytes lost, the first at 0xffff800000001000");
}

START_TEST(test_losing_the_target_under_a_flush)
{
    uint8_t bytes[4 * PAGE];

    memset(bytes, 'd', sizeof(bytes));
    assert_hr(session_write_virtual(machine.a, BASE, bytes, sizeof(bytes), NULL), S_OK);
    gate_close(FAKE_WRITE_VIRTUAL, true);
    run(flush_a_in_vain, lose_meanwhile, NULL);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interleaving");
    TCase *tests = tcase_create("interleaving");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_what_was_read_before_a_write_is_not_kept_after_it);
    tcase_add_test(tests, test_what_was_read_before_memory_changed_is_not_kept_after_it);
    tcase_add_test(tests, test_a_write_through_that_was_overtaken_is_read_again);
    tcase_add_test(tests, test_a_resume_waits_for_a_flush_under_way);
    tcase_add_test(tests, test_two_flushes_of_one_view_follow_one_another);
    tcase_add_test(tests, test_the_owner_works_on_while_others_flush);
    tcase_add_test(tests, test_busy_writers_cannot_hold_up_a_resume);
    tcase_add_test(tests, test_two_resumes_at_once);
    tcase_add_test(tests, test_a_session_ends_while_others_flush_it);
    tcase_add_test(tests, test_a_resume_waits_for_a_session_that_ends);
    tcase_add_test(tests, test_a_translation_that_moved_is_made_again);
    tcase_add_test(tests, test_nothing_becomes_dirty_once_it_runs);
    tcase_add_test(tests, test_a_single_page_that_became_a_device_under_way_is_not_believed);
    tcase_add_test(tests, test_losing_the_target_under_a_read);
    tcase_add_test(tests, test_losing_the_target_under_a_flush);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
