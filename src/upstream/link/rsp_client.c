/* Hides when the stub's client sends, waits and ends. Each part below it knows only those that are
 * named before it: rsp_turns, rsp_flight, rsp_run, rsp_modes, rsp_step (what is asked for, what is
 * sent, whether the target runs, where the stub stands, whether a step was made), rsp_wire (the
 * socket), rsp_queue (what goes out), rsp_reply (what comes in). */
#include "upstream/link/rsp_client.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "base/task.h"
#include "upstream/link/process.h"
#include "upstream/link/rsp_queue.h"
#include "upstream/link/rsp_reply.h"
#include "upstream/link/rsp_wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Seconds without a request after which the stub is put back into its virtual space, so that
 * whoever finds it after our sudden death finds it as everybody expects. */
#define IDLE_AFTER 0.1
/* What puts it there. */
#define LEAVE_SPACE RSP_MODES_SPACE "0"

struct rsp_client {
    struct ev_loop *loop;
    struct rsp_listener listener;
    struct rsp_wire wire;
    struct rsp_queue queue;
    struct rsp_replies replies;
    ev_timer idle;
    ev_timer later; /* fires at once: what must not happen inside the caller's call */
    bool closing;   /* closed by its owner, who is told of nothing but the requests */
};

/* Ending */

/* Have the rest done from the loop: what must not happen inside the caller's call. */
static void do_later(struct rsp_client *client)
{
    ev_timer_stop(client->loop, &client->later);
    ev_timer_set(&client->later, 0., 0.);
    ev_timer_start(client->loop, &client->later);
}

void rsp_client_fail(struct rsp_client *client, const char *format, ...)
{
    char reason[FAILURE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    stream_fail(&client->wire.stream, "%s", reason);
}

void rsp_client_fail_resumed(struct rsp_client *client)
{
    rsp_replies_fail_resumed(&client->replies);
}

bool rsp_client_intruded(const struct rsp_client *client)
{
    return client->replies.intruded;
}

/* A stub that answers no more may still read: leave it in the space that everybody expects. But a
 * target that may run would be halted by it. */
static void last_words(struct rsp_client *client)
{
    const struct rsp_queue *queue = &client->queue;
    if (!rsp_modes_stand(&queue->modes, RSP_MODE_SPACE, 0) && queue->spaces &&
        !rsp_run_moving(&queue->run) && !rsp_run_doubted(&queue->run))
        rsp_wire_last_words(&client->wire, LEAVE_SPACE);
}

static void disconnect(struct rsp_client *client)
{
    ev_timer_stop(client->loop, &client->idle);
    ev_timer_stop(client->loop, &client->later);
    if (client->wire.stream.fd >= 0)
        last_words(client);
    rsp_wire_close(&client->wire);
    rsp_queue_drop(&client->queue, TARGET_GONE);
    rsp_run_end(&client->queue.run);
}

/* From the loop only. */
static void end(struct rsp_client *client)
{
    bool quietly = client->closing;
    disconnect(client);
    client->closing = false;
    rsp_queue_tell_dropped(&client->queue);
    if (!quietly && client->listener.lost)
        client->listener.lost(client->listener.context, client->wire.stream.reason);
}

void rsp_client_close(struct rsp_client *client)
{
    stream_call_off(&client->wire.stream);
    if (client->wire.stream.fd < 0)
        return;
    client->closing = true;
    disconnect(client);
    do_later(client);
}

/* Frame what may be sent now. */
static void pump(struct rsp_client *client)
{
    rsp_queue_pump(&client->queue);
    if (rsp_run_taken(&client->queue.run)) /* without acks it counts as taken once it is sent */
        do_later(client);
    stream_flush(&client->wire.stream);
}

/* The loop's calls */

/* What a taken resume, an interrupt that waited for it, and new room in flight lead to. */
static void settle_turn(void *context)
{
    struct rsp_client *client = context;
    struct rsp_queue *queue = &client->queue;
    if (rsp_run_taken(&queue->run))
        rsp_queue_finish_resume(queue, TARGET_OK, "");
    if (rsp_run_interrupt_due(&queue->run))
        rsp_queue_send_interrupt(queue);
    rsp_queue_tell_dropped(queue);
    pump(client);
    if (client->wire.stream.fd >= 0 && rsp_modes_stand(&queue->modes, RSP_MODE_SPACE, 1) &&
        !queue->flight.first && !ev_is_active(&client->idle)) {
        ev_timer_set(&client->idle, IDLE_AFTER, 0.);
        ev_timer_start(client->loop, &client->idle);
    }
    if (client->wire.stream.failing)
        end(client);
}

static void on_silent(void *context)
{
    struct rsp_client *client = context;
    const struct rsp_operation *first = client->queue.flight.first;
    double timeout = client->wire.stream.timeout;
    if (!rsp_queue_owed(&client->queue))
        return;
    if (first)
        rsp_client_fail(client, "timed out: no answer to '%.*s' within %g seconds%s",
                        first->length < 40 ? (int)first->length : 40, (const char *)first->payload,
                        timeout, client->wire.heard ? "" : "; is another client connected to it?");
    else
        rsp_client_fail(client, "timed out: not halted %g seconds after the interrupt", timeout);
    end(client);
}

static void on_event(void *context, enum packet_event event)
{
    struct rsp_client *client = context;
    rsp_replies_take(&client->replies, event);
}

static bool is_awaited(const void *context)
{
    const struct rsp_client *client = context;
    return rsp_queue_owed(&client->queue);
}

static void on_failed(void *context)
{
    do_later(context);
}

void rsp_client_poll(struct rsp_client *client)
{
    if (!rsp_wire_live(&client->wire))
        return;
    stream_receive(&client->wire.stream);
    do_later(client);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct rsp_client *client = timer->data;
    if (client->wire.stream.failing || client->closing)
        end(client);
    else
        settle_turn(client);
}

static bool undisturbed(const struct rsp_client *client)
{
    return !rsp_run_doubted(&client->queue.run) &&
           (!client->listener.undisturbed ||
            client->listener.undisturbed(client->listener.context));
}

/* Nothing to do: back into the virtual space, now or, where the target may run, later. */
static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct rsp_client *client = timer->data;
    struct rsp_queue *queue = &client->queue;
    if (!queue->flight.first && !queue->turns.first && !rsp_run_moving(&queue->run) &&
        !client->wire.stream.failing && rsp_modes_stand(&queue->modes, RSP_MODE_SPACE, 1) &&
        undisturbed(client))
        rsp_queue_send_switch(queue, RSP_MODE_SPACE, 0);
    settle_turn(client);
    rsp_queue_watch(&client->queue);
}

