/* A connected peer of a front: its socket's watchers, back-pressure, what is still to be written to
 * it, turns, and the last words at the close. What the bytes mean is its owner's. What a slow,
 * silent, greedy or vanished peer does is felt by that peer alone. */
#ifndef SB_BASE_PEER_H
#define SB_BASE_PEER_H

#include "base/buffer.h"
#include "base/task.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* Output that may wait to be written before the next request has to wait, in bytes. */
#define PEER_OUTPUT_MOST ((size_t)1024 * 1024)
/* Bytes of requests and answers at a stretch: then the others of the daemon have their turn. */
#define PEER_TURN_BYTES ((size_t)1024 * 1024)

struct busy_poll;

/* Whose peer it is. None of these suspends. */
struct peer_owner {
    void *context;
    /* Something can be read, or the peer has closed: read once. */
    void (*readable)(void *context);
    /* So much waits that nothing more is to be read for now. */
    bool (*full)(const void *context);
    /* Called each second while nothing is read: is the peer still there? */
    void (*look)(void *context);
    /* Writing has failed, or peer_fail says so; the owner calls peer_gone. */
    void (*lost)(void *context, const char *reason);
    /* Written as much as the peer takes now. May be NULL. */
    void (*written)(void *context);
};

/* The flags are the owner's to read; it sets input_ended and refused, and calls peer_watch then. */
struct peer {
    struct ev_loop *loop;
    int fd;
    struct peer_owner owner;
    struct busy_poll *busy_poll;
    ev_io reader, writer;
    ev_timer look_timer;      /* while not reading */
    struct task_cond changed; /* whatever the owner's task may be waiting for */
    struct buffer output;     /* what waits to be written; the owner appends */
    bool input_ended;         /* the peer has closed its sending side */
    bool gone;                /* nothing can be read or written any more */
    bool stopping;            /* asked to end */
    bool refused;             /* it is turned out for what it sent */
    size_t requests, bytes;   /* carried out since the others last had their turn */
};

/* fd must not block and stays the caller's until peer_end. busy_poll: after an answer the next
 * request may be near; NULL: sleep. The peer must not be moved. */
void peer_init(struct peer *peer, struct ev_loop *loop, int fd, struct busy_poll *busy_poll,
               const struct peer_owner *owner);
/* Close the socket of a peer that is gone, and free the output. */
void peer_end(struct peer *peer);

/* What it sends is read no more, for good. */
bool peer_input_done(const struct peer *peer);
/* Start or stop the watchers as the state asks for. */
void peer_watch(struct peer *peer);
/* The same, and wake the owner's task. */
void peer_changed(struct peer *peer);
/* It is there no more, or nobody listens to it any more. */
void peer_gone(struct peer *peer);
/* It cannot be served any more: have its owner told. */
void peer_fail(struct peer *peer, const char *reason);
/* Ask it to end. False: it does so already. */
bool peer_stop(struct peer *peer);
/* Has the peer closed both ways, or is its connection broken? One that has only shut its sending
 * side still wants its answers; half: it counts, too. */
bool peer_hung_up(const struct peer *peer, bool half);

/* Append to the output, if the peer is there. Out of memory it is lost. */
void peer_put(struct peer *peer, const void *bytes, size_t length);
/* Write what the peer takes now; the loop writes the rest. */
void peer_write(struct peer *peer);
/* The loop writes, when the task suspends. */
void peer_write_later(struct peer *peer);

/* --- in the owner's task --- */

/* So many requests were carried out, of so many bytes with their answers. */
void peer_served(struct peer *peer, size_t requests, size_t bytes);
/* Let the others of the daemon have their turn if this one has had its own: most requests, or
 * PEER_TURN_BYTES. */
void peer_take_turns(struct peer *peer, size_t most);
/* Wait until something changes. */
void peer_wait(struct peer *peer);
/* Let the peer have what is left to say. A half-closed one may take its time, one that is turned
 * out or stopped has two seconds. waste: what it still sends is then thrown away, for closing with
 * unread input would reset the connection under the last words. */
void peer_linger(struct peer *peer, bool waste);

#endif
