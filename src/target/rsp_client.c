#include "target/rsp_client.h"

#include "base/buffer.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/task.h"
#include "rsp/hex.h"
#include "rsp/packet.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define ROOM "target"

/* Requests of one caller that go out before it is another's turn. */
#define QUANTUM 8
/* Bytes waiting for the socket beyond which no further request is framed. */
#define OUT_MOST  ((size_t)256 * 1024)
#define READ_MOST ((size_t)64 * 1024)
/* Times that one packet is sent again, or asked for again. */
#define RETRIES_MOST 3
/* Seconds without a request after which the stub is put back into its virtual space, so that
 * whoever finds it after our sudden death finds it as everybody expects. */
#define IDLE_AFTER 0.1
/* Seconds without a reply after which the next request goes alone: were the target resumed behind
 * our back, the stub would swallow one request and every later reply would be taken for another's.
 */
#define ALONE_AFTER 0.05
#define UNKNOWN     UINT64_MAX
#define PROVEN_MOST 64

enum mode_kind { MODE_SPACE, MODE_THREAD, MODE_CONTINUE_THREAD, MODE_MONITOR_CPU, MODE_KINDS };

/* A switch of the stub's state, a request of its own. */
struct rsp_mode {
    struct rsp_operation operation;
    enum mode_kind kind;
    uint64_t value;
    bool proven;
    bool printed; /* MODE_MONITOR_CPU: an error text came */
    char payload[64];
};

/* The requests of one caller that have not been sent. */
struct turn {
    target_client client;
    struct rsp_operation *operations;
    struct turn *prev, *next;
};

struct proof {
    enum mode_kind kind;
    uint64_t value;
};

struct rsp_client {
    struct ev_loop *loop;
    struct rsp_listener listener;
    double timeout;
    int fd;
    ev_io reading, writing;
    ev_timer silence; /* active while an answer is owed to us */
    ev_timer idle;
    ev_timer later; /* fires at once: what must not happen inside the caller's call */
    ev_tstamp last_heard, last_reply;
    struct packet_reader reader;
    struct buffer in, out;
    char reason[512];
    char exit[64];
    bool failing; /* reason is set, the connection ends at the next turn */
    bool closing; /* as failing, quietly */

    bool acks, spaces;
    unsigned depth;
    size_t limit;

    struct turn *turns;
    unsigned quantum_left;
    struct rsp_operation *resume; /* waits for all else; once it is sent, it is in flight too */
    bool resume_sent;
    struct rsp_operation *in_flight;
    unsigned in_flight_count;
    struct rsp_operation *dropped; /* failed; done is to be called with their error */
    bool held;                     /* a switch that may be refused is in flight: nothing goes out */
    unsigned retries;

    uint64_t modes[MODE_KINDS];
    struct proof proofs[PROVEN_MOST];
    unsigned proof_count;

    bool running;
    bool taken;   /* the resume was taken; its done is due */
    bool resumed; /* a resume of ours has not been answered by a stop */
    bool interrupt_wanted, interrupt_sent;
    unsigned tolerated; /* stop replies that may come unasked */
    unsigned strays;
};

/* Ending */

static void fail_later(struct rsp_client *client)
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
    fail_later(client);
}

/* Move everything that waits to the list of those to be told. */
static void drop_all(struct rsp_client *client, enum target_error error)
{
    struct rsp_operation *operation, *next;
    DL_FOREACH(client->in_flight, operation)
    operation->error = error;
    DL_CONCAT(client->dropped, client->in_flight);
    client->in_flight = NULL;
    client->in_flight_count = 0;
    while (client->turns) {
        struct turn *turn = client->turns;
        DL_DELETE(client->turns, turn);
        DL_FOREACH_SAFE(turn->operations, operation, next)
        {
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
    }
    client->held = false;
}

static void tell_dropped(struct rsp_client *client)
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
    if (client->modes[MODE_SPACE] == 0 || !client->spaces || client->running)
        return;
    if (client->out.length == 0 &&
        packet_frame(&client->out, "Qqemu.PhyMemMode:0", strlen("Qqemu.PhyMemMode:0"), false))
        (void)buffer_write_fd(&client->out, client->fd);
}

static void disconnect(struct rsp_client *client)
{
    ev_io_stop(client->loop, &client->reading);
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
    client->running = client->resumed = client->taken = false;
    client->interrupt_sent = client->interrupt_wanted = false;
}

