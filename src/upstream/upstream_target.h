/* The real target: a GDB stub, and for a QEMU its monitor. */
#ifndef SB_UPSTREAM_UPSTREAM_TARGET_H
#define SB_UPSTREAM_UPSTREAM_TARGET_H

#include "base/endpoint.h"
#include "upstream/found.h"
#include "upstream/target.h"
#include "upstream/ways/ways.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct busy_poll;

struct upstream_config {
    struct endpoint gdb;
    bool have_qmp;
    struct endpoint qmp;
    /* What the guest did before, where nothing tells: no QMP, and a QEMU that keeps the stop to
     * itself which our connect causes. FOUND_UNKNOWN: such an attach fails. */
    enum found found;
    bool attach_halt;            /* halt the target on attach; else it goes on as it was found */
    double timeout;              /* seconds of silence after which the target is lost */
    unsigned pipeline;           /* requests in flight; 0: 16 on QEMU, 1 elsewhere */
    struct ways_config ways;     /* beside the stub; all zero: none but what needs no asking */
    struct busy_poll *busy_poll; /* for the stub's replies; NULL: sleep */
    bool reattach;               /* after a loss, try every second until the target is back */
};

/* Nothing is connected yet: the target is lost. NULL when out of memory. */
struct target *upstream_new(struct ev_loop *loop, const struct upstream_config *config);
/* The first attach, in a task. On failure message (size bytes) says why, and nothing goes on. */
enum target_error upstream_attach(struct target *target, char *message, size_t size);
/* Have an attach that is under way, the first or one after a loss, fail soon; no other follows.
 * Before upstream_detach; never suspends. */
void upstream_call_off(struct target *target);
/* Leave for good, in a task: the target goes back to the run state that it was found in. */
void upstream_detach(struct target *target);
/* Nobody may be inside one of the target's functions. NULL is all right. */
void upstream_free(struct target *target);

#endif
