/* Hides the socket, and when bytes count as a sign of life. */
#include "upstream/link/rsp_wire.h"

#include <string.h>

/* Microseconds between looks at what has come while much is in flight: the stub must neither run
 * out of requests nor fill its socket with replies. */
#define PACE 100u
/* Bytes without anything in them that is waited for. Beyond the longest reply, escapes included. */
#define USELESS_MOST (4 * RSP_REPLY_MAX)
/* So many of them count as a sign of life: fewer are a trickle that would keep everybody waiting.
 */
#define USELESS_HEARD 256

void rsp_wire_progress(struct rsp_wire *wire)
{
    stream_heard(&wire->stream);
    wire->useless = wire->useless_heard = 0;
}

/* Bytes have come, whatever is in them. */
static void count_bytes(struct rsp_wire *wire, size_t count)
{
    if (!wire->events.awaited(wire->events.context))
        wire->useless = wire->useless_heard = 0;
    wire->useless += count;
    if (wire->useless - wire->useless_heard < USELESS_HEARD)
        return;
    wire->useless_heard = wire->useless;
    stream_heard(&wire->stream);
    if (wire->useless > USELESS_MOST)
        stream_fail(&wire->stream, "%zu bytes came, and no answer in them", wire->useless);
}

static void on_came(void *context, size_t count)
{
    struct rsp_wire *wire = context;
    const uint8_t *bytes = buffer_bytes(&wire->stream.in);
    size_t left = wire->stream.in.length;
    wire->heard = true;
    count_bytes(wire, count);
    while (left > 0 && rsp_wire_live(wire))
        wire->events.event(wire->events.context, packet_next(&wire->reader, &bytes, &left));
    /* A callback may have closed the connection, and freed the bytes with it. */
    if (wire->stream.fd >= 0)
        buffer_clear(&wire->stream.in);
}

static void on_ended(void *context)
{
    struct rsp_wire *wire = context;
    stream_fail(&wire->stream, wire->reader.state != 0
                                   ? "the stub closed the connection in mid-packet"
                                   : "the stub closed the connection");
}

static void on_turn(void *context)
{
    struct rsp_wire *wire = context;
    wire->events.turn(wire->events.context);
}

static void on_silent(void *context)
{
    struct rsp_wire *wire = context;
    wire->events.silent(wire->events.context);
}

static void on_failed(void *context)
{
    struct rsp_wire *wire = context;
    wire->events.failed(wire->events.context);
}

static const struct stream_events stream_events = {
    .came = on_came,
    .ended = on_ended,
    .silent = on_silent,
    .failed = on_failed,
    .turn = on_turn,
    .read_failed = "cannot read: ",
    .write_failed = "cannot write: ",
};

void rsp_wire_init(struct rsp_wire *wire, struct ev_loop *loop, double timeout,
                   const struct rsp_wire_events *events)
{
    *wire = (struct rsp_wire){.events = *events};
    stream_init(&wire->stream, loop, timeout, PACE, &stream_events, wire);
}

void rsp_wire_free(struct rsp_wire *wire)
{
    rsp_wire_close(wire);
    stream_free(&wire->stream);
}

int rsp_wire_dial(struct rsp_wire *wire, const struct endpoint *endpoint, struct failure *failure)
{
    wire->heard = false;
    return stream_dial(&wire->stream, endpoint, failure);
}

void rsp_wire_adopt(struct rsp_wire *wire, int fd)
{
    wire->heard = false;
    wire->acks = true;
    wire->useless = wire->useless_heard = 0;
    packet_reader_init(&wire->reader, RSP_REPLY_MAX);
    stream_forget_reason(&wire->stream);
    stream_adopt(&wire->stream, fd);
}

void rsp_wire_set_acks(struct rsp_wire *wire, bool acks)
{
    wire->acks = acks;
}

bool rsp_wire_live(const struct rsp_wire *wire)
{
    return wire->stream.fd >= 0 && !wire->stream.failing;
}

void rsp_wire_close(struct rsp_wire *wire)
{
    stream_close(&wire->stream);
    packet_reader_free(&wire->reader);
}

void rsp_wire_last_words(struct rsp_wire *wire, const char *text)
{
    struct stream *stream = &wire->stream;
    if (stream->out.length == 0 && packet_frame(&stream->out, text, strlen(text), false))
        (void)buffer_write_fd(&stream->out, stream->fd);
}

bool rsp_wire_frame(struct rsp_wire *wire, const struct rsp_operation *operation)
{
    struct buffer *out = &wire->stream.out;
    if (operation->shorten
            ? packet_frame_rle(out, operation->payload, operation->length)
            : packet_frame(out, operation->payload, operation->length, operation->escape))
        return true;
    stream_fail(&wire->stream, "out of memory");
    return false;
}

void rsp_wire_append_byte(struct rsp_wire *wire, char byte)
{
    if (!buffer_append_byte(&wire->stream.out, (uint8_t)byte))
        stream_fail(&wire->stream, "out of memory");
}