/* From the loop only. */
static void end(struct rsp_client *client)
{
    bool quietly = client->closing;
    disconnect(client);
    client->failing = client->closing = false;
    tell_dropped(client);
    if (!quietly && client->listener.lost)
        client->listener.lost(client->listener.context, client->reason);
}

void rsp_client_close(struct rsp_client *client)
{
    if (client->fd < 0)
        return;
    client->failing = client->closing = true;
    disconnect(client);
    fail_later(client);
}

/* Modes */

static void mode_forget(struct rsp_client *client, bool space_too)
{
    for (int kind = 0; kind < MODE_KINDS; kind++)
        if (kind != MODE_SPACE || space_too)
            client->modes[kind] = UNKNOWN;
    client->proof_count = 0;
}

void rsp_client_forget_modes(struct rsp_client *client)
{
    mode_forget(client, false);
}

static bool mode_proven(const struct rsp_client *client, enum mode_kind kind, uint64_t value)
{
    for (unsigned i = 0; i < client->proof_count && i < PROVEN_MOST; i++)
        if (client->proofs[i].kind == kind && client->proofs[i].value == value)
            return true;
    return false;
}

static void mode_prove(struct rsp_client *client, enum mode_kind kind, uint64_t value)
{
    if (!mode_proven(client, kind, value))
        client->proofs[client->proof_count++ % PROVEN_MOST] =
            (struct proof){.kind = kind, .value = value};
}

/* The switch that must come before the operation; MODE_KINDS when there is none. */
static enum mode_kind mode_needed(const struct rsp_client *client,
                                  const struct rsp_operation *operation, uint64_t *value)
{
    const uint64_t *modes = client->modes;
    *value = operation->space == RSP_SPACE_PHYSICAL;
    if (operation->space != RSP_SPACE_ANY && client->spaces && modes[MODE_SPACE] != *value)
        return MODE_SPACE;
    *value = operation->thread;
    if (*value != 0 && modes[MODE_THREAD] != *value)
        return MODE_THREAD;
    *value = operation->continue_thread;
    if (*value != 0 && modes[MODE_CONTINUE_THREAD] != *value)
        return MODE_CONTINUE_THREAD;
    *value = operation->monitor_cpu;
    if (*value != 0 && modes[MODE_MONITOR_CPU] != *value)
        return MODE_MONITOR_CPU;
    return MODE_KINDS;
}

static struct rsp_mode *mode_new(struct rsp_client *client, enum mode_kind kind, uint64_t value)
{
    struct rsp_mode *mode = calloc(1, sizeof *mode);
    if (!mode)
        return NULL;
    mode->kind = kind;
    mode->value = value;
    mode->proven = mode_proven(client, kind, value);
    struct rsp_operation *operation = &mode->operation;
    operation->kind = RSP_REQUEST;
    operation->mode = mode;
    operation->payload = mode->payload;
    switch (kind) {
    case MODE_SPACE:
        snprintf(mode->payload, sizeof mode->payload, "Qqemu.PhyMemMode:%" PRIu64, value);
        break;
    case MODE_THREAD:
        snprintf(mode->payload, sizeof mode->payload, "Hg%" PRIx64, value);
        break;
    case MODE_CONTINUE_THREAD:
        snprintf(mode->payload, sizeof mode->payload, "Hc%" PRIx64, value);
        break;
    default: {
        char command[32];
        int length = snprintf(command, sizeof command, "cpu %" PRIu64, value - 1);
        size_t prefix = strlen("qRcmd,");
        memcpy(mode->payload, "qRcmd,", prefix);
        hex_encode(mode->payload + prefix, (const uint8_t *)command, (size_t)length);
        operation->kind = RSP_COMMAND;
    }
    }
    operation->length = strlen(mode->payload);
    return mode;
}

/* Take turns */

static struct turn *turn_find(struct rsp_client *client, target_client who)
{
    struct turn *turn;
    DL_SEARCH_SCALAR(client->turns, turn, client, who);
    return turn;
}

/* The operation whose turn it is; it stays in the queue. */
static struct rsp_operation *turn_front(struct rsp_client *client)
{
    if (!client->turns)
        return NULL;
    if (client->quantum_left == 0 && client->turns->next) {
        struct turn *turn = client->turns;
        DL_DELETE(client->turns, turn);
        DL_APPEND(client->turns, turn);
    }
    if (client->quantum_left == 0)
        client->quantum_left = QUANTUM;
    return client->turns->operations;
}

