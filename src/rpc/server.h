/* The rpc front: accepts peers on its listeners and serves each with a connection. */
#ifndef SB_RPC_SERVER_H
#define SB_RPC_SERVER_H

#include "space/session.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct busy_poll;
struct rpc_server;

struct rpc_config {
    enum cache_policy policy;    /* of a new view */
    struct busy_poll *busy_poll; /* for the next request; NULL: sleep */
    unsigned max_connections;    /* a peer beyond it gets one Error notification and is closed */
};

/* NULL when out of memory. */
struct rpc_server *rpc_server_new(struct ev_loop *loop, struct space *space,
                                  const struct rpc_config *config);

/* Accept on a descriptor that listens and does not block. It stays the caller's, who closes it
 * after rpc_server_stop. endpoint_text, for the log, is copied. False when out of memory. */
bool rpc_server_listen(struct rpc_server *server, int listener_fd, const char *endpoint_text);

/* Connections being served. */
size_t rpc_server_connections(const struct rpc_server *server);

/* Accept no more, and end every connection orderly: its current call is finished and answered, its
 * view flushed. Called in a task, returns when all are gone. */
void rpc_server_stop(struct rpc_server *server);

/* After rpc_server_stop, or when nothing was ever accepted. NULL is fine. */
void rpc_server_free(struct rpc_server *server);

#endif
