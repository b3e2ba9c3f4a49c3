#include "base/busy_poll.h"
#include "base/clock.h"
#include "base/log.h"
#include "rpc/answer.h"
#include "rpc/calls.h"
#include "rpc/connection_internal.h"
#include "rpc/port_batch.h"
#include "wire/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Requests carried out at a stretch: then the others of the daemon have their turn. */
#define TURN_REQUESTS 128u
/* An empty buffer larger than this is given back. */
#define BUFFER_KEPT ((size_t)16 * 1024)
/* Seconds that a peer has for taking in the last words before the connection is closed, and bytes
 * that it may send meanwhile, which are thrown away. */
#define LINGER     2.0
#define WASTE_MOST ((size_t)1024 * 1024)

void rpc_connection_watch(struct rpc_connection *connection)
{
    bool reading = !rpc_input_done(connection) && !rpc_input_full(connection);

    if (reading)
        ev_io_start(connection->loop, &connection->reader);
    else
        ev_io_stop(connection->loop, &connection->reader);
    if (!connection->gone && connection->output.length > 0)
        ev_io_start(connection->loop, &connection->writer);
    else
        ev_io_stop(connection->loop, &connection->writer);
    if (!reading && !connection->gone) {
        if (!ev_is_active(&connection->look))
            ev_timer_again(connection->loop, &connection->look);
    } else {
        ev_timer_stop(connection->loop, &connection->look);
    }
}

void rpc_connection_trim(struct buffer *buffer)
{
    if (buffer->length == 0 && buffer->capacity > BUFFER_KEPT)
        buffer_free(buffer);
}

void rpc_connection_lost(struct rpc_connection *connection, const char *reason)
{
    if (connection->gone)
        return;
    if (connection->count > 0)
        log_info("rpc", "%s: the peer is gone (%s), %zu of its requests were not carried out",
                 connection->name, reason, connection->count);
    else
        log_debug("rpc", "%s: the peer is gone (%s)", connection->name, reason);
    connection->gone = true;
    rpc_connection_watch(connection);
    session_cancel(connection->session);
    task_cond_broadcast(&connection->changed);
}

/* The task */

/* The reply to a call of that method, a warning before it if there is one. */
static void send_answer(struct rpc_connection *connection, const msgpack_object *method)
{
    if (method->type == MSGPACK_OBJECT_STR)
        rpc_output_warn(connection, &method->via.str);
    rpc_output_send_answer(connection, &connection->reply, connection->count > 0);
}

/* Carry out the request in current. False when it is no request: nothing behind it is to be
 * believed then. */
static bool serve(struct rpc_connection *connection)
{
    struct message message;
    const char *fault;

    if (!message_decode(&message, buffer_bytes(&connection->current), connection->current.length,
                        &fault)) {
        rpc_input_broken(connection, fault == message_no_memory ? E_OUTOFMEMORY : E_INVALIDARG,
                         fault);
        return false;
    }
    switch (message.type) {
    case MESSAGE_REQUEST:
        session_more_follow(connection->session, connection->count > 0);
        if (call_carry_out(connection->session, connection->name, &message, &connection->reply))
            send_answer(connection, &message.method);
        else
            rpc_connection_lost(connection, "out of memory");
        break;
    case MESSAGE_NOTIFICATION:
        log_debug("rpc", "%s: a notification was ignored", connection->name);
        break;
    case MESSAGE_RESPONSE:
        rpc_input_broken(connection, E_INVALIDARG, "a response, to a request that was never made");
        break;
    }
    message_free(&message);
    return message.type != MESSAGE_RESPONSE;
}

/* Carry out the large write that is under way, piece by piece. It is not answered when its peer
 * left off in the middle; when we leave off it is, for what was written, or why nothing could be.
 */