static void turn_pop(struct rsp_client *client)
{
    struct turn *turn = client->turns;
    struct rsp_operation *operation = turn->operations;
    DL_DELETE(turn->operations, operation);
    client->quantum_left--;
    if (!turn->operations) {
        DL_DELETE(client->turns, turn);
        free(turn);
        client->quantum_left = QUANTUM;
    }
}

/* Sending */

/* An answer is owed to us: keep watch. */
static void watch(struct rsp_client *client)
{
    bool owed = client->in_flight || (client->running && client->interrupt_sent);
    if (!owed) {
        ev_timer_stop(client->loop, &client->silence);
    } else if (!ev_is_active(&client->silence)) {
        ev_now_update(client->loop);
        client->last_heard = ev_now(client->loop);
        ev_timer_set(&client->silence, client->timeout, 0.);
        ev_timer_start(client->loop, &client->silence);
    }
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct rsp_client *client = timer->data;
    double left = client->last_heard + client->timeout - ev_now(loop);
    if (left > 0.001) {
        ev_timer_set(timer, left, 0.);
        ev_timer_start(loop, timer);
        return;
    }
    if (client->in_flight)
        rsp_client_fail(client, "timed out: no answer to '%.*s' within %g seconds",
                        client->in_flight->length < 40 ? (int)client->in_flight->length : 40,
                        (const char *)client->in_flight->payload, client->timeout);
    else
        rsp_client_fail(client, "timed out: not halted %g seconds after the interrupt",
                        client->timeout);
    end(client);
}

static bool frame(struct rsp_client *client, const struct rsp_operation *operation)
{
    if (packet_frame(&client->out, operation->payload, operation->length, operation->escape))
        return true;
    rsp_client_fail(client, "out of memory");
    return false;
}

static void send_operation(struct rsp_client *client, struct rsp_operation *operation)
{
    if (!frame(client, operation))
        return;
    operation->acked = false;
    DL_APPEND(client->in_flight, operation);
    client->in_flight_count++;
    if (client->in_flight_count == 1)
        client->retries = 0;
    log_trace(ROOM, "-> %.*s", operation->length < 80 ? (int)operation->length : 80,
              (const char *)operation->payload);
}

static void send_mode(struct rsp_client *client, enum mode_kind kind, uint64_t value)
{
    struct rsp_mode *mode = mode_new(client, kind, value);
    if (!mode) {
        rsp_client_fail(client, "out of memory");
        return;
    }
    client->modes[kind] = value;
    client->held = !mode->proven;
    send_operation(client, &mode->operation);
}

/* The resume goes alone, and the target runs from here on. */
static void send_resume(struct rsp_client *client)
{
    send_operation(client, client->resume);
    if (client->failing)
        return;
    client->running = client->resumed = client->resume_sent = true;
    client->interrupt_sent = client->interrupt_wanted = client->taken = false;
    if (!client->acks) {
        client->taken = true;
        fail_later(client);
    }
    client->tolerated = 0;
    mode_forget(client, false);
    if (client->listener.resumed)
        client->listener.resumed(client->listener.context);
}

static unsigned depth_now(const struct rsp_client *client)
{
    if (client->depth > 1 && ev_now(client->loop) - client->last_reply > ALONE_AFTER)
        return 1;
    return client->depth;
}

/* Send what may be sent. */
static void pump(struct rsp_client *client)
{
    while (client->fd >= 0 && !client->failing && !client->running && !client->held &&
           client->in_flight_count < depth_now(client) && client->out.length < OUT_MOST) {
        struct rsp_operation *operation = turn_front(client);
        if (!operation) {
            operation = client->resume;
            if (!operation || client->in_flight)
                break;
        }
        uint64_t value;
        enum mode_kind kind = mode_needed(client, operation, &value);
        if (kind != MODE_KINDS) {
            send_mode(client, kind, value);
        } else if (operation == client->resume) {
            send_resume(client);
        } else {
            turn_pop(client);
            send_operation(client, operation);
        }
    }
    watch(client);
}

