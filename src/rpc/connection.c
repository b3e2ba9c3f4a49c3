/* A connection's life, and the task that carries out its requests. */
#include "rpc/connection.h"

#include "base/log.h"
#include "base/peer.h"
#include "base/task.h"
#include "rpc/calls.h"
#include "rpc/inbox.h"
#include "rpc/outbox.h"
#include "rpc/port_batch.h"
#include "rpc/trim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Requests carried out at a stretch: then the others of the daemon have their turn. */
#define TURN_REQUESTS 128u
/* No request that may overtake is longer: three short values and a method's name. */
#define OVERTAKING_MOST 64u

struct rpc_connection {
    struct rpc_connection_config config;
    char name[32];
    struct peer peer;
    struct session *session;
    struct inbox inbox;
    struct outbox outbox;
    struct buffer current; /* the request that is being carried out */
    struct buffer reply;   /* its answer, as it is put together */
    const char *fault;     /* the peer is refused: what it sent is no message; static text */
    HRESULT fault_hr;
};

/* owner.full */
static bool input_full(const void *context)
{
    const struct rpc_connection *connection = context;

    return inbox_full(&connection->inbox) || outbox_urgent_full(&connection->outbox);
}

/* owner.lost: the peer is there no more: nobody hears an answer, so nobody waits for one. */
static void lost(void *context, const char *reason)
{
    struct rpc_connection *connection = context;

    if (connection->peer.gone)
        return;
    if (connection->inbox.count > 0)
        log_info("rpc", "%s: the peer is gone (%s), %zu of its requests were not carried out",
                 connection->name, reason, connection->inbox.count);
    else
        log_debug("rpc", "%s: the peer is gone (%s)", connection->name, reason);
    peer_gone(&connection->peer);
    session_cancel(connection->session);
}

/* What the peer sends */

/* The peer broke the protocol: it is told so after the answers that it still has to get, and
 * closed. fault is static text. */
static void broken(struct rpc_connection *connection, HRESULT hr, const char *fault)
{
    log_warning("rpc", "%s: bad framing: %s; closing the connection", connection->name, fault);
    connection->fault = fault;
    connection->peer.refused = true;
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
    if (!call_overtakes(&message))
        return INBOX_WAITS;
    if (call_carry_out(connection->session, connection->name, &message, &reply))
        outbox_send_urgent(&connection->outbox, &reply);
    else
        lost(connection, "out of memory");
    buffer_free(&reply);
    return peer_input_done(&connection->peer) ? INBOX_STOP : INBOX_TAKEN;
}

/* Find the whole requests in what has been read, where there is room for more of them. Carries out
 * those that overtake. */
static void scan(struct rpc_connection *connection)
{
    if (peer_input_done(&connection->peer))
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
    connection->peer.input_ended = true;
    if (inbox_partial(&connection->inbox))
        log_info("rpc", "%s: the peer closed in the middle of a message", connection->name);
}

/* owner.look */
static void look(void *context)
{
    struct rpc_connection *connection = context;

    if (peer_hung_up(&connection->peer, false))
        lost(connection, "closed");
}

/* owner.readable */
static void readable(void *context)
{
    struct rpc_connection *connection = context;

    ssize_t count = inbox_read(&connection->inbox, connection->peer.fd);
    if (count > 0) {
        scan(connection);
    } else if (count == 0) {
        end_of_input(connection);
        look(connection);
    } else if (errno == ENOMEM) {
        broken(connection, E_OUTOFMEMORY, "out of memory");
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        lost(connection, strerror(errno));
    }
    rpc_trim(&connection->inbox.bytes);
    peer_changed(&connection->peer);
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

    while (!connection->peer.gone && bulk->left > 0) {
        size_t piece = bulk_write_piece(bulk, connection->inbox.bulk_here);
        if (piece > 0) {
            if (!inbox_take_piece(&connection->inbox, piece, &connection->current)) {
                lost(connection, "out of memory");
                break;
            }
            scan(connection);
            peer_watch(&connection->peer);
            bulk_write_step(bulk, connection->session, buffer_bytes(&connection->current), piece);
            buffer_clear(&connection->current);
            rpc_trim(&connection->current);
        } else if (peer_input_done(&connection->peer)) {
            break;
        } else {
            task_cond_wait(&connection->peer.changed, -1);
        }
    }
    if (bulk->left > 0)
        log_info("rpc", "%s: %s ended in the middle, %u bytes were written", connection->name,
                 bulk->call, (unsigned)bulk->done);
    if (!connection->peer.gone &&
        (bulk->left == 0 || (connection->peer.stopping && (bulk->done > 0 || bulk->ended)))) {
        if (bulk_write_answer(bulk, connection->session, connection->name, &connection->reply))
            send_answer(connection, &method);
        else
            lost(connection, "out of memory");
    }
    inbox_end_bulk(&connection->inbox);
    scan(connection);
    peer_watch(&connection->peer);
}

