/* Hides to what a packet is the reply, and what it means when it is none. */
#include "upstream/link/rsp_reply.h"

#include "base/hex.h"
#include "base/log.h"
#include "upstream/link/rsp_queue.h"
#include "upstream/link/rsp_wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Times that one packet is sent again, or asked for again. */
#define RETRIES_MOST 3

void rsp_replies_init(struct rsp_replies *replies, struct rsp_wire *wire, struct rsp_queue *queue)
{
    *replies = (struct rsp_replies){.wire = wire, .queue = queue};
}

void rsp_replies_begin(struct rsp_replies *replies)
{
    replies->exit[0] = 0;
    replies->intruded = false;
}

void rsp_replies_fail_resumed(struct rsp_replies *replies)
{
    if (!rsp_wire_live(replies->wire))
        return;
    replies->intruded = true;
    stream_fail(&replies->wire->stream,
                "the target was resumed by another while requests were under way");
}

/* A reply was taken. Never while the target runs: the byte would stop it. */
static void acknowledge(struct rsp_replies *replies)
{
    if (replies->wire->acks && !rsp_run_moving(&replies->queue->run))
        rsp_wire_append_byte(replies->wire, '+');
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

static void switch_answered(struct rsp_replies *replies, struct rsp_switch *mode)
{
    const char *reply = (const char *)replies->wire->reader.payload;
    bool taken = replies->wire->reader.length == 2 && memcmp(reply, "OK", 2) == 0 && !mode->printed;
    if (taken) {
        rsp_modes_prove(&replies->queue->modes, mode->kind, mode->value);
        if (!mode->proven)
            rsp_queue_release(replies->queue);
    } else if (mode->proven || (mode->kind == RSP_MODE_SPACE && mode->value == 0)) {
        stream_fail(&replies->wire->stream,
                    "'%s' was refused with '%.40s' though it had been taken before", mode->payload,
                    reply);
    } else {
        log_debug("target", "the stub refused '%s' with '%.40s'", mode->payload, reply);
        rsp_queue_release(replies->queue);
        rsp_modes_set(&replies->queue->modes, mode->kind, RSP_UNKNOWN);
        rsp_queue_refuse_front(replies->queue,
                               mode->kind == RSP_MODE_SPACE ? TARGET_UNSUPPORTED : TARGET_INVALID);
    }
    free(mode);
}

static void take_output(struct rsp_replies *replies, struct rsp_operation *operation)
{
    const struct packet_reader *reader = &replies->wire->reader;
    if (operation->switching) {
        operation->switching->printed = true;
        return;
    }
    size_t digits = reader->length - 1;
    struct buffer *output = operation->output;
    if (!output)
        return;
    if (output->length + digits / 2 > RSP_OUTPUT_MAX) {
        stream_fail(&replies->wire->stream, "a monitor command printed more than %zu bytes",
                    RSP_OUTPUT_MAX);
        return;
    }
    uint8_t *room = buffer_reserve(output, digits / 2 + 1);
    if (!room) {
        stream_fail(&replies->wire->stream, "out of memory");
        return;
    }
    if (hex_decode(room, (const char *)reader->payload + 1, digits))
        buffer_commit(output, digits / 2);
    if (digits > 0)
        rsp_wire_progress(replies->wire);
}

static void take_reply(struct rsp_replies *replies, struct rsp_operation *operation)
{
    rsp_wire_progress(replies->wire);
    rsp_queue_answered(replies->queue, operation);
    acknowledge(replies);
    const char *reply = (const char *)replies->wire->reader.payload;
    if (operation->switching) {
        switch_answered(replies, operation->switching);
        return;
    }
    if (operation->output && !buffer_terminate(operation->output))
        operation->error = TARGET_NO_MEMORY;
    else
        operation->error = TARGET_OK;
    operation->reply = reply;
    operation->reply_length = replies->wire->reader.length;
    operation->done(operation);
}

/* A W or X packet: there will be no more. */
static void take_exit(struct rsp_replies *replies, const char *reply)
{
    snprintf(replies->exit, sizeof replies->exit, "%s", reply);
    stream_fail(&replies->wire->stream, "the target has ended (%.40s)", reply);
}

/* A packet while the target runs. */
static void take_while_running(struct rsp_replies *replies)
{
    const char *reply = (const char *)replies->wire->reader.payload;
    if (is_output(&replies->wire->reader))
        return; /* console output of the target; not acknowledged, for the target may run on */
    if (reply[0] == 'T' || reply[0] == 'S') {
        bool looked_at = rsp_step_stopped(&replies->queue->step, reply);
        rsp_queue_halted(replies->queue, looked_at ? RUN_STEP_ANSWERED : RUN_STOPPED);
        acknowledge(replies);
        rsp_queue_finish_resume(replies->queue, TARGET_OK, "");
        if (!looked_at && replies->queue->listener->stopped)
            replies->queue->listener->stopped(replies->queue->listener->context, true, reply);
    } else if (reply[0] == 'W' || reply[0] == 'X') {
        take_exit(replies, reply);
    } else if (rsp_run_ours(&replies->queue->run) &&
               (reply[0] == 'E' || replies->wire->reader.length == 0)) {
        rsp_queue_halted(replies->queue, RUN_REFUSED);
        acknowledge(replies);
        rsp_queue_finish_resume(replies->queue,
                                reply[0] == 'E' ? TARGET_FAILED : TARGET_UNSUPPORTED, reply);
        if (replies->queue->listener->refused)
            replies->queue->listener->refused(replies->queue->listener->context, reply);
    } else {
        stream_fail(&replies->wire->stream, "an unexpected packet while the target runs: '%.40s'",
                    reply);
    }
}

/* A stop reply while the target is thought to be halted. */
static void take_stray(struct rsp_replies *replies, const char *reply)
{
    if (rsp_run_stray(&replies->queue->run)) {
        acknowledge(replies);
        return;
    }
    if (replies->queue->flight.first) {
        rsp_replies_fail_resumed(replies);
        return;
    }
    rsp_modes_forget(&replies->queue->modes, false);
    acknowledge(replies);
    if (replies->queue->listener->stopped)
        replies->queue->listener->stopped(replies->queue->listener->context, false, reply);
}

static void take_packet(struct rsp_replies *replies)
{
    const char *reply = (const char *)replies->wire->reader.payload;
    log_trace("target", "<- %.80s", reply);
    if (rsp_run_moving(&replies->queue->run)) {
        take_while_running(replies);
        return;
    }
    struct rsp_operation *operation = replies->queue->flight.first;
    /* A letter and a signal or exit code: "Text=0" (qOffsets) is none. */
    bool stop = strchr("TSWX", reply[0]) && replies->wire->reader.length >= 3 &&
                hex_digit((uint8_t)reply[1]) >= 0 && hex_digit((uint8_t)reply[2]) >= 0;
    if (stop && (!operation || !takes_stop(operation))) {
        if (reply[0] == 'W' || reply[0] == 'X')
            take_exit(replies, reply);
        else
            take_stray(replies, reply);
    } else if (is_output(&replies->wire->reader)) {
        if (operation && operation->kind == RSP_COMMAND)
            take_output(replies, operation);
    } else if (operation) {
        operation->acked = true;
        take_reply(replies, operation);
    } else {
        stream_fail(&replies->wire->stream, "a packet that nobody asked for: '%.40s'", reply);
    }
}

static void take_ack(struct rsp_replies *replies)
{
    if (rsp_flight_ack(&replies->queue->flight))
        rsp_wire_progress(replies->wire);
}

static void take_nak(struct rsp_replies *replies)
{
    struct rsp_operation *operation = replies->queue->flight.first;
    if (!replies->wire->acks || !operation || replies->queue->flight.count != 1 ||
        operation->acked || replies->queue->flight.retries >= RETRIES_MOST) {
        stream_fail(&replies->wire->stream,
                    replies->queue->flight.count > 1
                        ? "the stub asks for a packet again while several are in flight"
                    : replies->queue->flight.retries >= RETRIES_MOST
                        ? "the stub asks for the same packet again and again"
                        : "the stub asks for a packet again that it has taken");
        return;
    }
    rsp_flight_retry(&replies->queue->flight);
    rsp_wire_progress(replies->wire);
    rsp_wire_frame(replies->wire, operation);
}

/* The stub sends its last packet again when asked to: right only when that is the one reply that is
 * owed to us, and has no output packets before it. */
static void take_bad_checksum(struct rsp_replies *replies)
{
    struct rsp_operation *operation = replies->queue->flight.first;
    if (!replies->wire->acks || rsp_run_moving(&replies->queue->run) ||
        replies->queue->flight.count != 1 || operation->kind == RSP_COMMAND ||
        replies->queue->flight.retries >= RETRIES_MOST) {
        stream_fail(&replies->wire->stream, "a packet with a bad checksum");
        return;
    }
    rsp_flight_retry(&replies->queue->flight);
    rsp_wire_progress(replies->wire);
    rsp_wire_append_byte(replies->wire, '-');
}

void rsp_replies_take(struct rsp_replies *replies, enum packet_event event)
{
    switch (event) {
    case PACKET_DATA:
        take_packet(replies);
        break;
    case PACKET_ACK:
        take_ack(replies);
        break;
    case PACKET_NAK:
        take_nak(replies);
        break;
    case PACKET_BAD_CHECKSUM:
        take_bad_checksum(replies);
        break;
    case PACKET_TOO_LONG:
        stream_fail(&replies->wire->stream, "a packet of more than %zu bytes", RSP_REPLY_MAX);
        break;
    case PACKET_INTERRUPT:
        stream_fail(&replies->wire->stream, "garbage between packets (byte 0x03)");
        break;
    case PACKET_GARBAGE:
        stream_fail(&replies->wire->stream, "garbage between packets (byte 0x%02x)",
                    replies->wire->reader.byte);
        break;
    case PACKET_NO_MEMORY:
        stream_fail(&replies->wire->stream, "out of memory");
        break;
    case PACKET_NOTIFICATION:
    case PACKET_NONE:
        break;
    }
}
