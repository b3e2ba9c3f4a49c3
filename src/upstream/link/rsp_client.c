#include "upstream/link/rsp_client.h"

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/process.h"
#include "upstream/link/rsp_inside.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

/* Seconds without a request after which the stub is put back into its virtual space, so that
 * whoever finds it after our sudden death finds it as everybody expects. */
#define IDLE_AFTER 0.1

/* Ending */

void rsp_fail_later(struct rsp_client *client)
{
    ev_timer_stop(client->loop, &client->later);
    ev_timer_set(&client->later, 0., 0.);
    ev_timer_start(client->loop, &client->later);
}

void rsp_client_fail(struct rsp_client *client, const char *format, ...)
{
    if (client->fd < 0 || client->failing)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(client->reason, sizeof client->reason, format, arguments);
    va_end(arguments);
    client->failing = true;
    rsp_fail_later(client);
}

void rsp_client_fail_resumed(struct rsp_client *client)
{
    if (client->fd < 0 || client->failing)
        return;
    client->intruded = true;
    rsp_client_fail(client, "the target was resumed by another while requests were under way");
}

bool rsp_client_intruded(const struct rsp_client *client)
{
    return client->intruded;
}

/* Move everything that waits to the list of those to be told. */
static void drop_all(struct rsp_client *client, enum target_error error)
{
    struct rsp_operation *operation, *next;
    for (operation = client->in_flight; operation; operation = operation->next)
        operation->error = error;
    DL_CONCAT(client->dropped, client->in_flight);
    client->in_flight = NULL;
    client->in_flight_count = client->in_flight_weight = 0;
    while (client->turns) {
        struct rsp_turn *turn = client->turns;
        DL_DELETE(client->turns, turn);
        for (operation = turn->operations; operation; operation = next) {
            next = operation->next;
            DL_DELETE(turn->operations, operation);
            operation->error = error;
            DL_APPEND(client->dropped, operation);
        }
        free(turn);
    }
    if (client->resume) {
        client->resume->error = error;
        if (!client->resume_sent)
            DL_APPEND(client->dropped, client->resume);
        client->resume = NULL;
        client->resume_sent = false;
    }
    rsp_step_end(client);
    client->held = false;
}

void rsp_tell_dropped(struct rsp_client *client)
{
    while (client->dropped) {
        struct rsp_operation *operation = client->dropped;
        DL_DELETE(client->dropped, operation);
        operation->reply = "";
        operation->reply_length = 0;
        if (operation->mode)
            free(operation->mode);
        else
            operation->done(operation);
    }
}

/* A stub that answers no more may still read: leave it in the space that everybody expects. */
static void last_words(struct rsp_client *client)
{
    if (client->modes[RSP_MODE_SPACE] == 0 || !client->spaces || client->running)
        return;
    if (client->out.length == 0 &&
        packet_frame(&client->out, "Qqemu.PhyMemMode:0", strlen("Qqemu.PhyMemMode:0"), false))
        (void)buffer_write_fd(&client->out, client->fd);
}

static void disconnect(struct rsp_client *client)
{
    paced_reader_stop(&client->reading);
    ev_io_stop(client->loop, &client->writing);
    ev_timer_stop(client->loop, &client->silence);
    ev_timer_stop(client->loop, &client->idle);
    ev_timer_stop(client->loop, &client->later);
    if (client->fd >= 0) {
        last_words(client);
        close(client->fd);
    }
    client->fd = -1;
    drop_all(client, TARGET_GONE);
    packet_reader_free(&client->reader);
    buffer_free(&client->in);
    buffer_free(&client->out);
    client->running = client->resumed = client->taken = client->doubted = false;
    client->interrupt_sent = client->interrupt_wanted = false;
}

/* From the loop only. */
static void end(struct rsp_client *client)
{
    bool quietly = client->closing;
    disconnect(client);
    client->failing = client->closing = false;
    rsp_tell_dropped(client);
    if (!quietly && client->listener.lost)
        client->listener.lost(client->listener.context, client->reason);
}

void rsp_client_close(struct rsp_client *client)
{
    dial_call_off(&client->dial);
    if (client->fd < 0)
        return;
    client->failing = client->closing = true;
    disconnect(client);
    rsp_fail_later(client);
}

/* The loop's calls */

