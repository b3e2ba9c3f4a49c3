/* Hides how a loop is kept awake. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "base/busy_poll.h"

#include "base/clock.h"

#include <sched.h>

static unsigned processors(void)
{
    cpu_set_t set;
    /* More processors than the set has room for are more than one. */
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 2;
}

static void on_idle(struct ev_loop *loop, ev_idle *watcher, int events)
{
    struct busy_poll *poll = watcher->data;
    (void)events;
    if (clock_now() >= poll->until)
        ev_idle_stop(loop, watcher);
}

void busy_poll_init(struct busy_poll *poll, struct ev_loop *loop, unsigned span_us)
{
    *poll = (struct busy_poll){.loop = loop, .span = span_us * 1e-6};
    if (processors() < 2)
        poll->span = 0;
    ev_idle_init(&poll->awake, on_idle);
    poll->awake.data = poll;
}

void busy_poll_expect(struct busy_poll *poll)
{
    if (!poll || poll->span <= 0)
        return;
    poll->until = clock_now() + poll->span;
    ev_idle_start(poll->loop, &poll->awake);
}

void busy_poll_stop(struct busy_poll *poll)
{
    ev_idle_stop(poll->loop, &poll->awake);
}