static bool port_answered(void *context, struct buffer *frame)
{
    struct rpc_connection *connection = context;

    if (frame)
        outbox_send_answer(&connection->outbox, frame, true);
    else
        lost(connection, "out of memory");
    return !connection->peer.gone && !connection->peer.stopping;
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
    peer_watch(&connection->peer);
    port_batch_carry_out(batch, connection->session, connection->name, &connection->reply,
                         port_answered, connection);
    port_batch_free(batch);
    if (inbox->count == 0)
        peer_write(&connection->peer);
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
    peer_watch(&connection->peer);
    return true;
}

static void serve_all(struct rpc_connection *connection)
{
    struct inbox *inbox = &connection->inbox;
    struct peer *peer = &connection->peer;
    size_t together;

    while (!peer->gone && !peer->stopping) {
        if (inbox->bulk.call && peer->output.length >= PEER_OUTPUT_MOST) {
            task_cond_wait(&peer->changed, -1);
        } else if (inbox->bulk.call) {
            serve_bulk(connection);
            peer_served(peer, 1, 0);
        } else if (inbox->count > 0 && inbox_at(inbox, 0)->taken) {
            inbox_pop(inbox);
            scan(connection);
            peer_watch(peer);
        } else if (inbox->count > 0 && peer->output.length < PEER_OUTPUT_MOST &&
                   (together = serve_ports(connection)) > 0) {
            peer_served(peer, together, 0);
            peer_take_turns(peer, TURN_REQUESTS);
        } else if (inbox->count > 0 && peer->output.length < PEER_OUTPUT_MOST) {
            if (!take_request(connection))
                break;
            size_t before = peer->output.length, bytes = connection->current.length;
            bool good = serve(connection);
            buffer_clear(&connection->current);
            rpc_trim(&connection->current);
            if (!good)
                break;
            if (peer->output.length > before)
                bytes += peer->output.length - before;
            peer_served(peer, 1, bytes);
            peer_take_turns(peer, TURN_REQUESTS);
        } else if (inbox->count == 0 && peer_input_done(peer)) {
            break;
        } else {
            peer_wait(peer);
        }
    }
}

static void connection_task(void *arg)
{
    struct rpc_connection *connection = arg;

    serve_all(connection);
    if (connection->fault && !connection->peer.gone)
        outbox_error(&connection->outbox, connection->fault_hr, connection->fault);
    peer_linger(&connection->peer, connection->fault != NULL);
    peer_gone(&connection->peer); /* the flush below has nobody to tell */
    session_close(connection->session);
    log_debug("rpc", "%s: closed", connection->name);
    peer_end(&connection->peer);
    connection->config.ended(connection->config.context, connection);
    inbox_free(&connection->inbox);
    buffer_free(&connection->current);
    buffer_free(&connection->reply);
    free(connection);
}

/* owner.written */
static void written(void *context)
{
    struct rpc_connection *connection = context;

    outbox_written(&connection->outbox);
}

/* What the session tells */

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
    struct session_listener listener = {
        .context = connection, .flush_failed = flush_failed, .state_changed = state_changed};
    connection->session = session_open(config->space, connection->name, config->policy, &listener);
    if (!connection->session)
        goto fail;
    const struct peer_owner owner = {.context = connection,
                                     .readable = readable,
                                     .full = input_full,
                                     .look = look,
                                     .lost = lost,
                                     .written = written};
    peer_init(&connection->peer, loop, fd, config->busy_poll, &owner);
    outbox_init(&connection->outbox, connection->name, &connection->peer);
    inbox_init(&connection->inbox, connection->name);
    if (!task_spawn(loop, connection->name, connection_task, connection))
        goto fail;
    peer_watch(&connection->peer);
    return connection;
fail:
    if (connection->session)
        session_close(connection->session); /* clean: it does not suspend */
    free(connection);
    return NULL;
}

void rpc_connection_stop(struct rpc_connection *connection)
{
    if (peer_stop(&connection->peer))
        session_cancel(connection->session);
}
