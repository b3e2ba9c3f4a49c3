/* The requests that have not been sent: those of one caller in its order, callers in turn. */
#ifndef SB_UPSTREAM_LINK_RSP_TURNS_H
#define SB_UPSTREAM_LINK_RSP_TURNS_H

#include "upstream/link/rsp_operation.h"

#include <stdbool.h>

struct rsp_turn;

/* Zero-initialise. */
struct rsp_turns {
    struct rsp_turn *first; /* whose turn it is; NULL: nobody waits */
    unsigned quantum_left;  /* requests of that caller that go before it is another's turn */
};

/* A new connection: whoever is first has a whole turn. */
void rsp_turns_begin(struct rsp_turns *turns);
/* False: out of memory. */
bool rsp_turns_add(struct rsp_turns *turns, struct rsp_operation *operation);
/* The operation whose turn it is, which stays in the queue; NULL: there is none. */
struct rsp_operation *rsp_turns_front(struct rsp_turns *turns);
/* That operation goes. */
void rsp_turns_pop(struct rsp_turns *turns);
/* Move all of them to the end of a list (utlist's), with that error. */
void rsp_turns_drop(struct rsp_turns *turns, enum target_error error, struct rsp_operation **list);

#endif
