/* What the peer sends: whole requests are queued for the task, one that overtakes is carried out at
 * once, and the bytes of a large write are there for the task as they come. */
#include "base/log.h"
#include "rpc/calls.h"
#include "rpc/connection_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Bytes read at a time: few for the many small frames of an idle connection, many inside a large
 * frame. */
#define READ_SMALL ((size_t)16 * 1024)
#define READ_LARGE ((size_t)1024 * 1024)
/* No request that may overtake is longer: three short values and a method's name. */
#define OVERTAKING_MOST 64u
/* Seconds between looks at a peer that we are not reading from: is it still there? */
#define LOOK_INTERVAL 1.0

bool rpc_input_done(const struct rpc_connection *connection)
{
    return connection->input_ended || connection->gone || connection->stopping || connection->fault;
}

bool rpc_input_full(const struct rpc_connection *connection)
{
    return connection->input.length >= CONNECTION_INPUT_MOST ||
           connection->count >= CONNECTION_REQUESTS_MOST ||
           connection->urgent >= CONNECTION_URGENT_MOST;
}

void rpc_input_broken(struct rpc_connection *connection, HRESULT hr, const char *fault)
{
    log_warning("rpc", "%s: bad framing: %s; closing the connection", connection->name, fault);
    connection->fault = fault;
    connection->fault_hr = hr;
    session_cancel(connection->session);
}

static bool queue_push(struct rpc_connection *connection, uint32_t length, bool taken)
{
    if (connection->count == connection->room) {
        size_t room = connection->room > 0 ? connection->room * 2 : 16;
        struct rpc_waiting *queue = calloc(room, sizeof *queue);
        if (!queue)
            return false;
        for (size_t i = 0; i < connection->count; i++)
            queue[i] = connection->queue[(connection->first + i) % connection->room];
        free(connection->queue);
        connection->queue = queue;
        connection->room = room;
        connection->first = 0;
    }
    connection->queue[(connection->first + connection->count) % connection->room] =
        (struct rpc_waiting){.length = length, .taken = taken};
    connection->count++;
    return true;
}

void rpc_input_pop(struct rpc_connection *connection)
{
    uint32_t length = connection->queue[connection->first].length;

    buffer_consume(&connection->input, length);
    connection->whole -= length;
    rpc_connection_trim(&connection->input);
    connection->first = (connection->first + 1) % connection->room;
    if (--connection->count == 0 && connection->room > 64) {
        free(connection->queue);
        connection->queue = NULL;
        connection->room = connection->first = 0;
    }
}

/* Carry out a call that overtakes, if this request is one. */
static bool overtake(struct rpc_connection *connection, const uint8_t *bytes, size_t length)
{
    struct message message;
    struct buffer reply = {0};
    const char *fault;

    /* The name is looked at first: it is nearly always another. */
    if (length > OVERTAKING_MOST || !shallow_may_ask(bytes, length, "SetInterrupt") ||
        !message_decode(&message, bytes, length, &fault))
        return false;
    bool overtakes = call_overtakes(&message);
    if (overtakes) {
        if (call_carry_out(connection->session, connection->name, &message, &reply)) {
            connection->urgent += reply.length;
            rpc_output_send(connection, &reply);
        } else {
            rpc_connection_lost(connection, "out of memory");
        }
        buffer_free(&reply);
    }
    message_free(&message);
    return overtakes;
}

/* The bytes behind what is whole belong to the write that is under way. */
static void take_bulk(struct rpc_connection *connection)
{
    size_t fresh = connection->input.length - connection->whole;

    if (fresh > connection->bulk.missing)
        fresh = connection->bulk.missing;
    connection->bulk.missing -= fresh;
    connection->bulk_here += fresh;
    connection->whole += fresh;
}

/* A large write that nothing waits before need not be there as a whole. */
static void begin_bulk(struct rpc_connection *connection)
{
    if (connection->bulk.call || connection->count > 0 || connection->whole > 0)
        return;
    size_t head = bulk_write_begin(&connection->bulk, buffer_bytes(&connection->input),
                                   connection->input.length, &connection->scanner);
    if (head == 0)
        return;
    log_trace("rpc", "%s: %s, as it comes", connection->name, connection->bulk.call);
    buffer_consume(&connection->input, head);
    frame_scanner_init(&connection->scanner);
    take_bulk(connection);
}