static void serve_bulk(struct rpc_connection *connection)
{
    struct bulk_write *bulk = &connection->bulk;
    const msgpack_object method = {
        .type = MSGPACK_OBJECT_STR,
        .via.str = {.ptr = bulk->call, .size = (uint32_t)strlen(bulk->call)}};

    while (!connection->gone && bulk->left > 0) {
        size_t piece = bulk_write_piece(bulk, connection->bulk_here);
        if (piece > 0) {
            if (!rpc_input_take_piece(connection, piece)) {
                rpc_connection_lost(connection, "out of memory");
                break;
            }
            bulk_write_step(bulk, connection->session, buffer_bytes(&connection->current), piece);
            buffer_clear(&connection->current);
            rpc_connection_trim(&connection->current);
        } else if (rpc_input_done(connection)) {
            break;
        } else {
            task_cond_wait(&connection->changed, -1);
        }
    }
    if (bulk->left > 0)
        log_info("rpc", "%s: %s ended in the middle, %u bytes were written", connection->name,
                 bulk->call, (unsigned)bulk->done);
    if (!connection->gone &&
        (bulk->left == 0 || (connection->stopping && (bulk->done > 0 || bulk->ended)))) {
        if (bulk_write_answer(bulk, connection->session, connection->name, &connection->reply))
            send_answer(connection, &method);
        else
            rpc_connection_lost(connection, "out of memory");
    }
    *bulk = (struct bulk_write){0};
    connection->whole -= connection->bulk_here;
    buffer_consume(&connection->input, connection->bulk_here);
    connection->bulk_here = 0;
    rpc_input_scan(connection);
    rpc_connection_watch(connection);
}

static bool port_answered(void *context, struct buffer *frame)
{
    struct rpc_connection *connection = context;

    if (frame)
        rpc_output_send_answer(connection, frame, true);
    else
        rpc_connection_lost(connection, "out of memory");
    return !connection->gone && !connection->stopping;
}

/* Carry out the port writes that are first in the input together, if there are several. Returns
 * how many; 0: the first request is to be carried out by itself. */
