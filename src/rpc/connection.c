#include "rpc/connection.h"

#include "base/buffer.h"
#include "base/busy_poll.h"
#include "base/log.h"
#include "base/task.h"
#include "rpc/answer.h"
#include "rpc/bulk_write.h"
#include "rpc/calls.h"
#include "rpc/port_batch.h"
#include "wire/frame.h"
#include "wire/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes read at a time: few for the many small frames of an idle connection, many inside a large
 * frame. */
#define READ_SMALL ((size_t)16 * 1024)
#define READ_LARGE ((size_t)1024 * 1024)
/* Answers to requests that came together go out together, up to this many bytes. */
#define ANSWERS_TOGETHER ((size_t)64 * 1024)
/* Requests carried out at a stretch, and bytes of requests and answers: then the others of the
 * daemon have their turn. */
#define TURN_REQUESTS 128u
#define TURN_BYTES    ((size_t)1024 * 1024)
/* An empty buffer larger than this is given back. */
#define BUFFER_KEPT ((size_t)16 * 1024)
/* Answers to calls that overtook, and notifications: what may wait in the output beyond one
 * response. */
#define URGENT_MOST ((size_t)1024 * 1024)
/* No request that may overtake is longer: three short values and a method's name. */
#define OVERTAKING_MOST 64u
/* Seconds between looks at a peer that we are not reading from: is it still there? */
#define LOOK_INTERVAL 1.0
/* Seconds that a peer has for taking in the last words before the connection is closed. */
#define LINGER 2.0

/* A whole request that waits in the input. */
struct waiting {
    uint32_t length;
    bool taken; /* it has overtaken: already answered */
};

struct rpc_connection {
    struct rpc_connection_config config;
    char name[32];
    struct ev_loop *loop;
    int fd;
    ev_io reader, writer;
    ev_timer look; /* while not reading */
    struct session *session;
    struct task_cond changed; /* whatever the task may be waiting for */

    struct buffer input; /* whole requests, then what is there of the next one */
    size_t whole;        /* bytes of whole requests in it */
    struct waiting *queue;
    size_t first, count, room; /* the queue is a ring of room places */
    struct frame_scanner scanner;
    struct bulk_write bulk; /* under way: the input begins with bytes of it, */
    size_t bulk_here;       /* this many, which count as whole */
    struct buffer current;  /* the request that is being carried out */
    struct buffer reply;    /* its answer, as it is put together */

    struct buffer output; /* whole frames; the first may be partly sent */
    size_t urgent;        /* bytes put in by others than the task since it was last empty */

    bool input_ended;  /* the peer has closed its sending side */
    bool gone;         /* nothing can be read or written any more */
    bool stopping;     /* asked to end */
    const char *fault; /* what it sent is no message; static text */
    HRESULT fault_hr;
};

/* What the peer sends is read no more, for good. */
static bool input_done(const struct rpc_connection *connection)
{
    return connection->input_ended || connection->gone || connection->stopping || connection->fault;
}

static bool input_full(const struct rpc_connection *connection)
{
    return connection->input.length >= CONNECTION_INPUT_MOST ||
           connection->count >= CONNECTION_REQUESTS_MOST || connection->urgent >= URGENT_MOST;
}

