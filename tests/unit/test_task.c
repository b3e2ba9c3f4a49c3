#include "base/task.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature) /* clang's word for it */
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifndef WITH_ASAN
#define WITH_ASAN 0
#endif

static struct ev_loop *loop;
static int pair[2];
/* What happened, one letter each. */
static char story[64];

static void tell(char letter)
{
    size_t length = strlen(story);
    ck_assert_uint_lt(length + 1, sizeof(story));
    story[length] = letter;
    story[length + 1] = '\0';
}

static void set_up(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    story[0] = '\0';
}

static void tear_down(void)
{
    ck_assert_uint_eq(task_count(), 0);
    ck_assert_ptr_null(task_self());
    ev_loop_destroy(loop);
    close(pair[0]);
    close(pair[1]);
}

static struct task *spawn(task_fn *fn, void *arg)
{
    struct task *task = task_spawn(loop, "test", fn, arg);
    ck_assert_ptr_nonnull(task);
    return task;
}

/* One turn of the loop without sleeping. */
static void turn(void)
{
    ev_run(loop, EVRUN_NOWAIT);
}

static void tell_arg(void *arg)
{
    tell(*(const char *)arg);
}

START_TEST(spawned_tasks_run_from_the_loop_in_order)
{
    spawn(tell_arg, "a");
    spawn(tell_arg, "b");
    spawn(tell_arg, "c");
    ck_assert_str_eq(story, "");
    ck_assert_uint_eq(task_count(), 3);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "abc");
}
END_TEST

static void check_name(void *arg)
{
    ck_assert_ptr_eq(task_loop(task_self()), loop);
    ck_assert_int_eq(strncmp(task_name(task_self()), arg, 20), 0);
    ck_assert_uint_lt(strlen(task_name(task_self())), strlen(arg));
    tell('n');
}

static void tell_thrice(void *arg)
{
    for (int i = 0; i < 3; i++) {
        tell(*(const char *)arg);
        task_yield();
    }
}

START_TEST(tasks_that_yield_take_turns)
{
    spawn(tell_thrice, "a");
    spawn(tell_thrice, "b");
    turn();
    ck_assert_str_eq(story, "ab"); /* the loop had its turn, too */
    ev_run(loop, 0);
    ck_assert_str_eq(story, "ababab");
}
END_TEST

START_TEST(a_long_name_is_cut)
{
    char name[200];
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    ck_assert_ptr_nonnull(task_spawn(loop, name, check_name, name));
    ev_run(loop, 0);
    ck_assert_str_eq(story, "n");
}
END_TEST

static void spawn_another(void *arg)
{
    tell('a');
    spawn(tell_arg, arg);
    tell('b');
}

START_TEST(a_task_spawns_a_task_that_runs_next_turn)
{
    spawn(spawn_another, "c");
    turn();
    ck_assert_str_eq(story, "ab");
    turn();
    ck_assert_str_eq(story, "abc");
}
END_TEST

static void suspend_twice(void *arg)
{
    (void)arg;
    tell('a');
    task_suspend();
    tell('b');
    task_suspend();
    tell('c');
}

START_TEST(a_wake_runs_the_task_from_the_loop_and_once)
{
    struct task *task = spawn(suspend_twice, NULL);
    task_wake(task); /* ready already: nothing more */
    turn();
    turn();
    ck_assert_str_eq(story, "a");
    task_wake(task);
    task_wake(task);
    ck_assert_str_eq(story, "a");
    turn();
    turn();
    ck_assert_str_eq(story, "ab");
    task_wake(task);
    turn();
    ck_assert_str_eq(story, "abc");
}
END_TEST

static void wake_self(void *arg)
{
    (void)arg;
    task_wake(task_self());
    task_wake(task_self());
    task_suspend();
    tell('a');
    task_suspend();
    tell('b');
}

START_TEST(a_wake_before_suspending_is_remembered_once)
{
    struct task *task = spawn(wake_self, NULL);
    turn();
    turn();
    ck_assert_str_eq(story, "a");
    task_wake(task);
    turn();
    ck_assert_str_eq(story, "ab");
}
END_TEST

START_TEST(the_loop_ends_when_all_tasks_sleep_for_good)
{
    struct task *task = spawn(suspend_twice, NULL);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "a");
    task_wake(task);
    ev_run(loop, 0);
    task_wake(task);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "abc");
}
END_TEST

static struct task *players[2];
static bool over;

static void play(void *arg)
{
    while (!over) {
        task_wake(players[arg == NULL]);
        task_suspend();
    }
}

static void end_play(void *arg)
{
    (void)arg;
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ, -1), EV_READ);
    over = true;
    task_wake(players[0]);
    task_wake(players[1]);
}

