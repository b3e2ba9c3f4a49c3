/* Peers come in here: listening sockets on a libev loop, for every front alike. */
#ifndef SB_BASE_ACCEPTOR_H
#define SB_BASE_ACCEPTOR_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct acceptor_listening;

/* A peer on the socket called endpoint_text (it lives as long as the acceptor listens). fd does not
 * block and is the callee's to close; TCP asks now and then whether the peer's machine is still
 * there. Must not suspend. */
typedef void acceptor_fn(void *context, int fd, const char *endpoint_text);

struct acceptor {
    struct ev_loop *loop;
    const char *room; /* for the log */
    acceptor_fn *peer;
    void *context;
    struct acceptor_listening *listening;
};

/* room must live as long as the acceptor. */
void acceptor_init(struct acceptor *acceptor, struct ev_loop *loop, const char *room,
                   acceptor_fn *peer, void *context);
/* Take peers from a listening socket that does not block; it stays the caller's to close, after
 * acceptor_stop. False when out of memory. */
bool acceptor_listen(struct acceptor *acceptor, int listener_fd, const char *endpoint_text);
/* Take no more. */
void acceptor_stop(struct acceptor *acceptor);

#endif
