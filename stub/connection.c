/* One peer's socket: its packets wait in a queue, and a task of its own carries them out. */
#include "stub/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/peer.h"
#include "base/task.h"
#include "rsp/packet.h"
#include "stub/dispatch.h"
#include "stub/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#define ROOM "stub"

#define READ_SIZE ((size_t)64 * 1024)
/* Garbage between packets that is put up with. */
#define GARBAGE_MOST 4096u

/* A request that waits for its turn. */
struct waiting {
    struct waiting *prev, *next;
    bool too_long;
    size_t length;
    char payload[]; /* a NUL follows */
};

struct connection {
    struct connection_config config;
    char name[32];
    struct peer peer;
    struct client client;

    struct packet_reader packets;
    struct buffer input; /* read, and not taken apart yet */
    struct waiting *queue;
    size_t queued, queued_bytes;
    uint64_t received, handled; /* requests */
    bool interrupted;           /* 0x03 came, after ... */
    uint64_t interrupted_after; /* ... that many requests */
    bool begun;                 /* the first byte has been looked at */
    bool acks;
    size_t garbage;
    uint8_t look_back[INTRUDER_LOOK]; /* the garbage that came last */
    size_t looked;

    struct buffer last; /* the packet sent last, for a client that asks for it again */
};

/* owner.full */
static bool input_full(const void *context)
{
    const struct connection *connection = context;

    return connection->queued >= CONNECTION_QUEUE_MOST ||
           connection->queued_bytes >= CONNECTION_QUEUED_BYTES ||
           connection->peer.output.length >= 2 * PEER_OUTPUT_MOST;
}

/* owner.lost: the peer is there no more. */
static void lost(void *context, const char *reason)
{
    struct connection *connection = context;

    if (connection->peer.gone)
        return;
    log_debug(ROOM, "%s: the peer is gone (%s)", connection->name, reason);
    connection->client.gone = true;
    peer_gone(&connection->peer);
}

/* Output */

/* link.send */
static void send_packet(void *context, const void *payload, size_t length)
{
    struct connection *connection = context;

    buffer_clear(&connection->last);
    /* Runs are shortened for those that announced much: of the others not all can take it. */
    bool good = connection->client.features.modern
                    ? packet_frame_rle(&connection->last, payload, length)
                    : packet_frame(&connection->last, payload, length, true);
    if (!good) {
        lost(connection, "out of memory");
        return;
    }
    log_trace(ROOM, "%s: < %.*s%s", connection->name, length < 200 ? (int)length : 200,
              (const char *)payload, length > 200 ? "…" : "");
    peer_put(&connection->peer, buffer_bytes(&connection->last), connection->last.length);
    if (connection->client.no_ack)
        buffer_free(&connection->last);
    peer_write(&connection->peer);
}

/* link.drain */
static void drain(void *context)
{
    struct connection *connection = context;

    while (!connection->peer.gone && !connection->peer.stopping &&
           connection->peer.output.length >= PEER_OUTPUT_MOST)
        task_cond_wait(&connection->peer.changed, -1);
}

/* link.wake */
static void wake(void *context)
{
    struct connection *connection = context;
    task_cond_broadcast(&connection->peer.changed);
}

/* Input */

static void acknowledge(struct connection *connection, char answer)
{
    if (connection->acks)
        peer_put(&connection->peer, &answer, 1);
}

static void enqueue(struct connection *connection, const void *payload, size_t length,
                    bool too_long)
{
    struct waiting *waiting = malloc(sizeof *waiting + length + 1);

    if (!waiting) {
        lost(connection, "out of memory");
        return;
    }
    waiting->too_long = too_long;
    waiting->length = length;
    if (length > 0)
        memcpy(waiting->payload, payload, length);
    waiting->payload[length] = '\0';
    DL_APPEND(connection->queue, waiting);
    connection->queued++;
    connection->queued_bytes += length;
    connection->received++;
}

/* Turn the peer out: what it sends is no debugger's. */
static void refuse(struct connection *connection, bool http)
{
    unsigned long suppressed;

    connection->peer.refused = true;
    if (!http)
        log_info(ROOM, "%s (%s): closed, it does not speak the GDB remote protocol",
                 connection->name, connection->config.peer);
    else if (intruder_tell(connection->config.intruders, clock_now(), &suppressed))
        log_error(ROOM,
                  "attack: %s (%s) sends HTTP to the debugger's port, as a web page can make a "
                  "browser do; closed (%lu more since the last such line)",
                  connection->name, connection->config.peer, suppressed);
    peer_changed(&connection->peer);
}

