/* The GDB front: accepts debuggers on its listeners and serves each with a connection. */
#ifndef SB_STUB_SERVER_H
#define SB_STUB_SERVER_H

#include "space/session.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct busy_poll;
struct stub_server;

struct stub_config {
    enum cache_policy policy;    /* of a new client's view */
    bool attach_halt;            /* a client that attaches halts the target */
    bool allow_kill;             /* clients may end the target */
    double timeout;              /* seconds to wait for a target that was asked to halt */
    struct busy_poll *busy_poll; /* for the next request; NULL: sleep */
    unsigned max_connections;    /* a peer beyond it is closed at once */
};

/* NULL when out of memory. */
struct stub_server *stub_server_new(struct ev_loop *loop, struct space *space,
                                    const struct stub_config *config);
/* Accept on a descriptor that listens and does not block. It stays the caller's, who closes it
 * after stub_server_stop. endpoint_text, for the log, is copied. False when out of memory. */
bool stub_server_listen(struct stub_server *server, int listener_fd, const char *endpoint_text);
size_t stub_server_connections(const struct stub_server *server);
/* Accept no more, and end every connection: breakpoints are taken out, the target goes back to the
 * run state in which the first client found it. Called in a task, returns when all are gone. */
void stub_server_stop(struct stub_server *server);
/* After stub_server_stop, or when nothing was ever accepted. NULL is fine. */
void stub_server_free(struct stub_server *server);

#endif
