/* One connection of the GDB front: bytes in and out, acknowledgements, interrupts that overtake,
 * back-pressure. What a slow, silent, greedy or vanished peer does is felt by that peer alone. */
#ifndef SB_STUB_CONNECTION_H
#define SB_STUB_CONNECTION_H

#include "stub/client.h"
#include "stub/intruder.h"

#include <ev.h>
#include <stdbool.h>

/* Requests, and bytes of them, that may wait before reading pauses. */
#define CONNECTION_QUEUE_MOST   64u
#define CONNECTION_QUEUED_BYTES ((size_t)4 * FEATURES_PACKET_SIZE)

struct connection;

struct busy_poll;

struct connection_config {
    struct front *front;
    const char *name;            /* for the log: "stub#3"; copied */
    const char *peer;            /* copied */
    struct busy_poll *busy_poll; /* after a reply the next request may be near; NULL: sleep */
    struct intruder_log *intruders;
    /* The connection has ended and frees itself when this returns; fd is closed already. */
    void (*ended)(void *context, struct connection *connection);
    void *context;
};

/* Serve fd, which must not block. NULL when out of memory; fd is then still the caller's. */
struct connection *connection_new(struct ev_loop *loop, int fd,
                                  const struct connection_config *config);
/* End it: what is under way is finished, the client's breakpoints go. Returns at once; ended()
 * tells when it is done. */
void connection_stop(struct connection *connection);

#endif
