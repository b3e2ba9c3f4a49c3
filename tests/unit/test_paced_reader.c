#include "base/paced_reader.h"

#include <check.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define INTERVAL 2000u /* microseconds */

static struct ev_loop *loop;
static int pair[2];
static struct paced_reader reader;
static unsigned calls;
static size_t got;
static bool stop_at_once;

static void on_readable(void *context)
{
    char bytes[64];
    ck_assert_ptr_eq(context, &calls);
    calls++;
    ssize_t count = read(pair[0], bytes, sizeof bytes);
    got += count > 0 ? (size_t)count : 0;
    if (stop_at_once)
        paced_reader_stop(&reader);
}

static void set_up(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    calls = 0;
    got = 0;
    stop_at_once = false;
    paced_reader_init(&reader, loop, INTERVAL, on_readable, &calls);
    paced_reader_start(&reader, pair[0]);
}

static void tear_down(void)
{
    paced_reader_free(&reader);
    ev_loop_destroy(loop);
    close(pair[0]);
    close(pair[1]);
}

static void send_byte(void)
{
    ck_assert_int_eq(write(pair[1], "x", 1), 1);
}

START_TEST(it_is_woken_by_what_comes)
{
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(calls, 0);
    for (unsigned i = 1; i <= 3; i++) {
        send_byte();
        ev_run(loop, EVRUN_ONCE);
        ck_assert_uint_eq(calls, i);
        ck_assert_uint_eq(got, i);
    }
}
END_TEST

START_TEST(in_pace_it_is_woken_by_the_clock_alone)
{
    ev_tstamp start = ev_time();
    paced_reader_pace(&reader, true);
    for (unsigned i = 0; i < 50; i++)
        send_byte();
    ev_run(loop, EVRUN_ONCE);
    /* all of them by one look, and that not before the clock was due */
    ck_assert_uint_eq(got, 50);
    ck_assert_uint_eq(calls, 1);
    ck_assert(ev_time() - start >= INTERVAL * 1e-6);
    while (calls < 4) /* the clock goes on */
        ev_run(loop, EVRUN_ONCE);
    ck_assert(ev_time() - start >= 3 * INTERVAL * 1e-6);
}
END_TEST

START_TEST(what_came_in_pace_is_there_afterwards)
{
    paced_reader_pace(&reader, true);
    ev_run(loop, EVRUN_NOWAIT);
    calls = 0;
    send_byte();
    paced_reader_pace(&reader, false);
    ev_run(loop, EVRUN_ONCE);
    ck_assert_uint_eq(got, 1);
    ck_assert_uint_eq(calls, 1);
    /* the clock is silent now: nothing keeps the loop from sleeping */
    struct itimerspec times;
    ck_assert_int_eq(timerfd_gettime(reader.clock.fd, &times), 0);
    ck_assert_int_eq(times.it_value.tv_nsec, 0);
    ck_assert_int_eq(times.it_interval.tv_nsec, 0);
}
END_TEST

START_TEST(it_can_be_stopped_and_started_from_inside)
{
    stop_at_once = true;
    paced_reader_pace(&reader, true);
    while (calls == 0)
        ev_run(loop, EVRUN_ONCE);
    send_byte();
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(calls, 1);
    paced_reader_pace(&reader, true); /* stopped: there is nothing to pace */
    stop_at_once = false;
    paced_reader_start(&reader, pair[0]);
    ev_run(loop, EVRUN_ONCE);
    ck_assert_uint_eq(calls, 2);
    ck_assert_uint_eq(got, 1);
}
END_TEST

START_TEST(without_a_timer_it_is_woken_as_ever)
{
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    paced_reader_free(&reader);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    paced_reader_start(&reader, pair[0]);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    paced_reader_pace(&reader, true);
    send_byte();
    ev_run(loop, EVRUN_ONCE);
    ck_assert_uint_eq(got, 1);
    ck_assert_uint_eq(calls, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("paced_reader");
    TCase *tcase = tcase_create("paced_reader");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, it_is_woken_by_what_comes);
    tcase_add_test(tcase, in_pace_it_is_woken_by_the_clock_alone);
    tcase_add_test(tcase, what_came_in_pace_is_there_afterwards);
    tcase_add_test(tcase, it_can_be_stopped_and_started_from_inside);
    tcase_add_test(tcase, without_a_timer_it_is_woken_as_ever);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
