/* Writes of a stream beside the flush of a view that was full, in real tasks on the fake target,
 * which holds the flush up until a test lets it go on. */
#include "base/task.h"
#include "space_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define LINES 3u

static struct machine machine;
static struct fake_target *const fake = &machine.fake;
static struct ev_loop *loop;
static struct task_cond moved;
static bool arrived, open; /* the first write reached the target; it may go on */
static unsigned written;   /* calls of the stream that have returned */

static void hold_up(void *context, enum fake_op op, bool after)
{
    (void)context;
    if (op != FAKE_WRITE_VIRTUAL || after)
        return;
    arrived = true;
    task_cond_broadcast(&moved);
    while (!open)
        task_cond_wait(&moved, -1);
}

static void let_go(void)
{
    open = true;
    task_cond_broadcast(&moved);
}

/* When the flush is held up and nobody else can run. */
static void await_flush(void)
{
    while (!arrived)
        task_cond_wait(&moved, -1);
    for (int i = 0; i < 20; i++)
        task_sleep(0);
}

static void set_up(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    arrived = open = false;
    written = 0;
    machine_start(&machine, CACHE_WRITE_BACK, LINES * PAGE);
    fake->hook = hold_up;
    session_more_follow(machine.a, true);
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

static void put(unsigned page, const char *text)
{
    uint32_t done = 0;
    assert_hr(
        session_write_virtual(machine.a, BASE + page * PAGE, text, (uint32_t)strlen(text), &done),
        S_OK);
    ck_assert_uint_eq(done, strlen(text));
    written++;
}

/* Fill the view, and write two pages more. */
static void stream(void *arg)
{
    static const char *const texts[] = {"zero", "one", "two", "three", "four"};
    (void)arg;
    for (unsigned i = 0; i < 5; i++)
        put(i, texts[i]);
}

/* --- the writes go on, everything else waits --- */

static void see_that_it_goes_on(void *arg)
{
    (void)arg;
    await_flush();
    ck_assert_uint_eq(written, 5);
    ck_assert_uint_eq(*ram(&machine, BASE), 0);
    let_go();
}

START_TEST(test_writes_go_on_while_a_full_view_is_flushed)
{
    run(stream, see_that_it_goes_on, NULL);
    ck_assert_mem_eq(ram(&machine, BASE), "zero", 5);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "one", 4);
    ck_assert_mem_eq(ram(&machine, BASE + 2 * PAGE), "two", 4);
    ck_assert_uint_eq(*ram(&machine, BASE + 3 * PAGE), 0);
    ck_assert_uint_eq(machine_status(machine.a).flushed_bytes, 10);
    ck_assert_uint_eq(dirty_bytes(machine.a), strlen("three") + strlen("four"));
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE + 3 * PAGE), "three", 6);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 0);
}
END_TEST

static void see_that_it_waits(void *arg)
{
    (void)arg;
    await_flush();
    ck_assert_uint_eq(written, LINES);
    let_go();
}

/* Nobody waits behind it: its answer says that the view has been flushed. */
START_TEST(test_a_write_by_itself_waits_for_the_flush)
{
    session_more_follow(machine.a, false);
    run(stream, see_that_it_waits, NULL);
    ck_assert_uint_eq(written, 5);
}
END_TEST

static void stream_and_read(void *arg)
{
    char bytes[4] = "";
    stream(arg);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    ck_assert(open);
    ck_assert_mem_eq(bytes, "zero", 4);
    written++;
}

START_TEST(test_a_read_waits_and_sees_what_was_written)
{
    run(stream_and_read, see_that_it_goes_on, NULL);
    ck_assert_uint_eq(written, 6);
}
END_TEST

static void stream_and_count(void *arg)
{
    stream(arg);
    struct session_cache_status status = machine_status(machine.a);
    ck_assert(open);
    ck_assert_uint_eq(status.flushed_bytes, strlen("zeroonetwo"));
    ck_assert_uint_eq(status.dirty_bytes, strlen("threefour"));
}

START_TEST(test_the_counts_leave_out_no_byte)
{
    run(stream_and_count, see_that_it_goes_on, NULL);
}
END_TEST

static void stream_and_look(void *arg)
{
    char bytes[4] = "";
    stream(arg);
    assert_hr(session_read_physical(machine.a, "ReadPhysical", RAM_AT, DEBUG_PHYSICAL_DEFAULT,
                                    bytes, 4, NULL),
              S_OK);
    ck_assert(open);
    ck_assert_mem_eq(bytes, "zero", 4);
}

START_TEST(test_a_physical_read_waits)
{
    run(stream_and_look, see_that_it_goes_on, NULL);
}
END_TEST

static void stream_and_ring(void *arg)
{
    stream(arg);
    assert_hr(session_write_virtual(machine.a, V_HPET, "ring", 4, NULL), S_OK);
    ck_assert(open);
    ck_assert_mem_eq(ram(&machine, BASE), "zero", 4);
    ck_assert_mem_eq(ram(&machine, BASE + 4 * PAGE), "four", 4);
}

START_TEST(test_a_device_is_written_after_everything)
{
    run(stream_and_ring, see_that_it_goes_on, NULL);
    ck_assert_mem_eq(fake_byte(fake, HPET_BASE), "ring", 4);
}
END_TEST

/* A second time full: the flushes follow one another, and the bytes of the later one win. */
static void stream_twice(void *arg)
{
    stream(arg);
    put(0, "0000");
    put(1, "1");
    put(2, "2");
}

static void see_second_wait(void *arg)
{
    (void)arg;
    await_flush();
    ck_assert_uint_eq(written, 6); /* three, four, and the second zero fill it */
    let_go();
}