void rpc_input_scan(struct rpc_connection *connection)
{
    while (!rpc_input_done(connection) && connection->count < CONNECTION_REQUESTS_MOST &&
           connection->input.length > connection->whole) {
        if (connection->bulk.call && connection->bulk.missing > 0) {
            take_bulk(connection);
            continue;
        }
        const uint8_t *bytes = buffer_bytes(&connection->input) + connection->whole;
        size_t length = connection->input.length - connection->whole;

        switch (frame_scan(&connection->scanner, bytes, length)) {
        case FRAME_INCOMPLETE:
            begin_bulk(connection);
            return;
        case FRAME_BAD:
            rpc_input_broken(connection, E_INVALIDARG, connection->scanner.fault);
            return;
        case FRAME_COMPLETE:
            break;
        }
        size_t size = connection->scanner.scanned;
        frame_scanner_init(&connection->scanner);
        bool taken = overtake(connection, bytes, size);
        if (taken && connection->whole == 0) {
            buffer_consume(&connection->input, size);
            rpc_connection_trim(&connection->input);
            continue;
        }
        if (!queue_push(connection, (uint32_t)size, taken)) {
            rpc_connection_lost(connection, "out of memory");
            return;
        }
        connection->whole += size;
    }
}

static void end_of_input(struct rpc_connection *connection)
{
    connection->input_ended = true;
    if (connection->input.length > connection->whole || connection->bulk.missing > 0)
        log_info("rpc", "%s: the peer closed in the middle of a message", connection->name);
}

/* Has the peer closed both ways? One that has only shut its sending side still wants its answers.
 */
static void look_for_peer(struct rpc_connection *connection)
{
    struct pollfd look = {.fd = connection->fd};

    if (poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)))
        rpc_connection_lost(connection, "closed");
}

static void look_again(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    look_for_peer(watcher->data);
}

static void readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct rpc_connection *connection = watcher->data;
    bool large = connection->scanner.payload > READ_SMALL || connection->bulk.missing > READ_SMALL;
    (void)loop;
    (void)events;

    ssize_t count =
        buffer_read_fd(&connection->input, connection->fd, large ? READ_LARGE : READ_SMALL);
    if (count > 0) {
        rpc_input_scan(connection);
    } else if (count == 0) {
        end_of_input(connection);
        look_for_peer(connection);
    } else if (errno == ENOMEM) {
        rpc_input_broken(connection, E_OUTOFMEMORY, message_no_memory);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        rpc_connection_lost(connection, strerror(errno));
    }
    rpc_connection_trim(&connection->input);
    rpc_connection_watch(connection);
    task_cond_broadcast(&connection->changed);
}

bool rpc_input_take_request(struct rpc_connection *connection)
{
    uint32_t length = connection->queue[connection->first].length;

    buffer_clear(&connection->current);
    if (connection->input.length == length) {
        struct buffer empty = connection->current;
        connection->current = connection->input;
        connection->input = empty;
    } else if (!buffer_append(&connection->current, buffer_bytes(&connection->input), length)) {
        rpc_connection_lost(connection, "out of memory");
        return false;
    }
    rpc_input_pop(connection);
    /* There is room for more now, maybe of what has been read already. */
    rpc_input_scan(connection);
    rpc_connection_watch(connection);
    return true;
}

bool rpc_input_take_piece(struct rpc_connection *connection, size_t length)
{
    const uint8_t *bytes = buffer_bytes(&connection->input);
    size_t behind = connection->input.length - length;
    struct buffer *current = &connection->current;

    buffer_clear(current);
    /* The few bytes behind are copied rather than the many. */
    if (behind < length) {
        if (!buffer_append(current, bytes + length, behind))
            return false;
        struct buffer rest = *current;
        *current = connection->input;
        connection->input = rest;
    } else {
        if (!buffer_append(current, bytes, length))
            return false;
        buffer_consume(&connection->input, length);
    }
    connection->whole -= length;
    connection->bulk_here -= length;
    rpc_input_scan(connection);
    rpc_connection_watch(connection);
    return true;
}

void rpc_input_init(struct rpc_connection *connection)
{
    frame_scanner_init(&connection->scanner);
    ev_io_init(&connection->reader, readable, connection->fd, EV_READ);
    ev_timer_init(&connection->look, look_again, LOOK_INTERVAL, LOOK_INTERVAL);
    connection->reader.data = connection->look.data = connection;
}
