/* What all GDB clients of one target share: who is attached, their breakpoints, the last stop, what
 * the upstream stub is. The rules between clients are kept here; see docs/gdb.md for them. */
#ifndef SB_STUB_FRONT_H
#define SB_STUB_FRONT_H

#include "base/buffer.h"
#include "base/task.h"
#include "space/machine.h"
#include "space/session.h"
#include "stub/breakpoints.h"
#include "stub/front_run.h"
#include "stub/upstream_stub.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One that is connected, as the front sees it; part of whatever serves it. */
struct member {
    struct member *prev, *next;
    void *owner; /* whom it is part of */
    /* Something happened that it may have to be told. Must not suspend. */
    void (*wake)(void *owner);
    const char *name;         /* for the log: "stub#3" */
    breakpoint_holder number; /* given by front_join */
    bool attached;            /* the target is held for it */
    uint64_t losses_seen;     /* of the front, when it attached */
};

struct front_config {
    enum cache_policy policy; /* of a new client's view */
    bool attach_halt;         /* a client that attaches halts the target */
    bool allow_kill;          /* k and vKill end the target */
    double timeout;           /* seconds to wait for a target that was asked to halt */
};

struct front {
    struct ev_loop *loop; /* NULL: there are no tasks (tests) */
    struct space *space;
    struct front_config config;
    struct session *session; /* for what no client is there to do */
    struct member *members;  /* all that are connected, utlist */
    size_t attached;         /* those that have attached to the target */
    breakpoint_holder last_number;
    struct upstream_stub upstream;

    struct breakpoints breakpoints;

    struct front_run seen; /* what clients see of the run state */
    /* Counts the stops that clients were told of, or could have been. */
    uint64_t stops;
    struct buffer stop; /* the last one, front_stop */
    /* How the last client leaves the target: as the first one found it, unless it was lost since.
     */
    bool leave_running;
    uint64_t losses;
    struct task_cond changed; /* settled, halted, lost */
    struct task_mutex run;    /* held by whoever decides about resuming */
    struct task_mutex points; /* held from the decision about a breakpoint until it is noted */
    size_t tasks;             /* of its own */
};

/* False when out of memory. */
bool front_init(struct front *front, struct ev_loop *loop, struct space *space,
                const struct front_config *config);
/* No client may be left. In a task: waits for what is under way. */
void front_end(struct front *front);

enum space_state front_state(const struct front *front);
struct machine_info front_info(const struct front *front);
bool front_is_qemu(const struct front *front);

/* --- clients come and go --- */

/* Connect and disconnect. wake, owner and name are the caller's to set before. */
void front_join(struct front *front, struct member *member);
void front_leave(struct front *front, struct member *member);
/* member becomes one that the target is held for. Halts the target as configured. In a task. False:
 * it was one already. */
bool front_attach(struct front *front, struct member *member);
/* It is one no more: its breakpoints go, and when it was the last, the target goes back to the
 * state in which it was found; resume: it asked for the target to go on (D), which happens when it
 * was the last. False: it was none. */
bool front_detach(struct front *front, struct member *member, bool resume);

/* --- run state --- */

/* Count the last stop as one that clients are told of, and wake them. */
void front_publish(struct front *front);
/* Wait until a halt is settled. In a task. */
void front_wait_settled(struct front *front);
/* Take the last stop from the target, without telling anybody of it. */
void front_note_stop(struct front *front);
/* The stop reply of the last stop that was noted, in the upstream's words; "": not known. Valid
 * until the caller suspends. */
const char *front_stop(const struct front *front);
/* The thread that the last stop is about, 1 where it does not say. */
int64_t front_stop_thread(const struct front *front);

#endif
