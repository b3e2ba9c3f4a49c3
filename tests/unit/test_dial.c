/* Dialling in a task: addresses, names, and being called off. */
#include "base/dial.h"

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/failure.h"
#include "base/task.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ev_loop *loop;
static struct dial dialled;
static struct endpoint target;
static struct failure failure;
static int fd;

static struct endpoint parsed(const char *text)
{
    struct endpoint endpoint;
    char error[ENDPOINT_ERROR_SIZE];
    ck_assert_msg(endpoint_parse(&endpoint, text, error), "%s", error);
    return endpoint;
}

static int listening(struct endpoint *endpoint)
{
    char error[ENDPOINT_ERROR_SIZE];
    int listener = endpoint_listen(endpoint, error);
    ck_assert_msg(listener >= 0, "%s", error);
    return listener;
}

static void dialler(void *arg)
{
    (void)arg;
    fd = dial_endpoint(&dialled, &target, 30, &failure);
}

/* Dial the target, and carry the other task out beside it; returns the descriptor or -1. */
static int dial(task_fn *other)
{
    failure_clear(&failure);
    fd = -2;
    dialled = (struct dial){0};
    ck_assert_ptr_nonnull(task_spawn(loop, "dial", dialler, NULL));
    if (other)
        ck_assert_ptr_nonnull(task_spawn(loop, "other", other, NULL));
    while (task_count() > 0)
        ev_run(loop, EVRUN_ONCE);
    return fd;
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
    ev_loop_destroy(loop);
}

START_TEST(a_number_is_dialled)
{
    target = parsed("tcp:127.0.0.1:0");
    int listener = listening(&target);
    ck_assert_msg(dial(NULL) >= 0, "%s", failure.text);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(a_refused_port_is_told)
{
    target = parsed("tcp:127.0.0.1:0");
    close(listening(&target));
    ck_assert_int_eq(dial(NULL), -1);
    ck_assert_msg(strstr(failure.text, "tcp:127.0.0.1:") && strstr(failure.text, "refused"), "%s",
                  failure.text);
}
END_TEST

START_TEST(each_address_of_a_name_is_tried)
{
    /* localhost may be ::1 first, where nobody listens. */
    target = parsed("tcp:127.0.0.1:0");
    int listener = listening(&target);
    strcpy(target.host, "localhost");
    ck_assert_msg(dial(NULL) >= 0, "%s", failure.text);
    close(fd);
    close(listener);
}
END_TEST

START_TEST(an_unknown_name_is_told)
{
    target = parsed("tcp:no-such-host.invalid:1");
    ck_assert_int_eq(dial(NULL), -1);
    ck_assert_msg(strstr(failure.text, "tcp:no-such-host.invalid:1: "), "%s", failure.text);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_there_is_told)
{
    target = parsed("unix:/nowhere/at/all.sock");
    ck_assert_int_eq(dial(NULL), -1);
    ck_assert_msg(strstr(failure.text, "No such file"), "%s", failure.text);
}
END_TEST

static void call_off(void *arg)
{
    (void)arg;
    dial_call_off(&dialled);
}

START_TEST(a_name_that_is_asked_for_is_called_off)
{
    target = parsed("tcp:no-such-host.invalid:1");
    ck_assert_int_eq(dial(call_off), -1);
    ck_assert_msg(strstr(failure.text, "called off"), "%s", failure.text);
    ck_assert(dialled.called_off);
}
END_TEST

START_TEST(calling_off_nothing_is_harmless)
{
    struct dial none = {0};
    dial_call_off(&none);
    ck_assert(!none.called_off);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dial");
    TCase *tcase = tcase_create("dial");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_number_is_dialled);
    tcase_add_test(tcase, a_refused_port_is_told);
    tcase_add_test(tcase, each_address_of_a_name_is_tried);
    tcase_add_test(tcase, an_unknown_name_is_told);
    tcase_add_test(tcase, a_unix_socket_that_is_not_there_is_told);
    tcase_add_test(tcase, a_name_that_is_asked_for_is_called_off);
    tcase_add_test(tcase, calling_off_nothing_is_harmless);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
