/* The requests that were sent and are not answered yet, in their order. */
#ifndef SB_UPSTREAM_LINK_RSP_FLIGHT_H
#define SB_UPSTREAM_LINK_RSP_FLIGHT_H

#include "upstream/link/rsp_operation.h"

#include <stdbool.h>

/* Zero-initialise. */
struct rsp_flight {
    struct rsp_operation *first; /* whose reply comes next; NULL: nothing is in flight */
    unsigned count, weight;      /* weight: see RSP_WEIGHT_FULL */
    unsigned retries;            /* how often a packet of the first was asked for again */
};

void rsp_flight_add(struct rsp_flight *flight, struct rsp_operation *operation);
/* It is answered: the first, or a resume that was taken. */
void rsp_flight_remove(struct rsp_flight *flight, struct rsp_operation *operation);
/* A packet of the first is asked for again. */
void rsp_flight_retry(struct rsp_flight *flight);
/* An ack has come: whose it is; NULL: all have theirs. */
struct rsp_operation *rsp_flight_ack(struct rsp_flight *flight);
/* May one more go with so many (depth, at least 1) of full weight? What a stub has to take in and
 * to keep is counted: 16 short requests are less than one of full size, and too few to keep a stub
 * busy that answers each in 2 us. */
bool rsp_flight_room(const struct rsp_flight *flight, unsigned depth);
/* Move all of them to the end of a list (utlist's), with that error. */
void rsp_flight_drop(struct rsp_flight *flight, enum target_error error,
                     struct rsp_operation **list);

#endif