/* What a taken resume, an interrupt that waited for it, and new room in flight lead to. */
static void settle_turn(struct rsp_client *client)
{
    if (client->taken)
        rsp_finish_resume(client, TARGET_OK, "");
    if (client->interrupt_wanted && client->running && !client->resume)
        rsp_send_interrupt(client);
    rsp_tell_dropped(client);
    rsp_pump(client);
    rsp_flush_out(client);
    if (client->fd >= 0 && client->modes[RSP_MODE_SPACE] == 1 && !client->in_flight &&
        !ev_is_active(&client->idle)) {
        ev_timer_set(&client->idle, IDLE_AFTER, 0.);
        ev_timer_start(client->loop, &client->idle);
    }
    if (client->failing && !client->closing)
        end(client);
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct rsp_client *client = timer->data;
    double left = client->last_heard + client->timeout - clock_now();
    if (left > 0.001) {
        ev_timer_set(timer, left, 0.);
        ev_timer_start(loop, timer);
        return;
    }
    if (!client->in_flight && !(client->running && client->interrupt_sent))
        return;
    if (client->in_flight)
        rsp_client_fail(client, "timed out: no answer to '%.*s' within %g seconds%s",
                        client->in_flight->length < 40 ? (int)client->in_flight->length : 40,
                        (const char *)client->in_flight->payload, client->timeout,
                        client->heard ? "" : "; is another client connected to it?");
    else
        rsp_client_fail(client, "timed out: not halted %g seconds after the interrupt",
                        client->timeout);
    end(client);
}

static void on_readable(void *context)
{
    struct rsp_client *client = context;
    rsp_receive(client);
    settle_turn(client);
}

void rsp_client_poll(struct rsp_client *client)
{
    if (client->fd < 0 || client->failing)
        return;
    rsp_receive(client);
    rsp_fail_later(client);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    settle_turn(watcher->data);
}

static void on_later(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct rsp_client *client = timer->data;
    if (client->failing)
        end(client);
    else
        settle_turn(client);
}

static bool undisturbed(const struct rsp_client *client)
{
    return !client->doubted && (!client->listener.undisturbed ||
                                client->listener.undisturbed(client->listener.context));
}

/* Nothing to do: back into the virtual space, now or, where the target may run, later. */
static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct rsp_client *client = timer->data;
    if (!client->in_flight && !client->turns && !client->running && !client->failing &&
        client->modes[RSP_MODE_SPACE] == 1 && undisturbed(client))
        rsp_send_mode(client, RSP_MODE_SPACE, 0);
    settle_turn(client);
    rsp_watch(client);
}

/* The outer side */

struct rsp_client *rsp_client_new(struct ev_loop *loop, double timeout,
                                  const struct rsp_listener *listener)
{
    struct rsp_client *client = calloc(1, sizeof *client);
    if (!client)
        return NULL;
    client->loop = loop;
    client->listener = *listener;
    client->timeout = timeout;
    client->fd = -1;
    paced_reader_init(&client->reading, loop, RSP_PACE, on_readable, client);
    ev_init(&client->writing, on_writable);
    ev_init(&client->silence, on_silence);
    ev_init(&client->idle, on_idle);
    ev_init(&client->later, on_later);
    client->writing.data = client->silence.data = client->idle.data = client->later.data = client;
    return client;
}

void rsp_client_free(struct rsp_client *client)
{
    if (!client)
        return;
    disconnect(client);
    rsp_tell_dropped(client);
    rsp_step_free(client);
    ev_timer_stop(client->loop, &client->later);
    paced_reader_free(&client->reading);
    free(client);
}

void rsp_client_adopt(struct rsp_client *client, int fd)
{
    if (client->fd >= 0 || client->failing) {
        client->closing = true;
        end(client);
    }
    client->fd = fd;
    client->reason[0] = 0;
    client->exit[0] = 0;
    client->intruded = client->heard = false;
    packet_reader_init(&client->reader, RSP_REPLY_MAX);
    client->acks = true;
    client->spaces = false;
    client->depth = 1;
    client->limit = 396;   /* what gdb takes for granted of a stub that does not say */
    client->tolerated = 1; /* QEMU before 8.1 tells of the stop that a connect causes */
    client->strays = 0;
    client->quantum_left = RSP_QUANTUM;
    client->retries = 0;
    client->useless = client->useless_heard = 0;
    rsp_mode_forget(client, true);
    ev_io_set(&client->writing, fd, EV_WRITE);
    paced_reader_start(&client->reading, fd);
}

enum target_error rsp_client_connect(struct rsp_client *client, const struct endpoint *endpoint,
                                     char *message, size_t size)
{
    client->heard = false;
    int fd = dial_endpoint(&client->dial, endpoint, client->timeout, message, size);
    if (fd < 0)
        return TARGET_GONE;
    rsp_client_adopt(client, fd);
    return TARGET_OK;
}

bool rsp_client_heard(const struct rsp_client *client)
{
    return client->heard;
}

bool rsp_client_connected(const struct rsp_client *client)
{
    return client->fd >= 0 && !client->failing;
}

const char *rsp_client_reason(const struct rsp_client *client)
{
    return client->reason;
}

const char *rsp_client_exit(const struct rsp_client *client)
{
    return client->exit;
}

void rsp_client_set_acks(struct rsp_client *client, bool acks)
{
    client->acks = acks;
}