static void flush_out(struct rsp_client *client)
{
    while (client->fd >= 0 && client->out.length > 0) {
        ssize_t count = buffer_write_fd(&client->out, client->fd);
        if (count >= 0 || errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            ev_io_start(client->loop, &client->writing);
            return;
        }
        rsp_client_fail(client, "cannot write: %s", strerror(errno));
        break;
    }
    ev_io_stop(client->loop, &client->writing);
}

static void append_byte(struct rsp_client *client, char byte)
{
    if (!buffer_append_byte(&client->out, (uint8_t)byte))
        rsp_client_fail(client, "out of memory");
}

/* A reply was taken. Never while the target runs: the byte would stop it. */
static void acknowledge(struct rsp_client *client)
{
    if (client->acks && !client->running)
        append_byte(client, '+');
}

static void send_interrupt(struct rsp_client *client)
{
    client->interrupt_wanted = false;
    client->interrupt_sent = true;
    append_byte(client, 0x03);
    watch(client);
}

/* Receiving */

/* Is the first in flight asked for a reply that looks like a stop reply? (qTStatus: T0;…) */
static bool takes_stop(const struct rsp_operation *operation)
{
    return operation->kind == RSP_STATUS ||
           (operation->length >= 2 && memcmp(operation->payload, "qT", 2) == 0);
}

static bool is_output(const struct packet_reader *reader)
{
    return reader->length >= 1 && reader->payload[0] == 'O' &&
           !(reader->length == 2 && reader->payload[1] == 'K');
}

static void pop_in_flight(struct rsp_client *client, struct rsp_operation *operation)
{
    DL_DELETE(client->in_flight, operation);
    client->in_flight_count--;
    client->retries = 0;
}

/* The operation that a switch was made for will never be sent. */
static void refuse_front(struct rsp_client *client, enum target_error error)
{
    struct rsp_operation *operation = turn_front(client);
    if (operation) {
        turn_pop(client);
    } else {
        operation = client->resume;
        client->resume = NULL;
    }
    if (operation) {
        operation->error = error;
        DL_APPEND(client->dropped, operation);
    }
}

static void mode_answered(struct rsp_client *client, struct rsp_mode *mode, const char *reply)
{
    bool taken = strcmp(reply, "OK") == 0 && !mode->printed;
    if (taken) {
        mode_prove(client, mode->kind, mode->value);
        if (!mode->proven)
            client->held = false;
    } else if (mode->proven || (mode->kind == MODE_SPACE && mode->value == 0)) {
        rsp_client_fail(client, "'%s' was refused with '%.40s' though it had been taken before",
                        mode->payload, reply);
    } else {
        log_debug(ROOM, "the stub refused '%s' with '%.40s'", mode->payload, reply);
        client->held = false;
        client->modes[mode->kind] = UNKNOWN;
        refuse_front(client, mode->kind == MODE_SPACE ? TARGET_UNSUPPORTED : TARGET_INVALID);
    }
    free(mode);
}

static void take_output(struct rsp_client *client, struct rsp_operation *operation)
{
    const struct packet_reader *reader = &client->reader;
    if (operation->mode) {
        operation->mode->printed = true;
        return;
    }
    size_t digits = reader->length - 1;
    struct buffer *output = operation->output;
    if (!output)
        return;
    if (output->length + digits / 2 > RSP_OUTPUT_MAX) {
        rsp_client_fail(client, "a monitor command printed more than %zu bytes", RSP_OUTPUT_MAX);
        return;
    }
    uint8_t *room = buffer_reserve(output, digits / 2 + 1);
    if (!room) {
        rsp_client_fail(client, "out of memory");
        return;
    }
    if (!hex_decode(room, (const char *)reader->payload + 1, digits)) {
        rsp_client_fail(client, "monitor output that is no hexadecimal: '%.40s'", reader->payload);
        return;
    }
    buffer_commit(output, digits / 2);
}

/* A NUL behind the content, not counted. */
static bool terminate(struct buffer *buffer)
{
    uint8_t *room = buffer_reserve(buffer, 1);
    if (room)
        *room = 0;
    return room != NULL;
}

static void take_reply(struct rsp_client *client, struct rsp_operation *operation)
{
    client->last_reply = ev_now(client->loop);
    pop_in_flight(client, operation);
    acknowledge(client);
    const char *reply = (const char *)client->reader.payload;
    if (operation->mode) {
        mode_answered(client, operation->mode, reply);
        return;
    }
    if (operation->output && !terminate(operation->output))
        operation->error = TARGET_NO_MEMORY;
    else
        operation->error = TARGET_OK;
    operation->reply = reply;
    operation->reply_length = client->reader.length;
    operation->done(operation);
}

