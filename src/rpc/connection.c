/* A connection's life, and the task that carries out its requests. */
#include "rpc/connection.h"

#include "base/busy_poll.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/task.h"
#include "rpc/calls.h"
#include "rpc/inbox.h"
#include "rpc/outbox.h"
#include "rpc/port_batch.h"
#include "rpc/trim.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Requests carried out at a stretch: then the others of the daemon have their turn. */
#define TURN_REQUESTS 128u
/* No request that may overtake is longer: three short values and a method's name. */
#define OVERTAKING_MOST 64u
/* Seconds between looks at a peer that we are not reading from: is it still there? */
#define LOOK_INTERVAL 1.0
/* Seconds that a peer has for taking in the last words before the connection is closed, and bytes
 * that it may send meanwhile, which are thrown away. */
#define LINGER     2.0
#define WASTE_MOST ((size_t)1024 * 1024)

struct rpc_connection {
    struct rpc_connection_config config;
    char name[32];
    struct ev_loop *loop;
    int fd;
    ev_io reader;
    ev_timer look; /* while not reading */
    struct session *session;
    struct task_cond changed; /* whatever the task may be waiting for */
    struct inbox inbox;
    struct outbox outbox;
    struct buffer current; /* the request that is being carried out */
    struct buffer reply;   /* its answer, as it is put together */
    bool input_ended;      /* the peer has closed its sending side */
    bool gone;             /* nothing can be read or written any more */
    bool stopping;         /* asked to end */
    const char *fault;     /* what it sent is no message; static text */
    HRESULT fault_hr;
};

/* What the peer sends is read no more, for good. */
static bool input_done(const struct rpc_connection *connection)
{
    return connection->input_ended || connection->gone || connection->stopping || connection->fault;
}

/* Start or stop the watchers as the state asks for. */
static void watch(struct rpc_connection *connection)
{
    bool reading = !input_done(connection) && !inbox_full(&connection->inbox) &&
                   !outbox_urgent_full(&connection->outbox);

    if (reading)
        ev_io_start(connection->loop, &connection->reader);
    else
        ev_io_stop(connection->loop, &connection->reader);
    outbox_watch(&connection->outbox);
    if (!reading && !connection->gone) {
        if (!ev_is_active(&connection->look))
            ev_timer_again(connection->loop, &connection->look);
    } else {
        ev_timer_stop(connection->loop, &connection->look);
    }
}

/* The peer is there no more: nobody hears an answer, so nobody waits for one. */
static void lost(struct rpc_connection *connection, const char *reason)
{
    if (connection->gone)
        return;
    if (connection->inbox.count > 0)
        log_info("rpc", "%s: the peer is gone (%s), %zu of its requests were not carried out",
                 connection->name, reason, connection->inbox.count);
    else
        log_debug("rpc", "%s: the peer is gone (%s)", connection->name, reason);
    connection->gone = true;
    outbox_close(&connection->outbox);
    watch(connection);
    session_cancel(connection->session);
    task_cond_broadcast(&connection->changed);
}

/* What the peer sends */

/* The peer broke the protocol: it is told so after the answers that it still has to get, and
 * closed. fault is static text. */
static void broken(struct rpc_connection *connection, HRESULT hr, const char *fault)
{
    log_warning("rpc", "%s: bad framing: %s; closing the connection", connection->name, fault);
    connection->fault = fault;
    connection->fault_hr = hr;
    session_cancel(connection->session);
}

/* Carry out a call that overtakes, if this request is one. */
static enum inbox_overtaking overtake(void *context, const uint8_t *bytes, size_t length)
{
    struct rpc_connection *connection = context;
    struct message message;
    struct buffer reply = {0};
    const char *fault;

    /* The name is looked at first: it is nearly always another. */
    if (length > OVERTAKING_MOST ||
        !message_may_ask(bytes, length, wire_call_info(WIRE_CALL_SetInterrupt)->name) ||
        !message_decode(&message, bytes, length, &fault))
        return INBOX_WAITS;
    bool overtakes = call_overtakes(&message);
    if (overtakes) {
        if (call_carry_out(connection->session, connection->name, &message, &reply)) {
            outbox_send_urgent(&connection->outbox, &reply);
        } else {
            lost(connection, "out of memory");
        }
        buffer_free(&reply);
    }
    if (!overtakes)
        return INBOX_WAITS;
    return input_done(connection) ? INBOX_STOP : INBOX_TAKEN;
}