static size_t serve_ports(struct rpc_connection *connection)
{
    const uint8_t *bytes = buffer_bytes(&connection->input);
    struct port_batch *batch;
    size_t count = 0;

    if (connection->count < 2 ||
        !port_batch_looks_like(bytes, connection->queue[connection->first].length) ||
        (batch = port_batch_new()) == NULL)
        return 0;
    while (count < connection->count) {
        const struct rpc_waiting *next =
            &connection->queue[(connection->first + count) % connection->room];
        if (next->taken || !port_batch_add(batch, bytes, next->length))
            break;
        bytes += next->length;
        count++;
    }
    if (count < 2) {
        port_batch_free(batch);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        rpc_input_pop(connection);
    rpc_input_scan(connection);
    rpc_connection_watch(connection);
    port_batch_carry_out(batch, connection->session, connection->name, &connection->reply,
                         port_answered, connection);
    port_batch_free(batch);
    if (connection->count == 0)
        rpc_output_write(connection);
    return count;
}

static void serve_all(struct rpc_connection *connection)
{
    size_t together;
    size_t requests = 0, bytes = 0; /* since the others last had their turn */

    while (!connection->gone && !connection->stopping) {
        if (connection->bulk.call && connection->output.length >= CONNECTION_OUTPUT_MOST) {
            task_cond_wait(&connection->changed, -1);
        } else if (connection->bulk.call) {
            serve_bulk(connection);
            requests++;
        } else if (connection->count > 0 && connection->queue[connection->first].taken) {
            rpc_input_pop(connection);
            rpc_input_scan(connection);
            rpc_connection_watch(connection);
        } else if (connection->count > 0 && connection->output.length < CONNECTION_OUTPUT_MOST &&
                   (together = serve_ports(connection)) > 0) {
            requests += together;
            if (requests >= TURN_REQUESTS) {
                task_yield();
                requests = bytes = 0;
            }
        } else if (connection->count > 0 && connection->output.length < CONNECTION_OUTPUT_MOST) {
            if (!rpc_input_take_request(connection))
                break;
            size_t before = connection->output.length;
            bytes += connection->current.length;
            bool good = serve(connection);
            buffer_clear(&connection->current);
            rpc_connection_trim(&connection->current);
            if (!good)
                break;
            if (connection->output.length > before)
                bytes += connection->output.length - before;
            if (++requests >= TURN_REQUESTS || bytes >= CONNECTION_TURN_BYTES) {
                task_yield();
                requests = bytes = 0;
            }
        } else if (connection->count == 0 && rpc_input_done(connection)) {
            break;
        } else {
            if (requests > 0)
                busy_poll_expect(connection->config.busy_poll);
            task_cond_wait(&connection->changed, -1);
            requests = bytes = 0;
        }
    }
}

/* Let the peer have what is left to say. A half-closed one may take its time, one that is turned
 * out may not. What it still sends is thrown away: closing with unread input would reset the
 * connection under the last words. */
static void say_goodbye(struct rpc_connection *connection)
{
    bool turned_out = connection->fault || connection->stopping;
    uint8_t waste[4096];
    size_t wasted = 0;

    if (connection->fault && !connection->gone) {
        answer_notify(&connection->output, WIRE_NOTIFY_ERROR, connection->fault_hr,
                      connection->fault);
        rpc_output_write(connection);
    }
    rpc_connection_watch(connection);
    double end = clock_now() + LINGER;
    while (!connection->gone && connection->output.length > 0) {
        turned_out = connection->fault || connection->stopping;
        double left = end - clock_now();
        if (turned_out && left <= 0)
            return;
        task_cond_wait(&connection->changed, turned_out ? left : -1);
        if (!turned_out && connection->stopping)
            end = clock_now() + LINGER;
    }
    if (connection->gone || !connection->fault)
        return;
    shutdown(connection->fd, SHUT_WR);
    while (clock_now() < end && wasted < WASTE_MOST) {
        ssize_t count = recv(connection->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (count > 0)
            wasted += (size_t)count;
        else if (count == 0 || (errno != EAGAIN && errno != EINTR) ||
                 !task_wait_fd(connection->fd, EV_READ, end - clock_now()))
            return;
    }
}

static void connection_task(void *arg)
{
    struct rpc_connection *connection = arg;

    serve_all(connection);
    say_goodbye(connection);
    connection->gone = true; /* the flush below has nobody to tell */
    rpc_connection_watch(connection);
    session_close(connection->session);
    log_debug("rpc", "%s: closed", connection->name);
    close(connection->fd);
    connection->config.ended(connection->config.context, connection);
    buffer_free(&connection->input);
    buffer_free(&connection->current);
    buffer_free(&connection->reply);
    buffer_free(&connection->output);
    free(connection->queue);
    free(connection);
}

struct rpc_connection *rpc_connection_new(struct ev_loop *loop, int fd,
                                          const struct rpc_connection_config *config)
{
    struct rpc_connection *connection = calloc(1, sizeof *connection);

    if (!connection)
        return NULL;
    connection->config = *config;
    connection->config.name = connection->name;
    strncpy(connection->name, config->name, sizeof connection->name - 1);
    connection->loop = loop;
    connection->fd = fd;
    struct session_listener listener = {.context = connection,
                                        .flush_failed = rpc_output_flush_failed,
                                        .state_changed = rpc_output_state_changed};
    connection->session = session_open(config->space, connection->name, config->policy, &listener);
    if (!connection->session)
        goto fail;
    rpc_input_init(connection);
    rpc_output_init(connection);
    if (!task_spawn(loop, connection->name, connection_task, connection))
        goto fail;
    rpc_connection_watch(connection);
    return connection;
fail:
    if (connection->session)
        session_close(connection->session); /* clean: it does not suspend */
    free(connection);
    return NULL;
}

void rpc_connection_stop(struct rpc_connection *connection)
{
    if (connection->stopping || connection->gone)
        return;
    connection->stopping = true;
    rpc_connection_watch(connection);
    session_cancel(connection->session);
    task_cond_broadcast(&connection->changed);
}
