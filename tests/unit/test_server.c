#include "rpc/server.h"

#include "base/endpoint.h"
#include "base/task.h"
#include "rpc_fixture.h"
#include "wire/protocol.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct endpoint endpoint;
static char directory[64];
static int listener;

static void set_up(void)
{
    char error[ENDPOINT_ERROR_SIZE], text[128];

    strcpy(directory, "/tmp/test_server.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(text, sizeof text, "unix:%s/rpc.sock", directory);
    ck_assert(endpoint_parse(&endpoint, text, error));
    listener = endpoint_listen(&endpoint, error);
    ck_assert_msg(listener >= 0, "%s", error);
}

static void tear_down(void)
{
    close(listener);
    endpoint_unlink(&endpoint);
    ck_assert_int_eq(rmdir(directory), 0);
}

static struct rpc_server *serve(struct rpc_test *test, unsigned most)
{
    struct rpc_config config = {.policy = CACHE_WRITE_BACK, .max_connections = most};
    struct rpc_server *server = rpc_server_new(test->loop, test->machine.space, &config);

    ck_assert_ptr_nonnull(server);
    ck_assert(rpc_server_listen(server, listener, "unix:test"));
    return server;
}

static void join(struct peer *peer)
{
    char error[ENDPOINT_ERROR_SIZE];
    int fd = endpoint_connect(&endpoint, 5, true, error);

    ck_assert_msg(fd >= 0, "%s", error);
    peer_open(peer, fd);
}

static void hello(struct peer *peer)
{
    SEND(peer, "[iis[si]]", 0, 1, "Hello", "test", 2);
    ck_assert_int_eq(peer_response(peer, 1), S_OK);
}

static void several(struct rpc_test *test)
{
    struct rpc_server *server = serve(test, 10);
    struct peer peers[5];

    for (int i = 0; i < 5; i++)
        join(&peers[i]);
    for (int i = 4; i >= 0; i--)
        hello(&peers[i]);
    ck_assert_uint_eq(rpc_server_connections(server), 5);
    /* Each its own view. */
    SEND(&peers[0], "[iis[ub]]", 0, 2, "WriteVirtual", BASE, "mine", (size_t)4);
    ck_assert_int_eq(peer_response(&peers[0], 2), S_OK);
    SEND(&peers[1], "[iis[ui]]", 0, 2, "ReadVirtual", BASE, 4);
    ck_assert_int_eq(peer_response(&peers[1], 2), S_OK);
    ck_assert_mem_eq(peers[1].message.result.via.array.ptr[1].via.bin.ptr, "\0\0\0\0", 4);
    peer_close(&peers[0]);
    WAIT_UNTIL(rpc_server_connections(server) == 4);
    ck_assert_mem_eq(ram(&test->machine, BASE), "mine", 4);
    rpc_server_stop(server);
    ck_assert_uint_eq(rpc_server_connections(server), 0);
    for (int i = 1; i < 5; i++) {
        peer_expect_end(&peers[i]);
        peer_close(&peers[i]);
    }
    rpc_server_free(server);
}

START_TEST(several_are_served_side_by_side)
{
    rpc_test_run(several);
}
END_TEST

static void too_many(struct rpc_test *test)
{
    struct rpc_server *server = serve(test, 2);
    struct peer peers[3];

    for (int i = 0; i < 2; i++) {
        join(&peers[i]);
        hello(&peers[i]);
    }
    join(&peers[2]);
    words_pack(&peers[2].output, "[iis[si]]", 0, 1, "Hello", "test", 2);
    peer_send(&peers[2]);
    ck_assert_int_eq(peer_notification(&peers[2], WIRE_NOTIFY_ERROR), E_ACCESSDENIED);
    peer_expect_end(&peers[2]);
    peer_close(&peers[2]);
    /* The others are not disturbed, and a place that gets free can be had. */
    hello(&peers[0]);
    peer_close(&peers[1]);
    WAIT_UNTIL(rpc_server_connections(server) == 1);
    join(&peers[2]);
    hello(&peers[2]);
    peer_close(&peers[0]);
    peer_close(&peers[2]);
    rpc_server_stop(server);
    rpc_server_free(server);
}

START_TEST(one_too_many_is_told_so)
{
    rpc_test_run(too_many);
}
END_TEST

static void no_descriptors(struct rpc_test *test)
{
    struct rpc_server *server = serve(test, 10);
    struct rlimit before, now;
    struct peer peer;

    join(&peer);
    /* Every descriptor that is left is taken. */
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int taken = dup(0);
    now = before;
    now.rlim_cur = (rlim_t)taken + 1;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    ck_assert_int_eq(dup(0), -1);
    words_pack(&peer.output, "[iis[si]]", 0, 1, "Hello", "test", 2);
    ck_assert(peer_send(&peer));
    unsigned turns = ev_iteration(test->loop);
    task_sleep(0.2);
    ck_assert_uint_lt(ev_iteration(test->loop) - turns, 50); /* it does not spin */
    ck_assert_uint_eq(rpc_server_connections(server), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(taken);
    ck_assert_int_eq(peer_response(&peer, 1), S_OK);
    peer_close(&peer);
    rpc_server_stop(server);
    rpc_server_free(server);
}

START_TEST(running_out_of_descriptors_is_survived)
{
    rpc_test_run(no_descriptors);
}
END_TEST

static void never_used(struct rpc_test *test)
{
    struct rpc_server *server = serve(test, 10);

    rpc_server_stop(server);
    rpc_server_free(server);
    server = serve(test, 10);
    rpc_server_free(server);
    rpc_server_free(NULL);
}

START_TEST(a_server_may_end_unused)
{
    rpc_test_run(never_used);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server");
    TCase *tcase = tcase_create("server");

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, several_are_served_side_by_side);
    tcase_add_test(tcase, one_too_many_is_told_so);
    tcase_add_test(tcase, running_out_of_descriptors_is_survived);
    tcase_add_test(tcase, a_server_may_end_unused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