void rsp_client_set_busy_poll(struct rsp_client *client, struct busy_poll *poll)
{
    client->busy_poll = poll;
}

void rsp_client_set_depth(struct rsp_client *client, unsigned depth)
{
    client->depth = depth > 0 ? depth : 1;
}

void rsp_client_set_limit(struct rsp_client *client, size_t limit)
{
    client->limit = limit;
}

void rsp_client_set_spaces(struct rsp_client *client, bool spaces)
{
    client->spaces = spaces;
}

size_t rsp_client_limit(const struct rsp_client *client)
{
    return client->limit;
}

unsigned rsp_client_depth(const struct rsp_client *client)
{
    return client->depth;
}

/* The length on the wire between $ and #. */
static size_t wire_length(const struct rsp_operation *operation)
{
    size_t length = operation->length;
    const char *payload = operation->payload;
    for (size_t i = 0; operation->escape && i < operation->length; i++)
        length += payload[i] == '#' || payload[i] == '$' || payload[i] == '}' || payload[i] == '*';
    return length;
}

enum target_error rsp_client_submit(struct rsp_client *client, struct rsp_operation *operation)
{
    if (client->fd < 0 || client->failing)
        return TARGET_GONE;
    if (client->running || rsp_client_resuming(client))
        return TARGET_RUNNING;
    if (wire_length(operation) > client->limit)
        return TARGET_INVALID;
    if (operation->space == RSP_SPACE_PHYSICAL && !client->spaces)
        return TARGET_UNSUPPORTED;
    operation->mode = NULL;
    operation->error = TARGET_OK;
    if (operation->kind == RSP_RESUME) {
        client->resume = operation;
        rsp_step_begin(client, operation);
        return TARGET_OK;
    }
    struct rsp_turn *turn = rsp_turn_find(client, operation->client);
    if (!turn) {
        turn = calloc(1, sizeof *turn);
        if (!turn)
            return TARGET_NO_MEMORY;
        turn->client = operation->client;
        DL_APPEND(client->turns, turn);
    }
    DL_APPEND(turn->operations, operation);
    return TARGET_OK;
}

void rsp_client_kick(struct rsp_client *client)
{
    if (client->fd < 0 || client->failing)
        return;
    rsp_pump(client);
    rsp_flush_out(client);
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
         !rsp_terminate(call->reply)))
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
    return process_peer(client->fd);
}

bool rsp_client_busy(const struct rsp_client *client)
{
    return client->in_flight != NULL;
}

bool rsp_client_resuming(const struct rsp_client *client)
{
    return client->resume != NULL || client->step.checking;
}

bool rsp_client_running(const struct rsp_client *client)
{
    return client->running || client->step.checking;
}

void rsp_client_set_running(struct rsp_client *client, bool running)
{
    if (client->fd < 0 || client->running == running)
        return;
    if (running) {
        client->running = true;
        client->resumed = client->interrupt_sent = client->interrupt_wanted = false;
        client->tolerated = 0;
        rsp_mode_forget(client, false);
        drop_all(client, TARGET_RUNNING);
        rsp_fail_later(client);
    } else {
        rsp_halted(client);
        client->tolerated++;
        rsp_finish_resume(client, TARGET_OK, "");
        rsp_watch(client);
    }
}

void rsp_client_doubt(struct rsp_client *client, bool doubted)
{
    if (client->fd < 0 || client->doubted == doubted)
        return;
    client->doubted = doubted;
    if (!doubted)
        rsp_fail_later(client); /* what has waited goes out */
}

void rsp_client_interrupt(struct rsp_client *client)
{
    client->step.interrupted = true;
    if (client->fd < 0 || client->interrupt_sent)
        return;
    if (client->resume)
        client->interrupt_wanted = true;
    if (client->resume || !client->running)
        return;
    rsp_send_interrupt(client);
    rsp_flush_out(client);
}

unsigned rsp_client_strays(const struct rsp_client *client)
{
    return client->strays;
}

enum target_error rsp_client_settle(struct rsp_client *client)
{
    if (!client->spaces || client->modes[RSP_MODE_SPACE] == 0)
        return TARGET_OK;
    struct rsp_operation operation = {.payload = "Qqemu.PhyMemMode:0",
                                      .length = strlen("Qqemu.PhyMemMode:0"),
                                      .kind = RSP_REQUEST};
    enum target_error error = rsp_client_call(client, &operation, NULL);
    if (error == TARGET_OK)
        client->modes[RSP_MODE_SPACE] = 0;
    return error;
}

void rsp_client_drain(struct rsp_client *client)
{
    while (rsp_client_connected(client) && client->out.length > 0)
        if (task_wait_fd(client->fd, EV_WRITE, client->timeout) == 0)
            return;
        else
            rsp_flush_out(client);
}