START_TEST(busy_tasks_do_not_shut_out_descriptors)
{
    over = false;
    players[0] = spawn(play, NULL);
    players[1] = spawn(play, &players[1]);
    spawn(end_play, NULL);
    turn();
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    ev_run(loop, 0);
    ck_assert(over);
}
END_TEST

static void break_loop(void *arg)
{
    (void)arg;
    ev_break(loop, EVBREAK_ALL);
    task_suspend();
    tell('b');
}

START_TEST(a_task_can_break_the_loop)
{
    struct task *task = spawn(break_loop, NULL);
    ev_timer timer; /* something that would keep the loop going */
    ev_timer_init(&timer, NULL, 1e6, 0);
    ev_timer_start(loop, &timer);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "");
    ev_timer_stop(loop, &timer);
    task_wake(task);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "b");
}
END_TEST

START_TEST(loops_do_not_meddle_with_each_other)
{
    struct ev_loop *other = ev_loop_new(EVFLAG_AUTO);
    struct task *task = spawn(suspend_twice, NULL);
    ck_assert_ptr_nonnull(task_spawn(other, "other", tell_arg, "x"));
    ck_assert_uint_eq(task_count(), 2);
    ev_run(other, 0);
    ck_assert_str_eq(story, "x");
    ck_assert_uint_eq(task_count(), 1);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "xa");
    task_wake(task);
    ev_run(other, 0);
    ck_assert_str_eq(story, "xa");
    ev_run(loop, 0);
    task_wake(task);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "xabc");
    ev_loop_destroy(other);
}
END_TEST

/* Descriptors and time */

static void wait_for_read(void *arg)
{
    (void)arg;
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ, 0), 0);
    tell('0');
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ, 0.01), 0);
    tell('t');
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ | EV_WRITE, -1), EV_WRITE);
    tell('w');
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ, 0), EV_READ);
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ | EV_WRITE, 5), EV_READ | EV_WRITE);
    tell('b');
}

START_TEST(a_descriptor_is_waited_for)
{
    spawn(wait_for_read, NULL);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "0twb");
}
END_TEST

static void wait_for_end(void *arg)
{
    (void)arg;
    char byte;
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ, -1), EV_READ);
    ck_assert_int_eq(read(pair[0], &byte, 1), 0);
    tell('e');
}

START_TEST(a_hang_up_wakes_and_a_stray_wake_does_not)
{
    struct task *task = spawn(wait_for_end, NULL);
    turn();
    task_wake(task);
    turn();
    turn();
    ck_assert_str_eq(story, "");
    shutdown(pair[1], SHUT_WR);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "e");
}
END_TEST

START_TEST(a_shut_down_from_elsewhere_ends_a_wait)
{
    spawn(wait_for_end, NULL);
    turn();
    turn();
    ck_assert_str_eq(story, "");
    shutdown(pair[0], SHUT_RDWR);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "e");
}
END_TEST

static void sleep_a_little(void *arg)
{
    ev_tstamp start = ev_time();
    task_wake(task_self()); /* a stray one */
    task_sleep(0.02);
    *(double *)arg = ev_time() - start;
    task_sleep(0);
    task_sleep(-1);
    tell('s');
}

START_TEST(sleep_lasts_as_long_as_asked)
{
    double slept = 0;
    spawn(sleep_a_little, &slept);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "s");
    ck_assert_double_ge(slept, 0.019);
}
END_TEST

static void burn_then_wait(void *arg)
{
    (void)arg;
    /* The loop's clock stands still meanwhile; the time-out must count from here all the same. */
    while (ev_time() - ev_now(loop) < 0.03)
        ;
    ev_tstamp start = ev_time();
    ck_assert_int_eq(task_wait_fd(pair[0], EV_READ, 0.02), 0);
    ck_assert_double_ge(ev_time() - start, 0.019);
    tell('w');
}

START_TEST(a_time_out_counts_from_the_call)
{
    spawn(burn_then_wait, NULL);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "w");
}
END_TEST

/* Conditions */

static struct task_cond cond;
static bool again;

static void wait_cond(void *arg)
{
    ck_assert(task_cond_wait(&cond, -1));
    tell(*(const char *)arg);
    if (again) {
        again = false;
        ck_assert(task_cond_wait(&cond, -1));
        tell('2');
    }
}