/* The target has stopped. */
static void halted(struct rsp_client *client)
{
    client->running = client->resumed = false;
    client->interrupt_sent = client->interrupt_wanted = false;
    mode_forget(client, false);
}

static void finish_resume(struct rsp_client *client, enum target_error error, const char *reply)
{
    struct rsp_operation *operation = client->resume;
    client->taken = false;
    if (!operation)
        return;
    client->resume = NULL;
    client->resume_sent = false;
    pop_in_flight(client, operation);
    operation->error = error;
    operation->reply = reply;
    operation->reply_length = strlen(reply);
    operation->done(operation);
}

/* A W or X packet: there will be no more. */
static void take_exit(struct rsp_client *client, const char *reply)
{
    snprintf(client->exit, sizeof client->exit, "%s", reply);
    rsp_client_fail(client, "the target has ended (%.40s)", reply);
}

/* A packet while the target runs. */
static void take_while_running(struct rsp_client *client)
{
    const char *reply = (const char *)client->reader.payload;
    if (is_output(&client->reader))
        return; /* console output of the target; not acknowledged, for the target may run on */
    if (reply[0] == 'T' || reply[0] == 'S') {
        halted(client);
        acknowledge(client);
        finish_resume(client, TARGET_OK, "");
        if (client->listener.stopped)
            client->listener.stopped(client->listener.context, true, reply);
    } else if (reply[0] == 'W' || reply[0] == 'X') {
        take_exit(client, reply);
    } else if (client->resumed && (reply[0] == 'E' || client->reader.length == 0)) {
        halted(client);
        acknowledge(client);
        finish_resume(client, reply[0] == 'E' ? TARGET_FAILED : TARGET_UNSUPPORTED, reply);
        if (client->listener.refused)
            client->listener.refused(client->listener.context, reply);
    } else {
        rsp_client_fail(client, "an unexpected packet while the target runs: '%.40s'", reply);
    }
}

/* A stop reply while the target is thought to be halted. */
static void take_stray(struct rsp_client *client, const char *reply)
{
    client->strays++;
    if (client->tolerated > 0) {
        client->tolerated--;
        acknowledge(client);
        return;
    }
    if (client->in_flight) {
        rsp_client_fail(client,
                        "the target was resumed and stopped by another (%.40s) while requests "
                        "were under way",
                        reply);
        return;
    }
    mode_forget(client, false);
    acknowledge(client);
    if (client->listener.stopped)
        client->listener.stopped(client->listener.context, false, reply);
}

static void take_packet(struct rsp_client *client)
{
    const char *reply = (const char *)client->reader.payload;
    log_trace(ROOM, "<- %.80s", reply);
    if (client->running) {
        take_while_running(client);
        return;
    }
    struct rsp_operation *operation = client->in_flight;
    bool stop = reply[0] == 'T' || reply[0] == 'S' || reply[0] == 'W' || reply[0] == 'X';
    if (stop && (!operation || !takes_stop(operation))) {
        if (reply[0] == 'W' || reply[0] == 'X')
            take_exit(client, reply);
        else
            take_stray(client, reply);
    } else if (is_output(&client->reader)) {
        if (operation && operation->kind == RSP_COMMAND)
            take_output(client, operation);
    } else if (operation) {
        operation->acked = true;
        take_reply(client, operation);
    } else {
        rsp_client_fail(client, "a packet that nobody asked for: '%.40s'", reply);
    }
}

static void take_ack(struct rsp_client *client)
{
    struct rsp_operation *operation;
    DL_FOREACH(client->in_flight, operation)
    {
        if (operation->acked)
            continue;
        operation->acked = true;
        client->last_heard = ev_now(client->loop);
        if (operation == client->resume)
            client->taken = true;
        return;
    }
}

static void take_nak(struct rsp_client *client)
{
    struct rsp_operation *operation = client->in_flight;
    if (!client->acks || !operation || client->in_flight_count != 1 || operation->acked ||
        client->retries >= RETRIES_MOST) {
        rsp_client_fail(client, client->in_flight_count > 1
                                    ? "the stub asks for a packet again while several are in flight"
                                : client->retries >= RETRIES_MOST
                                    ? "the stub asks for the same packet again and again"
                                    : "the stub asks for a packet again that it has taken");
        return;
    }
    client->retries++;
    frame(client, operation);
}