/* The outer side */

struct rsp_client *rsp_client_new(struct ev_loop *loop, double timeout, struct run_state *state,
                                  const struct rsp_listener *listener)
{
    struct rsp_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->loop = loop;
    client->listener = *listener;
    rsp_wire_init(&client->wire, loop, timeout,
                  &(struct rsp_wire_events){.context = client,
                                            .event = on_event,
                                            .awaited = is_awaited,
                                            .turn = settle_turn,
                                            .silent = on_silent,
                                            .failed = on_failed});
    rsp_queue_init(&client->queue, &client->wire, state, &client->listener);
    rsp_replies_init(&client->replies, &client->wire, &client->queue);
    ev_init(&client->idle, on_idle);
    ev_init(&client->later, on_later);
    client->idle.data = client->later.data = client;
    return client;
}

void rsp_client_free(struct rsp_client *client)
{
    if (!client)
        return;
    disconnect(client);
    rsp_queue_tell_dropped(&client->queue);
    rsp_queue_free(&client->queue);
    ev_timer_stop(client->loop, &client->later);
    rsp_wire_free(&client->wire);
    free(client);
}

void rsp_client_adopt(struct rsp_client *client, int fd)
{
    if (client->wire.stream.fd >= 0 || client->closing) {
        client->closing = true;
        end(client);
    }
    rsp_wire_adopt(&client->wire, fd);
    rsp_replies_begin(&client->replies);
    rsp_queue_begin(&client->queue);
}

enum target_error rsp_client_connect(struct rsp_client *client, const struct endpoint *endpoint,
                                     struct failure *failure)
{
    int fd = rsp_wire_dial(&client->wire, endpoint, failure);
    if (fd < 0)
        return failure_recode(failure, TARGET_GONE);
    rsp_client_adopt(client, fd);
    return TARGET_OK;
}

bool rsp_client_heard(const struct rsp_client *client)
{
    return client->wire.heard;
}

bool rsp_client_connected(const struct rsp_client *client)
{
    return rsp_wire_live(&client->wire);
}

const char *rsp_client_reason(const struct rsp_client *client)
{
    return client->wire.stream.reason;
}

const char *rsp_client_exit(const struct rsp_client *client)
{
    return client->replies.exit;
}

void rsp_client_set_acks(struct rsp_client *client, bool acks)
{
    rsp_wire_set_acks(&client->wire, acks);
}

void rsp_client_set_busy_poll(struct rsp_client *client, struct busy_poll *poll)
{
    stream_set_busy_poll(&client->wire.stream, poll);
}

void rsp_client_set_depth(struct rsp_client *client, unsigned depth)
{
    client->queue.depth = depth > 0 ? depth : 1;
}

void rsp_client_set_limit(struct rsp_client *client, size_t limit)
{
    client->queue.limit = limit;
}

