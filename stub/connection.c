/* One peer's socket: its packets wait in a queue, and a task of its own carries them out. */
#ifdef HAVE_CONFIG_H
#include <config.h> /* POLLRDHUP */
#endif
#include "stub/connection.h"

#include "base/busy_poll.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/task.h"
#include "rsp/packet.h"
#include "stub/dispatch.h"
#include "stub/report.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define ROOM "stub"

#define READ_SIZE ((size_t)64 * 1024)
/* Seconds between looks at a peer that we are not reading from: is it still there? */
#define LOOK_INTERVAL 1.0
/* Seconds that a peer has for taking in the last words. */
#define LINGER 2.0
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
    struct ev_loop *loop;
    int fd;
    ev_io reader, writer;
    ev_timer look;
    struct client client;
    struct task_cond changed; /* whatever the task may be waiting for */

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

    struct buffer output;
    struct buffer last; /* the packet sent last, for a client that asks for it again */

    bool input_ended, gone, stopping, refused;
};

static bool input_done(const struct connection *connection)
{
    return connection->input_ended || connection->gone || connection->stopping ||
           connection->refused;
}

static bool input_full(const struct connection *connection)
{
    return connection->queued >= CONNECTION_QUEUE_MOST ||
           connection->queued_bytes >= CONNECTION_QUEUED_BYTES ||
           connection->output.length >= 2 * CONNECTION_OUTPUT_MOST;
}

/* Start or stop the watchers as the state asks for. */
static void watch(struct connection *connection)
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

/* The peer is there no more. */
static void lost(struct connection *connection, const char *reason)
{
    if (connection->gone)
        return;
    log_debug(ROOM, "%s: the peer is gone (%s)", connection->name, reason);
    connection->gone = true;
    connection->client.gone = true;
    watch(connection);
    task_cond_broadcast(&connection->changed);
}

/* Output */

static void write_some(struct connection *connection)
{
    while (!connection->gone && connection->output.length > 0) {
        if (buffer_write_fd(&connection->output, connection->fd) >= 0 || errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            lost(connection, strerror(errno));
        break;
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

static void put(struct connection *connection, const void *bytes, size_t length)
{
    if (connection->gone)
        return;
    if (!buffer_append(&connection->output, bytes, length))
        lost(connection, "out of memory");
}

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
    put(connection, buffer_bytes(&connection->last), connection->last.length);
    if (connection->client.no_ack)
        buffer_free(&connection->last);
    write_some(connection);
}

/* link.drain */
static void drain(void *context)
{
    struct connection *connection = context;

    while (!connection->gone && !connection->stopping &&
           connection->output.length >= CONNECTION_OUTPUT_MOST)
        task_cond_wait(&connection->changed, -1);
}

/* link.wake */
static void wake(void *context)
{
    struct connection *connection = context;
    task_cond_broadcast(&connection->changed);
}

/* Input */

static void acknowledge(struct connection *connection, char answer)
{
    if (connection->acks)
        put(connection, &answer, 1);
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

    connection->refused = true;
    if (!http)
        log_info(ROOM, "%s (%s): closed, it does not speak the GDB remote protocol",
                 connection->name, connection->config.peer);
    else if (intruder_tell(connection->config.intruders, clock_now(), &suppressed))
        log_error(ROOM,
                  "attack: %s (%s) sends HTTP to the debugger's port, as a web page can make a "
                  "browser do; closed (%lu more since the last such line)",
                  connection->name, connection->config.peer, suppressed);
    watch(connection);
    task_cond_broadcast(&connection->changed);
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
        task_cond_broadcast(&connection->changed);
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
        if (connection->acks && connection->output.length == 0)
            put(connection, buffer_bytes(&connection->last), connection->last.length);
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

    while (left > 0 && !connection->gone && !connection->refused && !input_full(connection)) {
        enum packet_event event = packet_next(&connection->packets, &bytes, &left);
        if (event != PACKET_NONE)
            take_event(connection, event);
    }
    if (connection->gone || connection->refused)
        left = 0;
    buffer_consume(&connection->input, connection->input.length - left);
}

static void readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct connection *connection = watcher->data;
    (void)loop;
    (void)events;

    ssize_t count = buffer_read_fd(&connection->input, connection->fd, READ_SIZE);
    if (count < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            lost(connection, strerror(errno));
        return;
    }
    if (count == 0) {
        /* A peer that sends nothing more may still want to read; a client that waits for a stop has
         * gone. */
        connection->input_ended = true;
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
    write_some(connection); /* acknowledgements */
}

/* While not reading, a peer that has gone is noticed by asking. */
static void look_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct connection *connection = timer->data;
    struct {
        int error;
        socklen_t size;
    } state = {0, sizeof state.error};
    (void)loop;
    (void)events;

    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &state.error, &state.size) == 0 &&
        state.error != 0) {
        lost(connection, strerror(state.error));
        return;
    }
    /* What it sent before may be unread still: reading would not tell. */
    struct pollfd peer = {.fd = connection->fd, .events = POLLRDHUP};
    if (poll(&peer, 1, 0) <= 0)
        return;
    if (peer.revents & (POLLERR | POLLHUP) ||
        (peer.revents & POLLRDHUP && connection->client.waiting))
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
    if (connection->client.waiting && connection->input_ended)
        lost(connection, "closed");
    take_input(connection);
    watch(connection);
}