/* Start or stop the watchers as the state asks for. */
static void watch(struct rpc_connection *connection)
{
    bool reading = !input_done(connection) && !input_full(connection);

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

static void trim(struct buffer *buffer)
{
    if (buffer->length == 0 && buffer->capacity > BUFFER_KEPT)
        buffer_free(buffer);
}

/* The peer is there no more: nobody hears an answer, so nobody waits for one. */
static void lost(struct rpc_connection *connection, const char *reason)
{
    if (connection->gone)
        return;
    if (connection->count > 0)
        log_info("rpc", "%s: the peer is gone (%s), %zu of its requests were not carried out",
                 connection->name, reason, connection->count);
    else
        log_debug("rpc", "%s: the peer is gone (%s)", connection->name, reason);
    connection->gone = true;
    watch(connection);
    session_cancel(connection->session);
    task_cond_broadcast(&connection->changed);
}

/* Output */

static void write_some(struct rpc_connection *connection)
{
    size_t written = 0;

    /* A peer that reads as fast as we write would keep us here. */
    while (!connection->gone && connection->output.length > 0 && written < TURN_BYTES) {
        ssize_t count = buffer_write_fd(&connection->output, connection->fd);
        if (count >= 0) {
            written += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            lost(connection, strerror(errno));
        break;
    }
    if (connection->output.length == 0) {
        connection->urgent = 0;
        trim(&connection->output);
    }
    watch(connection);
    task_cond_broadcast(&connection->changed);
}

static void writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    write_some(watcher->data);
}

/* Put frames, which is left empty, behind what is to be sent. A large response is handed over, not
 * copied, where nothing waits. */
static void append_frames(struct rpc_connection *connection, struct buffer *frames)
{
    if (connection->gone) {
        buffer_clear(frames);
    } else if (connection->output.length == 0) {
        struct buffer empty = connection->output;
        connection->output = *frames;
        *frames = empty;
    } else if (!buffer_append(&connection->output, buffer_bytes(frames), frames->length)) {
        log_error("rpc", "%s: no memory for an answer of %zu bytes", connection->name,
                  frames->length);
        lost(connection, "out of memory");
    }
    buffer_clear(frames);
    trim(frames);
}

static void send_frames(struct rpc_connection *connection, struct buffer *frames)
{
    append_frames(connection, frames);
    write_some(connection);
}

/* The answer to a request: it waits for those to the requests behind it that are here already
 * (more). When one of them suspends, the loop sends what there is. */
static void send_answer(struct rpc_connection *connection, struct buffer *frames, bool more)
{
    append_frames(connection, frames);
    if (!more || connection->output.length >= ANSWERS_TOGETHER)
        write_some(connection);
    else if (!connection->gone && !ev_is_active(&connection->writer))
        ev_io_start(connection->loop, &connection->writer);
}

static void flush_failed(void *context, HRESULT hr, const char *message)
{
    struct rpc_connection *connection = context;
    size_t before = connection->output.length;

    if (connection->gone)
        return;
    if (connection->urgent >= URGENT_MOST ||
        !answer_notify(&connection->output, WIRE_NOTIFY_FLUSH_FAILED, hr, message)) {
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", connection->name,
                    message);
        return;
    }
    connection->urgent += connection->output.length - before;
    write_some(connection);
}

/* What IDebugEventCallbacks would hear, for a client that has asked for it. */
static void state_changed(void *context, enum target_state state, const char *text)
{
    struct rpc_connection *connection = context;
    size_t before = connection->output.length;
    uint32_t mask = session_event_mask(connection->session);
    uint64_t status = state == TARGET_STATE_RUNNING  ? DEBUG_STATUS_GO
                      : state == TARGET_STATE_HALTED ? DEBUG_STATUS_BREAK
                                                     : DEBUG_STATUS_NO_DEBUGGEE;
    bool whole = true;

    if (connection->gone || mask == 0)
        return;
    if (mask & DEBUG_EVENT_CHANGE_ENGINE_STATE)
        whole = connection->urgent < URGENT_MOST &&
                answer_notify_change(&connection->output, WIRE_NOTIFY_ENGINE_STATE,
                                     DEBUG_CES_EXECUTION_STATUS, status, text);
    if (mask & DEBUG_EVENT_CHANGE_DEBUGGEE_STATE && state == TARGET_STATE_HALTED)
        whole = whole && connection->urgent < URGENT_MOST &&
                answer_notify_change(&connection->output, WIRE_NOTIFY_DEBUGGEE_STATE, DEBUG_CDS_ALL,
                                     0, text);
    if (!whole)
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", connection->name,
                    text);
    connection->urgent += connection->output.length - before;
    write_some(connection);
}

/* Input */

/* The peer broke the protocol: it is told so after the answers that it still has to get, and
 * closed. */
