/* The stub's socket as packets: framed on the way out, read on the way in, watched for silence and
 * for bytes that never become an answer. */
#ifndef SB_UPSTREAM_LINK_RSP_WIRE_H
#define SB_UPSTREAM_LINK_RSP_WIRE_H

#include "base/stream.h"
#include "rsp/packet.h"
#include "upstream/link/rsp_operation.h"

#include <stdbool.h>
#include <stddef.h>

/* As struct stream_events; none may suspend. */
struct rsp_wire_events {
    void *context;
    /* The reader has read something: what it is about stands in the wire's reader. */
    void (*event)(void *context, enum packet_event event);
    /* Is anything waited for? */
    bool (*awaited)(const void *context);
    void (*turn)(void *context);
    void (*silent)(void *context);
    void (*failed)(void *context);
};

/* Others read; the functions here alone change it. */
struct rsp_wire {
    struct stream stream;
    struct packet_reader reader;
    struct rsp_wire_events events;
    bool acks;  /* packets are acknowledged, each way */
    bool heard; /* anything, since the connect was tried */
    /* bytes since anything came that was waited for, and at the last time that they counted as a
     * sign of life */
    size_t useless, useless_heard;
};

void rsp_wire_init(struct rsp_wire *wire, struct ev_loop *loop, double timeout,
                   const struct rsp_wire_events *events);
void rsp_wire_free(struct rsp_wire *wire);

/* As stream_dial, and nothing has been heard yet. */
int rsp_wire_dial(struct rsp_wire *wire, const struct endpoint *endpoint, struct failure *failure);
/* Begin on a connected socket, with acks. */
void rsp_wire_adopt(struct rsp_wire *wire, int fd);
void rsp_wire_set_acks(struct rsp_wire *wire, bool acks);
/* Connected, and not about to end. */
bool rsp_wire_live(const struct rsp_wire *wire);
/* Close; nobody is told. */
void rsp_wire_close(struct rsp_wire *wire);
/* Send a packet right now, if nothing waits to be sent; whether it goes is nobody's concern. */
void rsp_wire_last_words(struct rsp_wire *wire, const char *text);

/* Append a packet, or a byte by itself, to what goes out; the connection ends when out of memory.
 */
bool rsp_wire_frame(struct rsp_wire *wire, const struct rsp_operation *operation);
void rsp_wire_append_byte(struct rsp_wire *wire, char byte);
/* What was waited for has come, or a part of it. */
void rsp_wire_progress(struct rsp_wire *wire);

#endif