START_TEST(a_broadcast_wakes_all_in_order)
{
    spawn(wait_cond, "a");
    spawn(wait_cond, "b");
    spawn(wait_cond, "c");
    task_cond_broadcast(&cond); /* nobody waits yet: not remembered */
    turn();
    turn();
    ck_assert_str_eq(story, "");
    again = true;
    task_cond_broadcast(&cond);
    ck_assert_str_eq(story, "");
    turn();
    turn();
    ck_assert_str_eq(story, "abc");
    task_cond_broadcast(&cond);
    turn();
    ck_assert_str_eq(story, "abc2");
    ck_assert_ptr_null(cond.waiters);
}
END_TEST

static void wait_cond_short(void *arg)
{
    ck_assert(!task_cond_wait(&cond, 0.01));
    ck_assert(!task_cond_wait(&cond, 0));
    tell(*(const char *)arg);
}

START_TEST(a_condition_times_out)
{
    spawn(wait_cond, "a");
    spawn(wait_cond_short, "t");
    spawn(wait_cond, "b");
    ev_run(loop, 0); /* ends with a and b asleep */
    ck_assert_str_eq(story, "t");
    task_cond_broadcast(&cond);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "tab");
}
END_TEST

static void wait_cond_stray(void *arg)
{
    (void)arg;
    ck_assert(task_cond_wait(&cond, 1000));
    tell('c');
}

START_TEST(a_stray_wake_does_not_end_a_wait)
{
    struct task *task = spawn(wait_cond_stray, NULL);
    turn();
    task_wake(task);
    turn();
    turn();
    ck_assert_str_eq(story, "");
    task_cond_broadcast(&cond);
    task_cond_broadcast(&cond);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "c");
}
END_TEST

/* Mutexes */

static struct task_mutex mutex;

static void hold(void *arg)
{
    task_mutex_lock(&mutex);
    tell(*(const char *)arg);
    task_sleep(0.001);
    tell(*(const char *)arg);
    task_mutex_unlock(&mutex);
}

START_TEST(a_mutex_is_first_come_first_served)
{
    spawn(hold, "a");
    spawn(hold, "b");
    spawn(hold, "c");
    ev_run(loop, 0);
    ck_assert_str_eq(story, "aabbcc");
    ck_assert(!mutex.held);
}
END_TEST

static void hold_and_come_back(void *arg)
{
    (void)arg;
    task_mutex_lock(&mutex);
    task_suspend();
    task_mutex_unlock(&mutex);
    /* Somebody waits: who let go last must queue behind. */
    task_mutex_lock(&mutex);
    tell('2');
    task_mutex_unlock(&mutex);
}

START_TEST(a_mutex_is_handed_over)
{
    struct task *task = spawn(hold_and_come_back, NULL);
    spawn(hold, "b");
    turn();
    task_wake(task);
    ev_run(loop, 0);
    ck_assert_str_eq(story, "bb2");
}
END_TEST

START_TEST(a_free_mutex_needs_no_task)
{
    task_mutex_lock(&mutex);
    task_mutex_unlock(&mutex);
    task_mutex_lock(&mutex);
    ck_assert(mutex.held);
    task_mutex_unlock(&mutex);
    ck_assert(!mutex.held);
}
END_TEST

START_TEST(a_held_mutex_without_a_task_aborts)
{
    task_mutex_lock(&mutex);
    task_mutex_lock(&mutex);
}
END_TEST

static void lock_twice(void *arg)
{
    (void)arg;
    task_mutex_lock(&mutex);
    task_mutex_lock(&mutex);
}

START_TEST(a_recursive_lock_aborts)
{
    spawn(lock_twice, NULL);
    ev_run(loop, 0);
}
END_TEST

START_TEST(unlocking_a_free_mutex_aborts)
{
    task_mutex_unlock(&mutex);
}
END_TEST

static void lock_only(void *arg)
{
    (void)arg;
    task_mutex_lock(&mutex);
    task_suspend();
}

START_TEST(unlocking_another_ones_mutex_aborts)
{
    spawn(lock_only, NULL);
    turn();
    task_mutex_unlock(&mutex);
}
END_TEST

START_TEST(suspending_without_a_task_aborts)
{
    task_suspend();
}
END_TEST

/* Stacks */

static size_t use_stack(size_t size)
{
    volatile char frame[1024];
    frame[0] = (char)size;
    frame[sizeof(frame) - 1] = (char)size;
    size_t below = size > sizeof(frame) ? use_stack(size - sizeof(frame)) : 0;
    return below + (size_t)(frame[0] == frame[sizeof(frame) - 1]);
}

static void use_much_stack(void *arg)
{
    /* Instrumented frames are larger. */
    *(size_t *)arg = use_stack(TASK_STACK_SIZE / (WITH_ASAN ? 4 : 2));
}

START_TEST(the_stack_is_as_large_as_promised)
{
    for (int round = 0; round < 100; round++) {
        size_t frames = 0;
        spawn(use_much_stack, &frames);
        ev_run(loop, 0);
        ck_assert_uint_gt(frames, 50);
    }
}
END_TEST

