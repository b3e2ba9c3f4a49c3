#include "base/endpoint.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
static char error[ENDPOINT_ERROR_SIZE];

static void set_up(void)
{
    strcpy(directory, "/tmp/test-endpoint-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    error[0] = '\0';
}

static void tear_down(void)
{
    ck_assert_int_eq(rmdir(directory), 0); /* nothing is left in it */
}

static struct endpoint parsed(const char *text)
{
    struct endpoint endpoint;
    ck_assert_msg(endpoint_parse(&endpoint, text, error), "%s", error);
    return endpoint;
}

/* An endpoint for a socket in the test's directory. */
static struct endpoint local(const char *name)
{
    char text[128];
    snprintf(text, sizeof(text), "unix:%s/%s", directory, name);
    return parsed(text);
}

static int listening(struct endpoint *endpoint)
{
    int fd = endpoint_listen(endpoint, error);
    ck_assert_msg(fd >= 0, "%s", error);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    return fd;
}

static void expect_error(const char *part)
{
    ck_assert_msg(strstr(error, part) != NULL, "\"%s\" is not in \"%s\"", part, error);
    error[0] = '\0';
}

/* Text */

static void check_round_trip(const char *text)
{
    char back[ENDPOINT_TEXT_SIZE];
    struct endpoint endpoint = parsed(text);
    ck_assert_str_eq(endpoint_format(&endpoint, back), text);
}

START_TEST(endpoints_are_read_and_written)
{
    struct endpoint endpoint = parsed("unix:/run/a:b");
    ck_assert_int_eq(endpoint.kind, ENDPOINT_UNIX);
    ck_assert_str_eq(endpoint.path, "/run/a:b");
    endpoint = parsed("tcp:localhost:1234");
    ck_assert_int_eq(endpoint.kind, ENDPOINT_TCP);
    ck_assert_str_eq(endpoint.host, "localhost");
    ck_assert_uint_eq(endpoint.port, 1234);
    endpoint = parsed("tcp:[fe80::1%eth0]:65535");
    ck_assert_str_eq(endpoint.host, "fe80::1%eth0");
    ck_assert_uint_eq(endpoint.port, 65535);
    check_round_trip("unix:relative");
    check_round_trip("tcp:127.0.0.1:0");
    check_round_trip("tcp:[::1]:80");
}
END_TEST

START_TEST(longest_texts_fit)
{
    char text[400], back[ENDPOINT_TEXT_SIZE];
    struct endpoint endpoint;
    memset(text, 'x', sizeof(text));
    memcpy(text, "unix:", 5);
    text[5 + 107] = '\0';
    check_round_trip(text);
    text[5 + 107] = 'x';
    text[5 + 108] = '\0';
    ck_assert(!endpoint_parse(&endpoint, text, error));
    expect_error("108 bytes");

    memset(text, ':', sizeof(text));
    memcpy(text, "tcp:[", 5);
    strcpy(text + 5 + 255, "]:65535");
    endpoint = parsed(text);
    ck_assert_str_eq(endpoint_format(&endpoint, back), text);
    text[5 + 255] = ':';
    strcpy(text + 5 + 256, "]:65535");
    ck_assert(!endpoint_parse(&endpoint, text, error));
    expect_error("too long");
}
END_TEST

START_TEST(wrong_texts_are_refused_and_named)
{
    static const struct {
        const char *text, *part;
    } wrong[] = {
        {"", "unix:PATH or tcp:HOST:PORT"},
        {"/run/x.sock", "unix:PATH"},
        {"localhost:1234", "tcp:HOST:PORT"},
        {"udp:localhost:1", "tcp:HOST:PORT"},
        {"UNIX:/x", "unix:PATH"},
        {"unix:", "path of the unix socket is missing"},
        {"tcp:", "port is missing"},
        {"tcp:localhost", "port is missing"},
        {"tcp:localhost:", "port is missing"},
        {"tcp::1234", "host is missing"},
        {"tcp:[]:1234", "host is missing"},
        {"tcp:[::1]", "port is missing"},
        {"tcp:[::1]1", "port is missing"},
        {"tcp:[::1", "closing ]"},
        {"tcp:::1:80", "brackets"},
        {"tcp:[localhost]:80", "brackets"},
        {"tcp:x:65536", "over 65535"},
        {"tcp:x:99999999999999999999999", "over 65535"},
        {"tcp:x:-1", "not a decimal number"},
        {"tcp:x:1a", "not a decimal number"},
        {"tcp:x: 1", "not a decimal number"},
        {"tcp:x:0x10", "not a decimal number"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct endpoint endpoint = {.port = 7};
        ck_assert_msg(!endpoint_parse(&endpoint, wrong[i].text, error), "%s", wrong[i].text);
        ck_assert_uint_eq(endpoint.port, 7); /* untouched */
        ck_assert_ptr_nonnull(strstr(error, wrong[i].text));
        expect_error(wrong[i].part);
    }
    char text[4000];
    struct endpoint endpoint;
    memset(text, '%', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ck_assert(!endpoint_parse(&endpoint, text, error));
    ck_assert_uint_lt(strlen(error), sizeof(error));
}
END_TEST

START_TEST(local_is_what_stays_on_this_machine)
{
    static const struct {
        const char *text;
        bool local;
    } cases[] = {
        {"unix:/x", true},
        {"tcp:127.0.0.1:1", true},
        {"tcp:127.9.8.7:1", true},
        {"tcp:localhost:1", true},
        {"tcp:[::1]:1", true},
        {"tcp:[::ffff:127.0.0.1]:1", true},
        {"tcp:0.0.0.0:1", false},
        {"tcp:[::]:1", false},
        {"tcp:192.0.2.1:1", false},
        {"tcp:[2001:db8::1]:1", false},
        {"tcp:[::ffff:192.0.2.1]:1", false},
        {"tcp:no-such-host.invalid:1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct endpoint endpoint = parsed(cases[i].text);
        ck_assert_msg(endpoint_is_local(&endpoint) == cases[i].local, "%s", cases[i].text);
    }
}
END_TEST

/* Unix sockets */

static void check_conversation(int listener, const struct endpoint *endpoint)
{
    int client = endpoint_connect(endpoint, 5, false, error);
    ck_assert_msg(client >= 0, "%s", error);
    ck_assert_int_eq(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(client, F_GETFD) & FD_CLOEXEC, 0);
    struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
    ck_assert_int_eq(poll(&poll_fd, 1, 5000), 1);
    int server = endpoint_accept(listener);
    ck_assert_int_ge(server, 0);
    ck_assert_int_ne(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(server, F_GETFD) & FD_CLOEXEC, 0);
    if (endpoint->kind == ENDPOINT_TCP) {
        int ends[] = {client, server};
        for (size_t i = 0; i < 2; i++) {
            int nodelay = 0;
            socklen_t size = sizeof(nodelay);
            ck_assert_int_eq(getsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &nodelay, &size), 0);
            ck_assert_int_ne(nodelay, 0);
        }
    }
    char byte = 0;
    ck_assert_int_eq(write(server, "x", 1), 1);
    ck_assert_int_eq(read(client, &byte, 1), 1);
    ck_assert_int_eq(byte, 'x');
    ck_assert_int_eq(endpoint_accept(listener), -1);
    ck_assert_int_eq(errno, EAGAIN);
    close(client);
    close(server);
}

START_TEST(a_unix_socket_is_private)
{
    struct endpoint endpoint = local("sub/a.sock");
    mode_t old = umask(0);
    int listener = listening(&endpoint);
    umask(old);
    struct stat status;
    ck_assert_int_eq(stat(endpoint.path, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0600);
    char parent[80];
    snprintf(parent, sizeof(parent), "%s/sub", directory);
    ck_assert_int_eq(stat(parent, &status), 0);
    ck_assert_uint_eq(status.st_mode & 07777, 0700);
    check_conversation(listener, &endpoint);
    close(listener);
    endpoint_unlink(&endpoint);
    endpoint_unlink(&endpoint); /* harmless */
    ck_assert_int_eq(rmdir(parent), 0);
}
END_TEST

START_TEST(only_the_last_directory_is_made)
{
    struct endpoint endpoint = local("no/such/a.sock");
    ck_assert_int_eq(endpoint_listen(&endpoint, error), -1);
    expect_error("No such file");
}
END_TEST

START_TEST(a_dead_socket_is_replaced_and_a_live_one_is_not)
{
    struct endpoint endpoint = local("a.sock");
    int listener = listening(&endpoint);
    ck_assert_int_eq(endpoint_listen(&endpoint, error), -1);
    expect_error("in use: somebody listens there already");
    int probe = endpoint_accept(listener); /* how it was found out */
    ck_assert_int_ge(probe, 0);
    close(probe);
    check_conversation(listener, &endpoint);
    close(listener); /* as after a crash: the file stays */
    ck_assert_int_eq(endpoint_connect(&endpoint, 1, false, error), -1);
    expect_error(endpoint.path);
    listener = listening(&endpoint);
    check_conversation(listener, &endpoint);
    close(listener);
    endpoint_unlink(&endpoint);
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_left_alone)
{
    struct endpoint endpoint = local("a.sock");
    int fd = open(endpoint.path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(endpoint_listen(&endpoint, error), -1);
    expect_error("not a socket");
    endpoint_unlink(&endpoint);
    ck_assert_int_eq(unlink(endpoint.path), 0); /* still there */
    ck_assert_int_eq(symlink("elsewhere", endpoint.path), 0);
    ck_assert_int_eq(endpoint_listen(&endpoint, error), -1);
    expect_error("not a socket");
    ck_assert_int_eq(unlink(endpoint.path), 0);
}
END_TEST

START_TEST(nobody_there_is_told)
{
    struct endpoint endpoint = local("a.sock");
    ck_assert_int_eq(endpoint_connect(&endpoint, 1, false, error), -1);
    expect_error("No such file");
    ck_assert_int_eq(endpoint_connect_start(&endpoint, NULL, error), -1);
    expect_error(endpoint.path);
}
END_TEST

START_TEST(a_full_queue_times_out)
{
    struct endpoint endpoint = local("a.sock");
    int listener = listening(&endpoint);
    ck_assert_int_eq(listen(listener, 0), 0);
    int first = endpoint_connect(&endpoint, 1, true, error);
    ck_assert_int_ge(first, 0);
    ck_assert_int_ne(fcntl(first, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(endpoint_connect(&endpoint, 0.05, false, error), -1);
    expect_error("timed out");
    ck_assert_int_eq(endpoint_listen(&endpoint, error), -1); /* busy is alive */
    expect_error("in use: somebody listens there already");
    close(first);
    close(listener);
    endpoint_unlink(&endpoint);
}
END_TEST

/* TCP */

START_TEST(a_tcp_port_is_picked_and_told)
{
    struct endpoint endpoint = parsed("tcp:127.0.0.1:0");
    int listener = listening(&endpoint);
    ck_assert_uint_ne(endpoint.port, 0);
    check_conversation(listener, &endpoint);
    struct endpoint same = endpoint;
    ck_assert_int_eq(endpoint_listen(&same, error), -1);
    expect_error("in use: somebody listens there already");
    endpoint_unlink(&endpoint); /* nothing to do */
    close(listener);
}
END_TEST

START_TEST(a_refused_port_is_told)
{
    struct endpoint endpoint = parsed("tcp:127.0.0.1:0");
    int listener = listening(&endpoint);
    close(listener);
    ck_assert_int_eq(endpoint_connect(&endpoint, 5, false, error), -1);
    expect_error("refused");
}
END_TEST

START_TEST(each_address_of_a_host_is_tried)
{
    /* localhost may be ::1 first, where nobody listens. */
    struct endpoint endpoint = parsed("tcp:127.0.0.1:0");
    int listener = listening(&endpoint);
    strcpy(endpoint.host, "localhost");
    check_conversation(listener, &endpoint);
    close(listener);
}
END_TEST

START_TEST(an_unknown_host_is_told)
{
    struct endpoint endpoint = parsed("tcp:no-such-host.invalid:1");
    ck_assert_int_eq(endpoint_connect(&endpoint, 1, false, error), -1);
    expect_error("tcp:no-such-host.invalid:1");
    ck_assert_int_eq(endpoint_listen(&endpoint, error), -1);
    expect_error("no-such-host");
}
END_TEST

/* The default */

START_TEST(the_default_is_in_the_runtime_directory)
{
    struct endpoint endpoint;
    setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    ck_assert(endpoint_default(&endpoint, "rpc.sock", error));
    ck_assert_int_eq(endpoint.kind, ENDPOINT_UNIX);
    ck_assert_str_eq(endpoint.path, "/run/user/7/spacebridge/rpc.sock");
    char path[300];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    setenv("XDG_RUNTIME_DIR", path, 1);
    ck_assert(!endpoint_default(&endpoint, "rpc.sock", error));
    expect_error("too long");
}
END_TEST

START_TEST(without_a_runtime_directory_root_and_others_differ)
{
    static const char *const values[] = {NULL, "", "not/absolute"};
    char expected[108];
    if (geteuid() == 0)
        strcpy(expected, "/run/spacebridge/rpc.sock");
    else
        snprintf(expected, sizeof(expected), "/tmp/spacebridge-%u/rpc.sock", (unsigned)geteuid());
    for (size_t i = 0; i < 3; i++) {
        struct endpoint endpoint;
        if (values[i])
            setenv("XDG_RUNTIME_DIR", values[i], 1);
        else
            unsetenv("XDG_RUNTIME_DIR");
        ck_assert_msg(endpoint_default(&endpoint, "rpc.sock", error), "%s", error);
        ck_assert_str_eq(endpoint.path, expected);
    }
}
END_TEST

START_TEST(a_directory_of_a_stranger_is_not_trusted)
{
    /* Needs root, to play the stranger and the user both. */
    const unsigned user = 54321;
    char path[64];
    snprintf(path, sizeof(path), "/tmp/spacebridge-%u", user);
    if (geteuid() != 0 || mkdir(path, 0700) != 0)
        return;
    unsetenv("XDG_RUNTIME_DIR");
    struct endpoint endpoint;
    ck_assert_int_eq(seteuid(user), 0);
    bool trusted = endpoint_default(&endpoint, "rpc.sock", error);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(chown(path, user, (gid_t)-1), 0);
    ck_assert_int_eq(seteuid(user), 0);
    bool own = endpoint_default(&endpoint, "rpc.sock", error);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert(!trusted);
    ck_assert(own);
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
    Suite *suite = suite_create("endpoint");
    TCase *text = add_case(suite, "text");
    tcase_add_test(text, endpoints_are_read_and_written);
    tcase_add_test(text, longest_texts_fit);
    tcase_add_test(text, wrong_texts_are_refused_and_named);
    tcase_add_test(text, local_is_what_stays_on_this_machine);
    tcase_add_test(text, the_default_is_in_the_runtime_directory);
    tcase_add_test(text, without_a_runtime_directory_root_and_others_differ);
    tcase_add_test(text, a_directory_of_a_stranger_is_not_trusted);
    TCase *sockets = add_case(suite, "sockets");
    tcase_add_test(sockets, a_unix_socket_is_private);
    tcase_add_test(sockets, only_the_last_directory_is_made);
    tcase_add_test(sockets, a_dead_socket_is_replaced_and_a_live_one_is_not);
    tcase_add_test(sockets, a_file_that_is_no_socket_is_left_alone);
    tcase_add_test(sockets, nobody_there_is_told);
    tcase_add_test(sockets, a_full_queue_times_out);
    tcase_add_test(sockets, a_tcp_port_is_picked_and_told);
    tcase_add_test(sockets, a_refused_port_is_told);
    tcase_add_test(sockets, each_address_of_a_host_is_tried);
    tcase_add_test(sockets, an_unknown_host_is_told);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
