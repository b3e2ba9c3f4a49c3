/* What all GDB clients of one target share: who is attached, their breakpoints, the last stop, what
 * the upstream stub is. The rules between clients are kept here; see docs/gdb.md for them. */
#ifndef SB_STUB_FRONT_H
#define SB_STUB_FRONT_H

#include "base/task.h"
#include "space/machine.h"
#include "space/session.h"
#include "stub/breakpoints.h"
#include "stub/features.h"
#include "stub/layout.h"
#include "stub/stop.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

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
    struct client *clients;  /* all that are connected, utlist */
    size_t attached;         /* those that have attached to the target */
    breakpoint_holder last_number;

    struct breakpoints breakpoints;

    /* Run state. stops counts the stops that clients were told of, or could have been. */
    uint64_t runs, stops;
    char stop[STOP_REPLY_SIZE]; /* the last one, in the upstream's words */
    bool settling;              /* halted, but not settled yet: see front_settle */
    bool stepping_over;         /* a step that no client asked for: its stop is nobody's */
    bool resuming;              /* a resume of ours is on its way */
    bool interrupting;          /* a halt of ours is on its way */
    bool stepped;               /* the last resume of ours was a step: its stop is wanted */
    bool interrupted;           /* a client has asked for a halt since the last resume */
    bool ours_run, ours_halt;   /* the target runs, is halted, by a client of this front */
    bool found_running;         /* the state in which the first client found the target */
    bool lost;
    uint64_t losses;
    struct task_cond changed; /* settled, halted, lost */
    struct task_mutex run;    /* held by whoever decides about resuming */
    struct task_mutex points; /* held from the decision about a breakpoint until it is noted */
    struct task_mutex words;  /* held for requests that belong together (lists of threads) */
    size_t tasks;             /* of its own */

    unsigned step_bits;    /* how the stub steps (Qqemu.sstep) */
    unsigned step_default; /* and how it steps for everybody else */
    bool step_known;

    /* About the upstream, as long as it is the same one. */
    bool asked;
    struct buffer upstream; /* gdbserver's features, NUL-terminated */
    int64_t process;
    bool layout_tried;
    struct layout layout;
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

/* client becomes one that the target is held for. Halts the target as configured. */
void front_attach(struct front *front, struct client *client);
/* It is one no more: its breakpoints go, and when it was the last, the target goes back to the
 * state in which it was found; resume: it asked for the target to go on (D), which happens when it
 * was the last. */
void front_detach(struct front *front, struct client *client, bool resume);

/* --- run state --- */

/* Count the last stop as one that clients are told of, and wake them. */
void front_publish(struct front *front);
/* Wait until a halt is settled. In a task. */
void front_wait_settled(struct front *front);
/* The thread that the last stop is about, 1 where it does not say. */
int64_t front_stop_thread(const struct front *front);

/* --- breakpoints, in the target --- */

enum space_error front_insert(struct session *session, const struct breakpoint_key *key,
                              struct buffer *reply);
enum space_error front_remove(struct session *session, const struct breakpoint_key *key,
                              struct buffer *reply);

/* --- the upstream --- */

/* What the upstream offers; asks it once. In a task. */
void front_offer(struct front *front, struct session *session, struct stub_offer *offer);
/* The process id in the ids of clients that want one. */
int64_t front_process(struct front *front, struct session *session);
/* All threads. *ids is to be freed. */
enum space_error front_threads(struct front *front, struct session *session, int64_t **ids,
                               size_t *count);
/* Does that thread exist? On QEMU: is it a processor. */
bool front_has_thread(struct front *front, struct session *session, int64_t thread);
/* The processor whose memory a thread sees. */
uint32_t front_processor(const struct front *front, int64_t thread);
/* A whole document of the upstream's qXfer. */
bool front_document(struct front *front, struct session *session, const char *object,
                    const char *annex, struct buffer *document);
/* The registers, NULL: the target does not describe them. */
const struct layout *front_layout(struct front *front, struct session *session);
bool front_read_pc(struct front *front, struct session *session, int64_t thread, uint64_t *pc);
/* Step the way that bits say (Qqemu.sstep); in a task. */
enum space_error front_step_bits(struct front *front, struct session *session, unsigned bits);
/* The bits that the stub has by default, 0: it has none. */
unsigned front_step_default(struct front *front, struct session *session);

#endif
