/* Stay awake for a little while: a loop that expects something within microseconds asks its sockets
 * again and again instead of going to sleep, for to fall asleep and to be woken takes longer than
 * what it waits for. All watchers of the loop are served meanwhile. */
#ifndef SB_BASE_BUSY_POLL_H
#define SB_BASE_BUSY_POLL_H

#include <ev.h>

/* Microseconds: the default, and the most that one may ask for. */
#define BUSY_POLL_DEFAULT 100u
#define BUSY_POLL_MOST    10000u

struct busy_poll {
    struct ev_loop *loop;
    ev_tstamp span; /* seconds */
    double until;   /* by clock_now() */
    ev_idle awake;
};

/* span_us: microseconds to stay awake after each busy_poll_expect, at most BUSY_POLL_MOST; 0: not
 * at all. On a machine with one processor it is 0 too, for whoever is to answer needs that one. */
void busy_poll_init(struct busy_poll *poll, struct ev_loop *loop, unsigned span_us);
/* Something is expected from now on. poll may be NULL. */
void busy_poll_expect(struct busy_poll *poll);
/* Sleep again; before the loop goes. */
void busy_poll_stop(struct busy_poll *poll);

#endif