static void take_garbage(struct connection *connection, uint8_t byte)
{
    /* A line's beginning is looked at. */
    if (byte == '\n' || byte == '\r')
        connection->looked = 0;
    else if (connection->looked < INTRUDER_LOOK)
        connection->look_back[connection->looked++] = byte;
    if (intruder_http(connection->look_back, connection->looked))
        refuse(connection, true);
    else if (++connection->garbage > GARBAGE_MOST)
        refuse(connection, false);
}

/* The interrupt byte overtakes what waits for a stop, and nothing else: behind a resume that has
 * not been carried out yet it is meant for that resume. */
static void take_interrupt(struct connection *connection)
{
    if (connection->client.waiting ||
        (connection->handled == connection->received && !connection->interrupted)) {
        client_interrupt(&connection->client);
        task_cond_broadcast(&connection->peer.changed);
        return;
    }
    connection->interrupted = true;
    connection->interrupted_after = connection->received;
}

static void take_event(struct connection *connection, enum packet_event event)
{
    struct packet_reader *packets = &connection->packets;

    switch (event) {
    case PACKET_DATA:
        log_trace(ROOM, "%s: > %.*s%s", connection->name,
                  packets->length < 200 ? (int)packets->length : 200,
                  (const char *)packets->payload, packets->length > 200 ? "…" : "");
        acknowledge(connection, '+');
        enqueue(connection, packets->payload, packets->length, false);
        connection->looked = 0;
        break;
    case PACKET_TOO_LONG:
        acknowledge(connection, '+');
        enqueue(connection, NULL, 0, true);
        break;
    case PACKET_BAD_CHECKSUM:
        acknowledge(connection, '-');
        break;
    case PACKET_NAK:
        /* Nothing else is under way: a flood of these does not become a flood of packets. */
        if (connection->acks && connection->peer.output.length == 0)
            peer_put(&connection->peer, buffer_bytes(&connection->last), connection->last.length);
        break;
    case PACKET_INTERRUPT:
        take_interrupt(connection);
        break;
    case PACKET_GARBAGE:
        take_garbage(connection, packets->byte);
        break;
    case PACKET_NO_MEMORY:
        lost(connection, "out of memory");
        break;
    case PACKET_ACK:
    case PACKET_NOTIFICATION:
    case PACKET_NONE:
        break;
    }
}

/* Take apart what has been read, as far as there is room for it. */
static void take_input(struct connection *connection)
{
    const uint8_t *bytes = buffer_bytes(&connection->input);
    size_t left = connection->input.length;

    while (left > 0 && !connection->peer.gone && !connection->peer.refused &&
           !input_full(connection)) {
        enum packet_event event = packet_next(&connection->packets, &bytes, &left);
        if (event != PACKET_NONE)
            take_event(connection, event);
    }
    if (connection->peer.gone || connection->peer.refused)
        left = 0;
    buffer_consume(&connection->input, connection->input.length - left);
}

/* owner.readable */
static void readable(void *context)
{
    struct connection *connection = context;

    ssize_t count = buffer_read_fd(&connection->input, connection->peer.fd, READ_SIZE);
    if (count < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            lost(connection, strerror(errno));
        return;
    }
    if (count == 0) {
        /* A peer that sends nothing more may still want to read; a client that waits for a stop has
         * gone. */
        connection->peer.input_ended = true;
        if (connection->client.waiting)
            lost(connection, "closed");
    } else if (!connection->begun) {
        connection->begun = true;
        enum intruder who =
            intruder_first(buffer_bytes(&connection->input), connection->input.length);
        if (who != INTRUDER_NONE)
            refuse(connection, who == INTRUDER_HTTP);
    }
    take_input(connection);
    peer_write(&connection->peer); /* acknowledgements */
}

/* owner.look */
static void look(void *context)
{
    struct connection *connection = context;
    struct {
        int error;
        socklen_t size;
    } state = {0, sizeof state.error};

    if (getsockopt(connection->peer.fd, SOL_SOCKET, SO_ERROR, &state.error, &state.size) == 0 &&
        state.error != 0) {
        lost(connection, strerror(state.error));
        return;
    }
    /* What it sent before may be unread still: reading would not tell. */
    if (peer_hung_up(&connection->peer, connection->client.waiting))
        lost(connection, "closed");
}

