/* One connection of the rpc front: reads frames, carries out their requests in order in a task of
 * its own, writes the answers. What a slow, silent, greedy or vanished peer does is felt by that
 * peer alone. */
#ifndef SB_RPC_CONNECTION_H
#define SB_RPC_CONNECTION_H

#include "space/session.h"

#include <ev.h>
#include <stdbool.h>

struct busy_poll;
struct rpc_connection;

struct rpc_connection_config {
    struct space *space;
    enum cache_policy policy;
    const char *name;            /* for the log: "rpc#3"; copied */
    struct busy_poll *busy_poll; /* after an answer the next request may be near; NULL: sleep */
    /* The connection has ended and frees itself when this returns; fd is closed already. Called in
     * its task. */
    void (*ended)(void *context, struct rpc_connection *connection);
    void *context;
};

/* Serve fd, which must not block. NULL when out of memory; fd is then still the caller's. */
struct rpc_connection *rpc_connection_new(struct ev_loop *loop, int fd,
                                          const struct rpc_connection_config *config);

/* End it orderly: the call under way is finished and answered (a wait is called off), what waits
 * behind it is dropped, the view is flushed. Returns at once; ended() tells when it is done. */
void rpc_connection_stop(struct rpc_connection *connection);

#endif