START_TEST(test_flushes_follow_one_another)
{
    run(stream_twice, see_second_wait, NULL);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "0000", 4);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "1ne", 3);
    ck_assert_mem_eq(ram(&machine, BASE + 2 * PAGE), "2wo", 3);
    ck_assert_mem_eq(ram(&machine, BASE + 4 * PAGE), "four", 4);
}
END_TEST

/* More than a page's bytes may be its own in part: such a call waits. */
static void stream_and_large(void *arg)
{
    static char bytes[2 * PAGE];
    uint32_t done = 0;
    stream(arg);
    memset(bytes, 'L', sizeof(bytes));
    assert_hr(session_write_virtual(machine.a, BASE + 5 * PAGE, bytes, sizeof(bytes), &done), S_OK);
    ck_assert(open);
    ck_assert_uint_eq(done, sizeof(bytes));
}

START_TEST(test_a_large_write_waits)
{
    run(stream_and_large, see_that_it_goes_on, NULL);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_uint_eq(*ram(&machine, BASE + 6 * PAGE), 'L');
}
END_TEST

/* --- others --- */

static void resume_b(void *arg)
{
    (void)arg;
    while (!arrived)
        task_cond_wait(&moved, -1);
    assert_hr(session_set_execution_status(machine.b, DEBUG_STATUS_GO), S_OK);
    ck_assert(open);
    ck_assert_mem_eq(ram(&machine, BASE), "zero", 4);
}

static void see_halted(void *arg)
{
    (void)arg;
    await_flush();
    ck_assert_int_eq(fake->state, TARGET_STATE_HALTED);
    let_go();
}

START_TEST(test_a_resume_waits)
{
    run(stream, resume_b, see_halted);
    ck_assert_int_eq(fake->state, TARGET_STATE_RUNNING);
    ck_assert_mem_eq(ram(&machine, BASE + 2 * PAGE), "two", 3);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

static void stream_and_close(void *arg)
{
    stream(arg);
    session_close(machine.a);
    machine.a = NULL;
    ck_assert(open);
}

START_TEST(test_a_session_that_ends_waits)
{
    run(stream_and_close, see_that_it_goes_on, NULL);
    ck_assert_mem_eq(ram(&machine, BASE), "zero", 4);
    ck_assert_mem_eq(ram(&machine, BASE + 4 * PAGE), "four", 4);
}
END_TEST

/* --- failures --- */

static void unmap_and_let_go(void *arg)
{
    (void)arg;
    await_flush();
    let_go();
}

static void stream_over_a_hole(void *arg)
{
    (void)arg;
    put(0, "zero");
    put(1, "one");
    put(2, "two");
    fake_unmap(fake, 0, BASE + PAGE);
    put(3, "three");
    put(4, "four");
}

START_TEST(test_a_loss_is_told)
{
    run(stream_over_a_hole, unmap_and_let_go, NULL);
    ck_assert_uint_eq(written, 5);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 1);
    ck_assert_int_eq(machine.heard[0].hr, E_FAIL);
    ck_assert_ptr_nonnull(
        strstr(machine.heard[0].message, "3 dirty bytes lost, the first at 0xffff800000001000"));
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, 3);
    ck_assert_uint_eq(machine_status(machine.a).flushed_bytes, 7);
    ck_assert_mem_eq(ram(&machine, BASE + 2 * PAGE), "two", 3);
}
END_TEST

/* Nothing of it could be sent: it is dirty again, but what was written meanwhile stays. */
static void stream_and_again(void *arg)
{
    stream(arg);
    put(0, "NEW");
}

static void refuse_and_let_go(void *arg)
{
    (void)arg;
    await_flush();
    ck_assert_uint_eq(written, 6);
    fake->fail_after = 0;
    fake->fail_error = TARGET_RUNNING;
    let_go();
}

START_TEST(test_what_was_kept_does_not_cover_what_is_newer)
{
    run(stream_and_again, refuse_and_let_go, NULL);
    fake->fail_after = -1;
    ck_assert_uint_eq(machine.heard[0].flush_failed, 0);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "NEWo", 4);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "one", 3);
    ck_assert_mem_eq(ram(&machine, BASE + 3 * PAGE), "three", 5);
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, 0);
}
END_TEST

static void lose_and_let_go(void *arg)
{
    (void)arg;
    await_flush();
    fake_lose(fake);
    let_go();
}

START_TEST(test_losing_the_target)
{
    run(stream, lose_and_let_go, NULL);
    ck_assert_uint_eq(machine.heard[0].flush_failed, 1);
    ck_assert_uint_eq(machine_status(machine.a).lost_bytes, strlen("zeroonetwothreefour"));
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("behind");
    TCase *tests = tcase_create("behind");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_writes_go_on_while_a_full_view_is_flushed);
    tcase_add_test(tests, test_a_write_by_itself_waits_for_the_flush);
    tcase_add_test(tests, test_a_read_waits_and_sees_what_was_written);
    tcase_add_test(tests, test_the_counts_leave_out_no_byte);
    tcase_add_test(tests, test_a_physical_read_waits);
    tcase_add_test(tests, test_a_device_is_written_after_everything);
    tcase_add_test(tests, test_flushes_follow_one_another);
    tcase_add_test(tests, test_a_large_write_waits);
    tcase_add_test(tests, test_a_resume_waits);
    tcase_add_test(tests, test_a_session_that_ends_waits);
    tcase_add_test(tests, test_a_loss_is_told);
    tcase_add_test(tests, test_what_was_kept_does_not_cover_what_is_newer);
    tcase_add_test(tests, test_losing_the_target);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