/* The stub sends its last packet again when asked to: right only when that is the one reply that is
 * owed to us, and has no output packets before it. */
static void take_bad_checksum(struct rsp_client *client)
{
    struct rsp_operation *operation = client->in_flight;
    if (!client->acks || client->running || client->in_flight_count != 1 ||
        operation->kind == RSP_COMMAND || client->retries >= RETRIES_MOST) {
        rsp_client_fail(client, "a packet with a bad checksum");
        return;
    }
    client->retries++;
    append_byte(client, '-');
}

static void take_event(struct rsp_client *client, enum packet_event event)
{
    if (event != PACKET_ACK)
        client->last_heard = ev_now(client->loop);
    switch (event) {
    case PACKET_DATA:
        take_packet(client);
        break;
    case PACKET_ACK:
        take_ack(client);
        break;
    case PACKET_NAK:
        take_nak(client);
        break;
    case PACKET_BAD_CHECKSUM:
        take_bad_checksum(client);
        break;
    case PACKET_TOO_LONG:
        rsp_client_fail(client, "a packet of more than %zu bytes", RSP_REPLY_MAX);
        break;
    case PACKET_INTERRUPT:
        rsp_client_fail(client, "garbage between packets (byte 0x03)");
        break;
    case PACKET_GARBAGE:
        rsp_client_fail(client, "garbage between packets (byte 0x%02x)", client->reader.byte);
        break;
    case PACKET_NO_MEMORY:
        rsp_client_fail(client, "out of memory");
        break;
    case PACKET_NOTIFICATION:
    case PACKET_NONE:
        break;
    }
}

static void receive(struct rsp_client *client)
{
    ssize_t count = buffer_read_fd(&client->in, client->fd, READ_MOST);
    if (count < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            rsp_client_fail(client, "cannot read: %s", strerror(errno));
        return;
    }
    if (count == 0) {
        rsp_client_fail(client, client->reader.state != 0
                                    ? "the stub closed the connection in mid-packet"
                                    : "the stub closed the connection");
        return;
    }
    const uint8_t *bytes = buffer_bytes(&client->in);
    size_t left = client->in.length;
    while (left > 0 && !client->failing) {
        enum packet_event event = packet_next(&client->reader, &bytes, &left);
        if (event == PACKET_NONE)
            client->last_heard = ev_now(client->loop);
        else
            take_event(client, event);
    }
    /* A callback may have closed the connection, and freed the bytes with it. */
    if (client->fd >= 0)
        buffer_clear(&client->in);
}

/* What a taken resume, an interrupt that waited for it, and new room in flight lead to. */
static void settle_turn(struct rsp_client *client)
{
    if (client->taken)
        finish_resume(client, TARGET_OK, "");
    if (client->interrupt_wanted && client->running && !client->resume)
        send_interrupt(client);
    tell_dropped(client);
    pump(client);
    flush_out(client);
    if (client->fd >= 0 && client->modes[MODE_SPACE] == 1 && !client->in_flight &&
        !ev_is_active(&client->idle)) {
        ev_timer_set(&client->idle, IDLE_AFTER, 0.);
        ev_timer_start(client->loop, &client->idle);
    }
    if (client->failing && !client->closing)
        end(client);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct rsp_client *client = watcher->data;
    receive(client);
    settle_turn(client);
}

void rsp_client_poll(struct rsp_client *client)
{
    if (client->fd < 0 || client->failing)
        return;
    receive(client);
    fail_later(client);
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

/* Nothing to do: back into the virtual space. */
static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct rsp_client *client = timer->data;
    if (!client->in_flight && !client->turns && !client->running && !client->failing &&
        client->modes[MODE_SPACE] == 1)
        send_mode(client, MODE_SPACE, 0);
    settle_turn(client);
    watch(client);
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
    ev_init(&client->reading, on_readable);
    ev_init(&client->writing, on_writable);
    ev_init(&client->silence, on_silence);
    ev_init(&client->idle, on_idle);
    ev_init(&client->later, on_later);
    client->reading.data = client->writing.data = client;
    client->silence.data = client->idle.data = client->later.data = client;
    return client;
}

