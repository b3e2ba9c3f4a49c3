#include "rpc_fixture.h"

#include "base/log.h"
#include "base/task.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Waiting on a fake target that runs: until it halts or the wait is called off. */
static struct rpc_test *the_test;

static enum target_error wait_really(struct target *target, target_client client, double timeout,
                                     const bool *cancel, char *text, size_t size)
{
    struct fake_target *fake = (struct fake_target *)target;
    double end = timeout < 0 ? 1e300 : ev_time() + timeout;
    (void)client;

    while (fake->state == TARGET_STATE_RUNNING && !*cancel && ev_time() < end)
        task_sleep(0.001);
    if (fake->state == TARGET_STATE_HALTED) {
        strncpy(text, "halted", size);
        return TARGET_OK;
    }
    return *cancel ? TARGET_CANCELLED : TARGET_RUNNING;
}

/* At once, so that whoever flushes next finds it so. */
static void wait_cancelled(struct target *target)
{
    (void)target;
    the_test->cancelled = true;
    if (the_test->halts_when_cancelled)
        the_test->machine.fake.state = TARGET_STATE_HALTED;
}

struct body {
    struct rpc_test *test;
    void (*body)(struct rpc_test *test);
};

static void run_body(void *arg)
{
    struct body *body = arg;

    body->body(body->test);
    body->test->ended = true;
}

void rpc_test_run(void (*body)(struct rpc_test *test))
{
    struct rpc_test test = {.loop = ev_loop_new(EVFLAG_AUTO)};
    struct body arg = {&test, body};

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    ck_assert_ptr_nonnull(test.loop);
    machine_start(&test.machine, CACHE_WRITE_BACK, 0);
    test.run = *test.machine.fake.base.run;
    test.run.wait = wait_really;
    test.run.wait_cancel = wait_cancelled;
    test.machine.fake.base.run = &test.run;
    the_test = &test;
    ck_assert_ptr_nonnull(task_spawn(test.loop, "test", run_body, &arg));
    ev_run(test.loop, 0);
    ck_assert(test.ended);
    ck_assert_uint_eq(task_count(), 0);
    machine_stop(&test.machine);
    ev_loop_destroy(test.loop);
}

void peer_open(struct peer *peer, int fd)
{
    *peer = (struct peer){.fd = fd};
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void release(struct peer *peer)
{
    if (!peer->received)
        return;
    witness_free(&peer->message);
    buffer_consume(&peer->input, peer->held);
    peer->received = false;
}

void peer_close(struct peer *peer)
{
    release(peer);
    buffer_free(&peer->input);
    buffer_free(&peer->output);
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

bool peer_send(struct peer *peer)
{
    while (peer->output.length > 0) {
        if (buffer_write_fd(&peer->output, peer->fd) >= 0)
            continue;
        if (errno != EAGAIN)
            return false;
        task_wait_fd(peer->fd, EV_WRITE, -1);
    }
    return true;
}

bool peer_receive(struct peer *peer)
{
    struct frame_scanner scanner;

    release(peer);
    frame_scanner_init(&scanner);
    for (;;) {
        enum frame_result result =
            frame_scan(&scanner, buffer_bytes(&peer->input), peer->input.length);
        ck_assert_int_ne(result, FRAME_BAD);
        if (result == FRAME_COMPLETE)
            break;
        ssize_t count = buffer_read_fd(&peer->input, peer->fd, 1024 * 1024);
        if (count == 0 || (count < 0 && errno == ECONNRESET))
            return false;
        if (count < 0)
            task_wait_fd(peer->fd, EV_READ, -1);
    }
    witness_read(&peer->message, buffer_bytes(&peer->input), scanner.scanned);
    peer->received = true;
    peer->held = scanner.scanned;
    return true;
}

HRESULT peer_response(struct peer *peer, uint32_t id)
{
    ck_assert(peer_receive(peer));
    ck_assert_int_eq(peer->message.type, MESSAGE_RESPONSE);
    ck_assert_uint_eq(peer->message.id, id);
    const msgpack_object *values = peer->message.error.type == MSGPACK_OBJECT_NIL
                                       ? &peer->message.result
                                       : &peer->message.error;
    ck_assert_int_eq(values->type, MSGPACK_OBJECT_ARRAY);
    return (HRESULT)values->via.array.ptr[0].via.i64;
}

HRESULT peer_notification(struct peer *peer, const char *method)
{
    ck_assert(peer_receive(peer));
    ck_assert_int_eq(peer->message.type, MESSAGE_NOTIFICATION);
    ck_assert(witness_text_is(&peer->message.method, method));
    ck_assert_int_eq(peer->message.params.type, MSGPACK_OBJECT_ARRAY);
    ck_assert_uint_eq(peer->message.params.via.array.size, 2);
    return (HRESULT)peer->message.params.via.array.ptr[0].via.i64;
}

void peer_expect_end(struct peer *peer)
{
    ck_assert_msg(!peer_receive(peer), "a message where the end should be");
    ck_assert_uint_eq(peer->input.length, 0);
}
