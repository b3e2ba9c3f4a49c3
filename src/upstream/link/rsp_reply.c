#include "base/clock.h"
#include "base/log.h"
#include "rsp/hex.h"
#include "upstream/link/rsp_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define READ_MOST ((size_t)64 * 1024)
/* Times that one packet is sent again, or asked for again. */
#define RETRIES_MOST 3
/* Bytes without anything in them that is waited for. Beyond the longest reply, escapes included. */
#define USELESS_MOST (4 * RSP_REPLY_MAX)
/* So many of them count as a sign of life: fewer are a trickle that would keep everybody waiting.
 */
#define USELESS_HEARD 256

/* What was waited for has come, or a part of it. */
static void progress(struct rsp_client *client)
{
    client->last_heard = clock_now();
    client->useless = client->useless_heard = 0;
}

/* Bytes have come, whatever is in them. */
static void count_bytes(struct rsp_client *client, size_t count)
{
    if (!client->in_flight && !client->interrupt_sent)
        client->useless = client->useless_heard = 0;
    client->useless += count;
    if (client->useless - client->useless_heard < USELESS_HEARD)
        return;
    client->useless_heard = client->useless;
    client->last_heard = clock_now();
    if (client->useless > USELESS_MOST)
        rsp_client_fail(client, "%zu bytes came, and no answer in them", client->useless);
}

/* A reply was taken. Never while the target runs: the byte would stop it. */
static void acknowledge(struct rsp_client *client)
{
    if (client->acks && !client->running)
        rsp_append_byte(client, '+');
}

/* Is the first in flight asked for a reply that looks like a stop reply? (qTStatus: T0;…) */
static bool takes_stop(const struct rsp_operation *operation)
{
    return operation->kind == RSP_STATUS ||
           (operation->length >= 2 && memcmp(operation->payload, "qT", 2) == 0);
}

/* O and hexadecimal: neither OK nor some other reply with an O. */
static bool is_output(const struct packet_reader *reader)
{
    if (reader->length % 2 == 0 || reader->payload[0] != 'O')
        return false;
    for (size_t i = 1; i < reader->length; i++)
        if (hex_digit(reader->payload[i]) < 0)
            return false;
    return true;
}

static void pop_in_flight(struct rsp_client *client, struct rsp_operation *operation)
{
    DL_DELETE(client->in_flight, operation);
    client->in_flight_count--;
    client->in_flight_weight -= operation->weight;
    client->retries = 0;
}

static void mode_answered(struct rsp_client *client, struct rsp_mode *mode)
{
    const char *reply = (const char *)client->reader.payload;
    bool taken = client->reader.length == 2 && memcmp(reply, "OK", 2) == 0 && !mode->printed;
    if (taken) {
        rsp_mode_prove(client, mode->kind, mode->value);
        if (!mode->proven)
            client->held = false;
    } else if (mode->proven || (mode->kind == RSP_MODE_SPACE && mode->value == 0)) {
        rsp_client_fail(client, "'%s' was refused with '%.40s' though it had been taken before",
                        mode->payload, reply);
    } else {
        log_debug(ROOM, "the stub refused '%s' with '%.40s'", mode->payload, reply);
        client->held = false;
        client->modes[mode->kind] = RSP_UNKNOWN;
        rsp_refuse_front(client,
                         mode->kind == RSP_MODE_SPACE ? TARGET_UNSUPPORTED : TARGET_INVALID);
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
    if (hex_decode(room, (const char *)reader->payload + 1, digits))
        buffer_commit(output, digits / 2);
    if (digits > 0)
        progress(client);
}

/* A NUL behind the content, not counted. */
bool rsp_terminate(struct buffer *buffer)
{
    uint8_t *room = buffer_reserve(buffer, 1);
    if (room)
        *room = 0;
    return room != NULL;
}

static void take_reply(struct rsp_client *client, struct rsp_operation *operation)
{
    client->last_reply = clock_now();
    progress(client);
    pop_in_flight(client, operation);
    acknowledge(client);
    const char *reply = (const char *)client->reader.payload;
    if (operation->mode) {
        mode_answered(client, operation->mode);
        return;
    }
    if (operation->output && !rsp_terminate(operation->output))
        operation->error = TARGET_NO_MEMORY;
    else
        operation->error = TARGET_OK;
    operation->reply = reply;
    operation->reply_length = client->reader.length;
    operation->done(operation);
}

/* The target has stopped. */
void rsp_halted(struct rsp_client *client)
{
    client->running = client->resumed = false;
    client->interrupt_sent = client->interrupt_wanted = false;
    rsp_mode_forget(client, false);
}

void rsp_finish_resume(struct rsp_client *client, enum target_error error, const char *reply)
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
        rsp_halted(client);
        acknowledge(client);
        rsp_finish_resume(client, TARGET_OK, "");
        if (!rsp_step_stopped(client, reply) && client->listener.stopped)
            client->listener.stopped(client->listener.context, true, reply);
    } else if (reply[0] == 'W' || reply[0] == 'X') {
        take_exit(client, reply);
    } else if (client->resumed && (reply[0] == 'E' || client->reader.length == 0)) {
        rsp_halted(client);
        acknowledge(client);
        rsp_finish_resume(client, reply[0] == 'E' ? TARGET_FAILED : TARGET_UNSUPPORTED, reply);
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
        rsp_client_fail_resumed(client);
        return;
    }
    rsp_mode_forget(client, false);
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
    /* A letter and a signal or exit code: "Text=0" (qOffsets) is none. */
    bool stop = strchr("TSWX", reply[0]) && client->reader.length >= 3 &&
                hex_digit((uint8_t)reply[1]) >= 0 && hex_digit((uint8_t)reply[2]) >= 0;
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
    for (struct rsp_operation *operation = client->in_flight; operation;
         operation = operation->next) {
        if (operation->acked)
            continue;
        operation->acked = true;
        progress(client);
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
    progress(client);
    rsp_frame(client, operation);
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
    progress(client);
    rsp_append_byte(client, '-');
}

static void take_event(struct rsp_client *client, enum packet_event event)
{
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

void rsp_receive(struct rsp_client *client)
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
    client->heard = true;
    const uint8_t *bytes = buffer_bytes(&client->in);
    size_t left = client->in.length;
    count_bytes(client, (size_t)count);
    while (left > 0 && !client->failing)
        take_event(client, packet_next(&client->reader, &bytes, &left));
    /* A callback may have closed the connection, and freed the bytes with it. */
    if (client->fd >= 0)
        buffer_clear(&client->in);
}