static void broken(struct rpc_connection *connection, HRESULT hr, const char *fault)
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
        struct waiting *queue = calloc(room, sizeof *queue);
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
        (struct waiting){.length = length, .taken = taken};
    connection->count++;
    return true;
}

/* Drop the queue's first request from the input. */
static void queue_pop(struct rpc_connection *connection)
{
    uint32_t length = connection->queue[connection->first].length;

    buffer_consume(&connection->input, length);
    connection->whole -= length;
    trim(&connection->input);
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
            send_frames(connection, &reply);
        } else {
            lost(connection, "out of memory");
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

/* Find the whole requests in what has been read. */
static void scan(struct rpc_connection *connection)
{
    while (!input_done(connection) && connection->count < CONNECTION_REQUESTS_MOST &&
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
            broken(connection, E_INVALIDARG, connection->scanner.fault);
            return;
        case FRAME_COMPLETE:
            break;
        }
        size_t size = connection->scanner.scanned;
        frame_scanner_init(&connection->scanner);
        bool taken = overtake(connection, bytes, size);
        if (taken && connection->whole == 0) {
            buffer_consume(&connection->input, size);
            trim(&connection->input);
            continue;
        }
        if (!queue_push(connection, (uint32_t)size, taken)) {
            lost(connection, "out of memory");
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
        lost(connection, "closed");
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
        scan(connection);
    } else if (count == 0) {
        end_of_input(connection);
        look_for_peer(connection);
    } else if (errno == ENOMEM) {
        broken(connection, E_OUTOFMEMORY, message_no_memory);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        lost(connection, strerror(errno));
    }
    trim(&connection->input);
    watch(connection);
    task_cond_broadcast(&connection->changed);
}

/* The task */

/* Move the first request out of the input, which the reader may move about while the request is
 * carried out. */
static bool take_request(struct rpc_connection *connection)
{
    uint32_t length = connection->queue[connection->first].length;

    buffer_clear(&connection->current);
    if (connection->input.length == length) {
        struct buffer empty = connection->current;
        connection->current = connection->input;
        connection->input = empty;
    } else if (!buffer_append(&connection->current, buffer_bytes(&connection->input), length)) {
        lost(connection, "out of memory");
        return false;
    }
    queue_pop(connection);
    /* There is room for more now, maybe of what has been read already. */
    scan(connection);
    watch(connection);
    return true;
}

/* Carry out the request in current. False when it is no request: nothing behind it is to be
 * believed then. */
static bool serve(struct rpc_connection *connection)
{
    struct message message;
    const char *fault;

    if (!message_decode(&message, buffer_bytes(&connection->current), connection->current.length,
                        &fault)) {
        broken(connection, fault == message_no_memory ? E_OUTOFMEMORY : E_INVALIDARG, fault);
        return false;
    }
    switch (message.type) {
    case MESSAGE_REQUEST:
        session_more_follow(connection->session, connection->count > 0);
        if (call_carry_out(connection->session, connection->name, &message, &connection->reply))
            send_answer(connection, &connection->reply, connection->count > 0);
        else
            lost(connection, "out of memory");
        break;
    case MESSAGE_NOTIFICATION:
        log_debug("rpc", "%s: a notification was ignored", connection->name);
        break;
    case MESSAGE_RESPONSE:
        broken(connection, E_INVALIDARG, "a response, to a request that was never made");
        break;
    }
    message_free(&message);
    return message.type != MESSAGE_RESPONSE;
}

/* Move the next bytes of a large write out of the input. */
static bool take_piece(struct rpc_connection *connection, size_t length)
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
    scan(connection);
    watch(connection);
    return true;
}

/* Carry out the large write that is under way, piece by piece. It is not answered when its peer
 * left off in the middle; when we leave off it is, for what was written, or why nothing could be.
 */