static void serve_all(struct connection *connection)
{
    struct client *client = &connection->client;
    bool served = false; /* since it last waited */

    while (!connection->gone && !connection->stopping && !connection->refused && !client->ending) {
        if (client_stop_due(client))
            report_stop(client);
        else if (client_lost_target(client) && !client->waiting)
            break; /* as if it had been connected to the target itself */
        else if (!client->waiting && connection->queue &&
                 connection->output.length < CONNECTION_OUTPUT_MOST) {
            serve_one(connection);
            served = true;
            /* What the view answers never suspends: a flood of it takes turns with others. */
            if (connection->queue)
                task_yield();
        } else if (connection->input_ended && !connection->queue)
            break;
        else {
            if (served)
                busy_poll_expect(connection->config.busy_poll);
            served = false;
            task_cond_wait(&connection->changed, -1);
        }
    }
}

static void say_goodbye(struct connection *connection)
{
    double end = clock_now() + LINGER;

    connection->stopping = true; /* no more input */
    watch(connection);
    while (!connection->gone && connection->output.length > 0 && clock_now() < end)
        task_cond_wait(&connection->changed, end - clock_now());
}

static void connection_task(void *arg)
{
    struct connection *connection = arg;
    struct waiting *waiting, *next;

    serve_all(connection);
    say_goodbye(connection);
    connection->gone = true;
    watch(connection);
    shutdown(connection->fd, SHUT_RDWR);
    client_close(&connection->client);
    log_debug(ROOM, "%s: closed", connection->name);
    close(connection->fd);
    connection->config.ended(connection->config.context, connection);
    DL_FOREACH_SAFE(connection->queue, waiting, next)
    {
        free(waiting);
    }
    packet_reader_free(&connection->packets);
    buffer_free(&connection->input);
    buffer_free(&connection->output);
    buffer_free(&connection->last);
    free(connection);
}

struct connection *connection_new(struct ev_loop *loop, int fd,
                                  const struct connection_config *config)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct client_link link = {
        .context = connection, .send = send_packet, .drain = drain, .wake = wake};

    if (!connection)
        return NULL;
    connection->config = *config;
    snprintf(connection->name, sizeof connection->name, "%s", config->name);
    connection->config.name = connection->name;
    connection->loop = loop;
    connection->fd = fd;
    connection->acks = true;
    packet_reader_init(&connection->packets, FEATURES_PACKET_SIZE);
    connection->packets.no_rle = true;
    if (!client_open(&connection->client, config->front, connection->name, &link))
        goto fail;
    snprintf(connection->client.peer, sizeof connection->client.peer, "%s", config->peer);
    connection->config.peer = connection->client.peer;
    ev_io_init(&connection->reader, readable, fd, EV_READ);
    ev_io_init(&connection->writer, writable, fd, EV_WRITE);
    ev_timer_init(&connection->look, look_again, LOOK_INTERVAL, LOOK_INTERVAL);
    connection->reader.data = connection->writer.data = connection->look.data = connection;
    if (!task_spawn(loop, connection->name, connection_task, connection)) {
        client_close(&connection->client); /* it has nothing: does not suspend */
        goto fail;
    }
    watch(connection);
    return connection;
fail:
    free(connection);
    return NULL;
}

void connection_stop(struct connection *connection)
{
    if (connection->stopping || connection->gone)
        return;
    connection->stopping = true;
    connection->client.gone = true;
    watch(connection);
    task_cond_broadcast(&connection->changed);
}