/* Find the whole requests in what has been read, where there is room for more of them. Carries out
 * those that overtake. */
static void scan(struct rpc_connection *connection)
{
    if (input_done(connection))
        return;
    switch (inbox_scan(&connection->inbox, overtake, connection)) {
    case INBOX_GOOD:
        break;
    case INBOX_BROKEN:
        broken(connection, E_INVALIDARG, connection->inbox.scanner.fault);
        break;
    case INBOX_NO_MEMORY:
        lost(connection, "out of memory");
        break;
    }
}

static void end_of_input(struct rpc_connection *connection)
{
    connection->input_ended = true;
    if (inbox_partial(&connection->inbox))
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
    (void)loop;
    (void)events;

    ssize_t count = inbox_read(&connection->inbox, connection->fd);
    if (count > 0) {
        scan(connection);
    } else if (count == 0) {
        end_of_input(connection);
        look_for_peer(connection);
    } else if (errno == ENOMEM) {
        broken(connection, E_OUTOFMEMORY, "out of memory");
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        lost(connection, strerror(errno));
    }
    rpc_trim(&connection->inbox.bytes);
    watch(connection);
    task_cond_broadcast(&connection->changed);
}

/* The task */

/* The reply to a call of that method, a warning before it if there is one. */
static void send_answer(struct rpc_connection *connection, const struct value *method)
{
    if (method->kind == VALUE_TEXT) {
        const char *warning = session_take_warning(connection->session);
        if (warning)
            outbox_warn(&connection->outbox, &method->bytes, warning);
    }
    outbox_send_answer(&connection->outbox, &connection->reply, connection->inbox.count > 0);
}

/* Carry out the request in current. False when it is no request: nothing behind it is to be
 * believed then. */