void rsp_client_set_spaces(struct rsp_client *client, bool spaces)
{
    client->queue.spaces = spaces;
}

size_t rsp_client_limit(const struct rsp_client *client)
{
    return client->queue.limit;
}

unsigned rsp_client_depth(const struct rsp_client *client)
{
    return client->queue.depth;
}

enum target_error rsp_client_submit(struct rsp_client *client, struct rsp_operation *operation)
{
    if (!rsp_wire_live(&client->wire))
        return TARGET_GONE;
    if (rsp_run_moving(&client->queue.run) || rsp_client_resuming(client))
        return TARGET_RUNNING;
    return rsp_queue_add(&client->queue, operation);
}

void rsp_client_kick(struct rsp_client *client)
{
    if (rsp_wire_live(&client->wire))
        pump(client);
}

struct call {
    struct task *task;
    struct buffer *reply;
    bool finished;
};

static void call_done(struct rsp_operation *operation)
{
    struct call *call = operation->context;
    if (operation->error == TARGET_OK && call->reply &&
        (!buffer_append(call->reply, operation->reply, operation->reply_length) ||
         !buffer_terminate(call->reply)))
        operation->error = TARGET_NO_MEMORY;
    operation->reply = "";
    call->finished = true;
    task_wake(call->task);
}

enum target_error rsp_client_call(struct rsp_client *client, struct rsp_operation *operation,
                                  struct buffer *reply)
{
    struct call call = {.task = task_self(), .reply = reply};
    operation->done = call_done;
    operation->context = &call;
    enum target_error error = rsp_client_submit(client, operation);
    if (error != TARGET_OK)
        return error;
    rsp_client_kick(client);
    while (!call.finished)
        task_suspend();
    return operation->error;
}

pid_t rsp_client_peer(const struct rsp_client *client)
{
    return process_peer(client->wire.stream.fd);
}

bool rsp_client_busy(const struct rsp_client *client)
{
    return client->queue.flight.first != NULL;
}

bool rsp_client_resuming(const struct rsp_client *client)
{
    return rsp_run_resuming(&client->queue.run);
}

bool rsp_client_running(const struct rsp_client *client)
{
    return run_state_runs(client->queue.run.state);
}

void rsp_client_set_running(struct rsp_client *client, bool running)
{
    struct rsp_queue *queue = &client->queue;
    if (client->wire.stream.fd < 0 || rsp_run_moving(&queue->run) == running)
        return;
    if (running) {
        rsp_queue_drop(queue, TARGET_RUNNING);
        rsp_run_by_another(&queue->run);
        rsp_modes_forget(&queue->modes, false);
        do_later(client);
    } else {
        rsp_queue_halted(queue, RUN_SEEN_HALTED);
        rsp_run_tolerate(&queue->run);
        rsp_queue_finish_resume(queue, TARGET_OK, "");
        rsp_queue_watch(queue);
    }
}

void rsp_client_doubt(struct rsp_client *client, bool doubted)
{
    struct run_state *state = client->queue.run.state;
    if (client->wire.stream.fd < 0 || run_state_is(state, RUN_DOUBTED) == doubted)
        return;
    run_state_take(state, doubted ? RUN_DOUBT : RUN_DOUBT_OVER);
    if (!doubted)
        do_later(client); /* what has waited goes out */
}

void rsp_client_interrupt(struct rsp_client *client)
{
    if (!rsp_run_want_interrupt(&client->queue.run))
        return;
    rsp_queue_send_interrupt(&client->queue);
    stream_flush(&client->wire.stream);
}

void rsp_client_forget_modes(struct rsp_client *client)
{
    rsp_modes_forget(&client->queue.modes, false);
}

unsigned rsp_client_strays(const struct rsp_client *client)
{
    return client->queue.run.strays;
}

enum target_error rsp_client_settle(struct rsp_client *client)
{
    if (!client->queue.spaces || rsp_modes_stand(&client->queue.modes, RSP_MODE_SPACE, 0))
        return TARGET_OK;
    struct rsp_operation operation = {
        .payload = LEAVE_SPACE, .length = strlen(LEAVE_SPACE), .kind = RSP_REQUEST};
    enum target_error error = rsp_client_call(client, &operation, NULL);
    if (error == TARGET_OK)
        rsp_modes_set(&client->queue.modes, RSP_MODE_SPACE, 0);
    return error;
}

void rsp_client_drain(struct rsp_client *client)
{
    struct stream *stream = &client->wire.stream;
    while (rsp_client_connected(client) && stream->out.length > 0)
        if (task_wait_fd(stream->fd, EV_WRITE, stream->timeout) == 0)
            return;
        else
            stream_flush(stream);
}