void rsp_client_free(struct rsp_client *client)
{
    if (!client)
        return;
    disconnect(client);
    tell_dropped(client);
    ev_timer_stop(client->loop, &client->later);
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
    packet_reader_init(&client->reader, RSP_REPLY_MAX);
    client->acks = true;
    client->spaces = false;
    client->depth = 1;
    client->limit = 396;   /* what gdb takes for granted of a stub that does not say */
    client->tolerated = 1; /* QEMU before 8.1 tells of the stop that a connect causes */
    client->strays = 0;
    client->quantum_left = QUANTUM;
    client->retries = 0;
    mode_forget(client, true);
    ev_io_set(&client->reading, fd, EV_READ);
    ev_io_set(&client->writing, fd, EV_WRITE);
    ev_io_start(client->loop, &client->reading);
}

enum target_error rsp_client_connect(struct rsp_client *client, const struct endpoint *endpoint,
                                     char *message, size_t size)
{
    char error[ENDPOINT_ERROR_SIZE];
    int fd = endpoint_connect_start(endpoint, error);
    if (fd < 0) {
        snprintf(message, size, "%s", error);
        return TARGET_GONE;
    }
    char text[ENDPOINT_TEXT_SIZE];
    if (task_wait_fd(fd, EV_WRITE, client->timeout) == 0) {
        snprintf(message, size, "%s: no connection within %g seconds",
                 endpoint_format(endpoint, text), client->timeout);
        close(fd);
        return TARGET_GONE;
    }
    int problem = 0;
    socklen_t length = sizeof problem;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &length) != 0)
        problem = errno;
    if (problem != 0) {
        snprintf(message, size, "%s: %s", endpoint_format(endpoint, text), strerror(problem));
        close(fd);
        return TARGET_GONE;
    }
    rsp_client_adopt(client, fd);
    return TARGET_OK;
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
    if (client->running || client->resume)
        return TARGET_RUNNING;
    if (wire_length(operation) > client->limit)
        return TARGET_INVALID;
    if (operation->space == RSP_SPACE_PHYSICAL && !client->spaces)
        return TARGET_UNSUPPORTED;
    operation->mode = NULL;
    operation->error = TARGET_OK;
    if (operation->kind == RSP_RESUME) {
        client->resume = operation;
        return TARGET_OK;
    }
    struct turn *turn = turn_find(client, operation->client);
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
    pump(client);
    flush_out(client);
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
         !terminate(call->reply)))
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

bool rsp_client_busy(const struct rsp_client *client)
{
    return client->in_flight != NULL;
}

bool rsp_client_resuming(const struct rsp_client *client)
{
    return client->resume != NULL;
}

bool rsp_client_running(const struct rsp_client *client)
{
    return client->running;
}

void rsp_client_set_running(struct rsp_client *client, bool running)
{
    if (client->fd < 0 || client->running == running)
        return;
    if (running) {
        client->running = true;
        client->resumed = client->interrupt_sent = client->interrupt_wanted = false;
        client->tolerated = 0;
        mode_forget(client, false);
        drop_all(client, TARGET_RUNNING);
        fail_later(client);
    } else {
        halted(client);
        client->tolerated++;
        finish_resume(client, TARGET_OK, "");
        watch(client);
    }
}

void rsp_client_interrupt(struct rsp_client *client)
{
    if (client->fd < 0 || !client->running || client->interrupt_sent)
        return;
    if (client->resume) {
        client->interrupt_wanted = true;
        return;
    }
    send_interrupt(client);
    flush_out(client);
}

unsigned rsp_client_strays(const struct rsp_client *client)
{
    return client->strays;
}

enum target_error rsp_client_settle(struct rsp_client *client)
{
    if (!client->spaces || client->modes[MODE_SPACE] == 0)
        return TARGET_OK;
    struct rsp_operation operation = {.payload = "Qqemu.PhyMemMode:0",
                                      .length = strlen("Qqemu.PhyMemMode:0"),
                                      .kind = RSP_REQUEST};
    enum target_error error = rsp_client_call(client, &operation, NULL);
    if (error == TARGET_OK)
        client->modes[MODE_SPACE] = 0;
    return error;
}

void rsp_client_drain(struct rsp_client *client)
{
    while (rsp_client_connected(client) && client->out.length > 0)
        if (task_wait_fd(client->fd, EV_WRITE, client->timeout) == 0)
            return;
        else
            flush_out(client);
}