static void use_too_much_stack(void *arg)
{
    *(size_t *)arg = use_stack(TASK_STACK_SIZE * 2);
}

START_TEST(a_stack_overflow_hits_the_guard_page)
{
    size_t frames = 0;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    spawn(use_too_much_stack, &frames);
    ev_run(loop, 0);
}
END_TEST

static size_t resident(void)
{
    unsigned long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%lu %lu", &size, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void count_up(void *arg)
{
    task_cond_wait(&cond, -1);
    ++*(size_t *)arg;
}

START_TEST(many_tasks_are_cheap)
{
    size_t tasks = RUNNING_ON_VALGRIND ? 200 : 10000;
    size_t before = resident();
    size_t counted = 0;
    for (size_t i = 0; i < tasks; i++)
        spawn(count_up, &counted);
    turn();
    ck_assert_uint_eq(task_count(), tasks);
    if (!WITH_ASAN && !RUNNING_ON_VALGRIND)
        ck_assert_uint_lt(resident() - before, tasks * 16 * 1024);
    task_cond_broadcast(&cond);
    ev_run(loop, 0);
    ck_assert_uint_eq(counted, tasks);
}
END_TEST

START_TEST(no_memory_for_a_stack_is_told)
{
    if (WITH_ASAN || RUNNING_ON_VALGRIND)
        return; /* they need more address space than this test leaves */
    struct rlimit old, tight;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
    tight = old;
    tight.rlim_cur = 1;
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &tight), 0);
    struct task *task = task_spawn(loop, "test", tell_arg, "x");
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
    ck_assert_ptr_null(task);
    ck_assert_uint_eq(task_count(), 0);
    spawn(tell_arg, "y");
    ev_run(loop, 0);
    ck_assert_str_eq(story, "y");
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("task");
    TCase *running = add_case(suite, "running");
    tcase_add_test(running, spawned_tasks_run_from_the_loop_in_order);
    tcase_add_test(running, tasks_that_yield_take_turns);
    tcase_add_test(running, a_long_name_is_cut);
    tcase_add_test(running, a_task_spawns_a_task_that_runs_next_turn);
    tcase_add_test(running, a_wake_runs_the_task_from_the_loop_and_once);
    tcase_add_test(running, a_wake_before_suspending_is_remembered_once);
    tcase_add_test(running, the_loop_ends_when_all_tasks_sleep_for_good);
    tcase_add_test(running, busy_tasks_do_not_shut_out_descriptors);
    tcase_add_test(running, a_task_can_break_the_loop);
    tcase_add_test(running, loops_do_not_meddle_with_each_other);
    tcase_add_test_raise_signal(running, suspending_without_a_task_aborts, SIGABRT);
    TCase *waiting = add_case(suite, "waiting");
    tcase_add_test(waiting, a_descriptor_is_waited_for);
    tcase_add_test(waiting, a_hang_up_wakes_and_a_stray_wake_does_not);
    tcase_add_test(waiting, a_shut_down_from_elsewhere_ends_a_wait);
    tcase_add_test(waiting, sleep_lasts_as_long_as_asked);
    tcase_add_test(waiting, a_time_out_counts_from_the_call);
    tcase_add_test(waiting, a_broadcast_wakes_all_in_order);
    tcase_add_test(waiting, a_condition_times_out);
    tcase_add_test(waiting, a_stray_wake_does_not_end_a_wait);
    TCase *locking = add_case(suite, "locking");
    tcase_add_test(locking, a_mutex_is_first_come_first_served);
    tcase_add_test(locking, a_mutex_is_handed_over);
    tcase_add_test(locking, a_free_mutex_needs_no_task);
    tcase_add_test_raise_signal(locking, a_held_mutex_without_a_task_aborts, SIGABRT);
    tcase_add_test_raise_signal(locking, a_recursive_lock_aborts, SIGABRT);
    tcase_add_test_raise_signal(locking, unlocking_a_free_mutex_aborts, SIGABRT);
    tcase_add_test_raise_signal(locking, unlocking_another_ones_mutex_aborts, SIGABRT);
    TCase *stacks = add_case(suite, "stacks");
    tcase_add_test(stacks, the_stack_is_as_large_as_promised);
    tcase_add_test(stacks, many_tasks_are_cheap);
    tcase_add_test(stacks, no_memory_for_a_stack_is_told);
    if (!WITH_ASAN) /* which turns the signal into a report */
        tcase_add_test_raise_signal(stacks, a_stack_overflow_hits_the_guard_page, SIGSEGV);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