static bool serve(struct rpc_connection *connection)
{
    struct message message;
    const char *fault;

    if (!message_decode(&message, buffer_bytes(&connection->current), connection->current.length,
                        &fault)) {
        broken(connection, E_INVALIDARG, fault);
        return false;
    }
    switch (message.type) {
    case MESSAGE_REQUEST:
        session_more_follow(connection->session, connection->inbox.count > 0);
        if (call_carry_out(connection->session, connection->name, &message, &connection->reply))
            send_answer(connection, &message.method);
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
    return message.type != MESSAGE_RESPONSE;
}

/* Carry out the large write that is under way, piece by piece. It is not answered when its peer
 * left off in the middle; when we leave off it is, for what was written, or why nothing could be.
 */
static void serve_bulk(struct rpc_connection *connection)
{
    struct bulk_write *bulk = &connection->inbox.bulk;
    const struct value method = {
        .kind = VALUE_TEXT,
        .bytes = {.at = (const uint8_t *)bulk->call, .size = (uint32_t)strlen(bulk->call)}};

    while (!connection->gone && bulk->left > 0) {
        size_t piece = bulk_write_piece(bulk, connection->inbox.bulk_here);
        if (piece > 0) {
            if (!inbox_take_piece(&connection->inbox, piece, &connection->current)) {
                lost(connection, "out of memory");
                break;
            }
            scan(connection);
            watch(connection);
            bulk_write_step(bulk, connection->session, buffer_bytes(&connection->current), piece);
            buffer_clear(&connection->current);
            rpc_trim(&connection->current);
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
            send_answer(connection, &method);
        else
            lost(connection, "out of memory");
    }
    inbox_end_bulk(&connection->inbox);
    scan(connection);
    watch(connection);
}

static bool port_answered(void *context, struct buffer *frame)
{
    struct rpc_connection *connection = context;

    if (frame)
        outbox_send_answer(&connection->outbox, frame, true);
    else
        lost(connection, "out of memory");
    return !connection->gone && !connection->stopping;
}

/* Carry out the port writes that are first in the input together, if there are several. Returns
 * how many; 0: the first request is to be carried out by itself. */
static size_t serve_ports(struct rpc_connection *connection)
{
    struct inbox *inbox = &connection->inbox;
    const uint8_t *bytes = buffer_bytes(&inbox->bytes);
    struct port_batch *batch;
    size_t count = 0;

    if (inbox->count < 2 || !port_batch_looks_like(bytes, inbox_at(inbox, 0)->length) ||
        (batch = port_batch_new()) == NULL)
        return 0;
    while (count < inbox->count) {
        const struct inbox_request *next = inbox_at(inbox, count);
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
        inbox_pop(inbox);
    scan(connection);
    watch(connection);
    port_batch_carry_out(batch, connection->session, connection->name, &connection->reply,
                         port_answered, connection);
    port_batch_free(batch);
    if (inbox->count == 0)
        outbox_write(&connection->outbox);
    return count;
}

/* Move the first request to current. False: the connection is lost. */
static bool take_request(struct rpc_connection *connection)
{
    if (!inbox_take_request(&connection->inbox, &connection->current)) {
        lost(connection, "out of memory");
        return false;
    }
    /* There is room for more now, maybe of what has been read already. */
    scan(connection);
    watch(connection);
    return true;
}

static void serve_all(struct rpc_connection *connection)
{
    struct inbox *inbox = &connection->inbox;
    const struct outbox *outbox = &connection->outbox;
    size_t together;
    size_t requests = 0, bytes = 0; /* since the others last had their turn */

    while (!connection->gone && !connection->stopping) {
        if (connection->inbox.bulk.call && outbox_length(outbox) >= OUTBOX_MOST) {
            task_cond_wait(&connection->changed, -1);
        } else if (connection->inbox.bulk.call) {
            serve_bulk(connection);
            requests++;
        } else if (inbox->count > 0 && inbox_at(inbox, 0)->taken) {
            inbox_pop(inbox);
            scan(connection);
            watch(connection);
        } else if (inbox->count > 0 && outbox_length(outbox) < OUTBOX_MOST &&
                   (together = serve_ports(connection)) > 0) {
            requests += together;
            if (requests >= TURN_REQUESTS) {
                task_yield();
                requests = bytes = 0;
            }
        } else if (inbox->count > 0 && outbox_length(outbox) < OUTBOX_MOST) {
            if (!take_request(connection))
                break;
            size_t before = outbox_length(outbox);
            bytes += connection->current.length;
            bool good = serve(connection);
            buffer_clear(&connection->current);
            rpc_trim(&connection->current);
            if (!good)
                break;
            if (outbox_length(outbox) > before)
                bytes += outbox_length(outbox) - before;
            if (++requests >= TURN_REQUESTS || bytes >= OUTBOX_TURN_BYTES) {
                task_yield();
                requests = bytes = 0;
            }
        } else if (inbox->count == 0 && input_done(connection)) {
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
        outbox_error(&connection->outbox, connection->fault_hr, connection->fault);
    }
    watch(connection);
    double end = clock_now() + LINGER;
    while (!connection->gone && outbox_length(&connection->outbox) > 0) {
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
    outbox_close(&connection->outbox);
    watch(connection);
    session_close(connection->session);
    log_debug("rpc", "%s: closed", connection->name);
    close(connection->fd);
    connection->config.ended(connection->config.context, connection);
    inbox_free(&connection->inbox);
    buffer_free(&connection->current);
    buffer_free(&connection->reply);
    outbox_free(&connection->outbox);
    free(connection);
}

/* What is told of what the peer is sent, and what the session tells */

static void output_lost(void *context, const char *reason)
{
    lost(context, reason);
}

static void output_changed(void *context)
{
    struct rpc_connection *connection = context;

    watch(connection);
    task_cond_broadcast(&connection->changed);
}

static void flush_failed(void *context, HRESULT hr, const char *message)
{
    struct rpc_connection *connection = context;

    outbox_flush_failed(&connection->outbox, hr, message);
}

static void state_changed(void *context, enum space_state state, const char *text)
{
    struct rpc_connection *connection = context;

    outbox_state_changed(&connection->outbox, session_event_mask(connection->session), state, text);
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
    struct session_listener listener = {
        .context = connection, .flush_failed = flush_failed, .state_changed = state_changed};
    connection->session = session_open(config->space, connection->name, config->policy, &listener);
    if (!connection->session)
        goto fail;
    const struct outbox_listener heard = {
        .lost = output_lost, .changed = output_changed, .context = connection};
    outbox_init(&connection->outbox, connection->name, loop, fd, &heard);
    inbox_init(&connection->inbox, connection->name);
    ev_io_init(&connection->reader, readable, fd, EV_READ);
    ev_timer_init(&connection->look, look_again, LOOK_INTERVAL, LOOK_INTERVAL);
    connection->reader.data = connection->look.data = connection;
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