/* The task */

static void serve_one(struct connection *connection)
{
    struct waiting *waiting = connection->queue;

    DL_DELETE(connection->queue, waiting);
    connection->queued--;
    connection->queued_bytes -= waiting->length;
    if (waiting->too_long)
        client_too_long(&connection->client);
    else
        dispatch(&connection->client, waiting->payload, waiting->length);
    free(waiting);
    connection->handled++;
    if (connection->client.no_ack && connection->acks) {
        connection->acks = false;
        connection->packets.ignore_checksum = true; /* as gdbserver: the transport is trusted */
    }
    if (connection->interrupted && connection->handled >= connection->interrupted_after) {
        connection->interrupted = false;
        client_interrupt(&connection->client);
    } else if (connection->interrupted && connection->client.waiting) {
        /* It came behind requests that now wait for the stop which it shall cause. */
        connection->interrupted = false;
        client_interrupt(&connection->client);
    }
    if (connection->client.waiting && connection->peer.input_ended)
        lost(connection, "closed");
    take_input(connection);
    peer_watch(&connection->peer);
}

static void serve_all(struct connection *connection)
{
    struct client *client = &connection->client;
    struct peer *peer = &connection->peer;

    while (!peer->gone && !peer->stopping && !peer->refused && !client->ending) {
        if (client_stop_due(client))
            report_stop(client);
        else if (client_lost_target(client) && !client->waiting)
            break; /* as if it had been connected to the target itself */
        else if (!client->waiting && connection->queue && peer->output.length < PEER_OUTPUT_MOST) {
            serve_one(connection);
            peer_served(peer, 1, 0);
            /* What the view answers never suspends: a flood of it takes turns with others. */
            if (connection->queue)
                task_yield();
        } else if (peer->input_ended && !connection->queue)
            break;
        else
            peer_wait(peer);
    }
}

static void connection_task(void *arg)
{
    struct connection *connection = arg;
    struct waiting *waiting, *next;

    serve_all(connection);
    connection->peer.stopping = true; /* no more input */
    peer_linger(&connection->peer, false);
    peer_gone(&connection->peer);
    shutdown(connection->peer.fd, SHUT_RDWR);
    client_close(&connection->client);
    log_debug(ROOM, "%s: closed", connection->name);
    peer_end(&connection->peer);
    connection->config.ended(connection->config.context, connection);
    DL_FOREACH_SAFE(connection->queue, waiting, next)
    {
        free(waiting);
    }
    packet_reader_free(&connection->packets);
    buffer_free(&connection->input);
    buffer_free(&connection->last);
    free(connection);
}

struct connection *connection_new(struct ev_loop *loop, int fd,
                                  const struct connection_config *config)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct client_link link = {
        .context = connection, .send = send_packet, .drain = drain, .wake = wake};
    const struct peer_owner owner = {.context = connection,
                                     .readable = readable,
                                     .full = input_full,
                                     .look = look,
                                     .lost = lost};

    if (!connection)
        return NULL;
    connection->config = *config;
    snprintf(connection->name, sizeof connection->name, "%s", config->name);
    connection->config.name = connection->name;
    connection->acks = true;
    packet_reader_init(&connection->packets, FEATURES_PACKET_SIZE);
    connection->packets.no_rle = true;
    if (!client_open(&connection->client, config->front, connection->name, &link))
        goto fail;
    snprintf(connection->client.peer, sizeof connection->client.peer, "%s", config->peer);
    connection->config.peer = connection->client.peer;
    peer_init(&connection->peer, loop, fd, config->busy_poll, &owner);
    if (!task_spawn(loop, connection->name, connection_task, connection)) {
        client_close(&connection->client); /* it has nothing: does not suspend */
        goto fail;
    }
    peer_watch(&connection->peer);
    return connection;
fail:
    free(connection);
    return NULL;
}

void connection_stop(struct connection *connection)
{
    if (connection->peer.stopping || connection->peer.gone)
        return;
    connection->peer.stopping = true;
    connection->client.gone = true;
    peer_changed(&connection->peer);
}
