/* What comes from the stub: replies to their requests, stop replies to the listener. What is in
 * doubt ends the connection. */
#ifndef SB_UPSTREAM_LINK_RSP_REPLY_H
#define SB_UPSTREAM_LINK_RSP_REPLY_H

#include "rsp/packet.h"

#include <stdbool.h>

struct rsp_queue;
struct rsp_wire;

/* Others read; the functions here alone change it. */
struct rsp_replies {
    struct rsp_wire *wire;
    struct rsp_queue *queue;
    char exit[64]; /* the W or X packet by which the target told its end; "": none */
    bool intruded; /* another has resumed the target while requests were under way */
};

/* wire and queue must outlive it. */
void rsp_replies_init(struct rsp_replies *replies, struct rsp_wire *wire, struct rsp_queue *queue);
/* A new connection. */
void rsp_replies_begin(struct rsp_replies *replies);
/* Take in what the wire's reader has read. */
void rsp_replies_take(struct rsp_replies *replies, enum packet_event event);
/* End the connection because another has resumed the target. */
void rsp_replies_fail_resumed(struct rsp_replies *replies);

#endif