static void serve_bulk(struct rpc_connection *connection)
{
    struct bulk_write *bulk = &connection->bulk;

    while (!connection->gone && bulk->left > 0) {
        size_t piece = bulk_write_piece(bulk, connection->bulk_here);
        if (piece > 0) {
            if (!take_piece(connection, piece)) {
                lost(connection, "out of memory");
                break;
            }
            bulk_write_step(bulk, connection->session, buffer_bytes(&connection->current), piece);
            buffer_clear(&connection->current);
            trim(&connection->current);
        } else if (input_done(connection)) {
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
            send_answer(connection, &connection->reply, connection->count > 0);
        else
            lost(connection, "out of memory");
    }
    *bulk = (struct bulk_write){0};
    connection->whole -= connection->bulk_here;
    buffer_consume(&connection->input, connection->bulk_here);
    connection->bulk_here = 0;
    scan(connection);
    watch(connection);
}

static bool port_answered(void *context, struct buffer *frame)
{
    struct rpc_connection *connection = context;

    if (frame)
        send_answer(connection, frame, true);
    else
        lost(connection, "out of memory");
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
        const struct waiting *next =
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
        queue_pop(connection);
    scan(connection);
    watch(connection);
    port_batch_carry_out(batch, connection->session, connection->name, &connection->reply,
                         port_answered, connection);
    port_batch_free(batch);
    if (connection->count == 0)
        write_some(connection);
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
            queue_pop(connection);
            scan(connection);
            watch(connection);
        } else if (connection->count > 0 && connection->output.length < CONNECTION_OUTPUT_MOST &&
                   (together = serve_ports(connection)) > 0) {
            requests += together;
            if (requests >= TURN_REQUESTS) {
                task_yield();
                requests = bytes = 0;
            }
        } else if (connection->count > 0 && connection->output.length < CONNECTION_OUTPUT_MOST) {
            if (!take_request(connection))
                break;
            size_t before = connection->output.length;
            bytes += connection->current.length;
            bool good = serve(connection);
            buffer_clear(&connection->current);
            trim(&connection->current);
            if (!good)
                break;
            if (connection->output.length > before)
                bytes += connection->output.length - before;
            if (++requests >= TURN_REQUESTS || bytes >= TURN_BYTES) {
                task_yield();
                requests = bytes = 0;
            }
        } else if (connection->count == 0 && input_done(connection)) {
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
        write_some(connection);
    }
    watch(connection);
    double end = ev_time() + LINGER;
    while (!connection->gone && connection->output.length > 0) {
        turned_out = connection->fault || connection->stopping;
        double left = end - ev_time();
        if (turned_out && left <= 0)
            return;
        task_cond_wait(&connection->changed, turned_out ? left : -1);
        if (!turned_out && connection->stopping)
            end = ev_time() + LINGER;
    }
    if (connection->gone || !connection->fault)
        return;
    shutdown(connection->fd, SHUT_WR);
    while (ev_time() < end && wasted < READ_LARGE) {
        ssize_t count = recv(connection->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (count > 0)
            wasted += (size_t)count;
        else if (count == 0 || (errno != EAGAIN && errno != EINTR) ||
                 !task_wait_fd(connection->fd, EV_READ, end - ev_time()))
            return;
    }
}

static void connection_task(void *arg)
{
    struct rpc_connection *connection = arg;

    serve_all(connection);
    say_goodbye(connection);
    connection->gone = true; /* the flush below has nobody to tell */
    watch(connection);
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
    frame_scanner_init(&connection->scanner);
    struct session_listener listener = {
        .context = connection, .flush_failed = flush_failed, .state_changed = state_changed};
    connection->session = session_open(config->space, connection->name, config->policy, &listener);
    if (!connection->session)
        goto fail;
    ev_io_init(&connection->reader, readable, fd, EV_READ);
    ev_io_init(&connection->writer, writable, fd, EV_WRITE);
    ev_timer_init(&connection->look, look_again, LOOK_INTERVAL, LOOK_INTERVAL);
    connection->reader.data = connection->writer.data = connection->look.data = connection;
    if (!task_spawn(loop, connection->name, connection_task, connection))
        goto fail;
    watch(connection);
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
    watch(connection);
    session_cancel(connection->session);
    task_cond_broadcast(&connection->changed);
}
