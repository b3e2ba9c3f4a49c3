#define _GNU_SOURCE
#include "base/busy_poll.h"

#include "base/clock.h"

#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPAN 2000u /* microseconds */

static struct ev_loop *loop;
static struct busy_poll busy;
static int pair[2];

/* Seconds that the time of day is off, for all in this program. */
static time_t time_of_day;

int clock_gettime(clockid_t id, struct timespec *time)
{
    int result = (int)syscall(SYS_clock_gettime, id, time);
    if (result == 0 && id == CLOCK_REALTIME)
        time->tv_sec += time_of_day;
    return result;
}

static void set_up(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    busy_poll_init(&busy, loop, SPAN);
    if (busy.span > 0)
        return;
    busy.span = SPAN * 1e-6; /* a machine with one processor */
}

static void tear_down(void)
{
    busy_poll_stop(&busy);
    ev_loop_destroy(loop);
    close(pair[0]);
    close(pair[1]);
}

/* Turns of the loop until nothing keeps it from sleeping. */
static unsigned turns(void)
{
    unsigned count = 0;
    while (ev_is_active(&busy.awake)) {
        ev_run(loop, EVRUN_ONCE);
        count++;
    }
    return count;
}

START_TEST(it_stays_awake_for_its_span_and_then_sleeps)
{
    double start = clock_now();
    busy_poll_expect(&busy);
    ck_assert_uint_ge(turns(), 1);
    ck_assert(clock_now() - start >= SPAN * 1e-6);
    /* as often as it takes, however slow each turn is */
    busy_poll_expect(&busy);
    busy.until += 3600;
    for (int turn = 0; turn < 5; turn++) {
        ev_run(loop, EVRUN_ONCE);
        ck_assert(ev_is_active(&busy.awake));
    }
    busy.until = clock_now();
    ck_assert_uint_eq(turns(), 1);
    /* with no other watcher the loop ends at once: nothing is left that keeps it awake */
    ck_assert(!ev_run(loop, 0));
}
END_TEST

START_TEST(each_expectation_counts_from_its_own_time)
{
    busy_poll_expect(&busy);
    double first = busy.until;
    ev_run(loop, EVRUN_NOWAIT);
    busy_poll_expect(&busy);
    ck_assert(busy.until > first);
    ck_assert(busy.until <= clock_now() + SPAN * 1e-6);
    busy_poll_stop(&busy);
    ck_assert_uint_eq(turns(), 0);
}
END_TEST

static unsigned arrived;

static void on_readable(struct ev_loop *its_loop, ev_io *watcher, int events)
{
    char byte;
    (void)its_loop;
    (void)events;
    ck_assert_int_eq(read(watcher->fd, &byte, 1), 1);
    arrived++;
}

START_TEST(sockets_are_served_meanwhile)
{
    ev_io io;
    ev_io_init(&io, on_readable, pair[0], EV_READ);
    ev_io_start(loop, &io);
    arrived = 0;
    busy_poll_expect(&busy);
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
    while (arrived == 0)
        ev_run(loop, EVRUN_ONCE);
    ck_assert(ev_is_active(&busy.awake));
    ev_io_stop(loop, &io);
}
END_TEST

START_TEST(a_clock_that_is_set_back_does_not_keep_it_awake)
{
    busy_poll_expect(&busy);
    time_of_day = -3600;
    turns();
    ck_assert(!ev_is_active(&busy.awake));
    time_of_day = 0;
}
END_TEST

START_TEST(it_can_be_left_out)
{
    busy_poll_expect(NULL);
    busy_poll_init(&busy, loop, 0);
    busy_poll_expect(&busy);
    ck_assert(!ev_is_active(&busy.awake));
}
END_TEST

START_TEST(one_processor_is_left_to_those_who_answer)
{
    cpu_set_t all, one;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    busy_poll_init(&busy, loop, SPAN);
    busy_poll_expect(&busy);
    ck_assert(!ev_is_active(&busy.awake));
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("busy_poll");
    TCase *tcase = tcase_create("busy_poll");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, it_stays_awake_for_its_span_and_then_sleeps);
    tcase_add_test(tcase, each_expectation_counts_from_its_own_time);
    tcase_add_test(tcase, sockets_are_served_meanwhile);
    tcase_add_test(tcase, a_clock_that_is_set_back_does_not_keep_it_awake);
    tcase_add_test(tcase, it_can_be_left_out);
    tcase_add_test(tcase, one_processor_is_left_to_those_who_answer);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
