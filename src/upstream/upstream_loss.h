/* Loss of the target, and the end: what is dirty is saved, everybody is told, and the target is
 * attached to again, or left for good. */
#ifndef SB_UPSTREAM_UPSTREAM_LOSS_H
#define SB_UPSTREAM_UPSTREAM_LOSS_H

#include "base/task.h"

#include <ev.h>
#include <stdbool.h>

struct upstream_connection;

/* Zero-initialise, and set loop and attach. */
struct upstream_loss {
    struct ev_loop *loop;
    struct upstream_connection *attach;
    bool reattaching; /* a task tries to attach again */
    bool saving;      /* a task writes what is dirty, for the monitor is gone */
    char qmp_reason[256];
    struct task_cond wakeup; /* it was called off, or one of these tasks has ended */
};

/* The connection to the stub, or to the monitor, has ended; must not suspend. */
void upstream_loss_of_stub(struct upstream_loss *loss, const char *reason);
void upstream_loss_of_monitor(struct upstream_loss *loss, const char *reason);
/* Have attaches fail from now on. Never suspends. */
void upstream_loss_call_off(struct upstream_loss *loss);
/* Leave for good, in a task: when it returns no task is left. */
void upstream_loss_detach(struct upstream_loss *loss);

#endif
