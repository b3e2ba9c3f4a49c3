/* The stub upstream as the front sees it: which threads it has, how it describes its registers, how
 * it steps, and how it is told of breakpoints. What was found out is kept as long as it is the same
 * stub. Each function that takes a session may suspend; it asks on behalf of that session. */
#ifndef SB_STUB_UPSTREAM_STUB_H
#define SB_STUB_UPSTREAM_STUB_H

#include "base/buffer.h"
#include "base/task.h"
#include "space/session.h"
#include "stub/breakpoints.h"
#include "stub/features.h"
#include "stub/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct upstream_stub {
    struct session *session; /* the front's own: for what is asked for all */
    uint64_t runs;           /* how often the target was resumed, or lost */
    bool asked;              /* process is known */
    int64_t process;
    bool layout_tried;
    struct layout layout;
    unsigned step_bits;    /* how the stub steps (Qqemu.sstep) */
    unsigned step_default; /* and how it steps for everybody else */
    bool step_known;
    struct task_mutex words; /* held for requests that belong together (lists of threads) */
};

void upstream_stub_init(struct upstream_stub *upstream, struct session *session);
/* It is lost: the next one may be another. Also what frees. */
void upstream_stub_forget(struct upstream_stub *upstream);
/* The target was resumed, or is lost. */
void upstream_stub_ran(struct upstream_stub *upstream);
uint64_t upstream_stub_runs(const struct upstream_stub *upstream);

/* What the upstream offers to a client. */
void upstream_stub_offer(struct upstream_stub *upstream, struct stub_offer *offer);
/* The process id in the ids of clients that want one. */
int64_t upstream_stub_process(struct upstream_stub *upstream, struct session *session);
/* All threads. *ids is to be freed. */
enum space_error upstream_stub_threads(struct upstream_stub *upstream, struct session *session,
                                       int64_t **ids, size_t *count);
/* Does that thread exist? On QEMU: is it a processor. */
bool upstream_stub_has_thread(struct upstream_stub *upstream, struct session *session,
                              int64_t thread);
/* The processor whose memory a thread sees. */
uint32_t upstream_stub_processor(const struct upstream_stub *upstream, int64_t thread);
/* A whole document of the upstream's qXfer. */
bool upstream_stub_document(struct upstream_stub *upstream, struct session *session,
                            const char *object, const char *annex, struct buffer *document);
/* The registers, NULL: the target does not describe them. Good until the caller suspends: with a
 * loss they go. */
const struct layout *upstream_stub_layout(struct upstream_stub *upstream, struct session *session);
bool upstream_stub_read_pc(struct upstream_stub *upstream, struct session *session, int64_t thread,
                           uint64_t *pc);

/* Step the way that bits say (Qqemu.sstep). */
enum space_error upstream_stub_step_bits(struct upstream_stub *upstream, struct session *session,
                                         unsigned bits);
/* The bits that the stub has by default, 0: it has none. Asks it once. */
unsigned upstream_stub_step_default(struct upstream_stub *upstream, struct session *session);
/* Was it asked? */
bool upstream_stub_step_known(const struct upstream_stub *upstream);
/* Does it step in another way than by default? */
bool upstream_stub_steps_oddly(const struct upstream_stub *upstream);

/* Z and z: SPACE_UNSUPPORTED: it does not know that type; SPACE_FAULT: it refuses, reply says how.
 */
enum space_error upstream_stub_insert_point(struct session *session,
                                            const struct breakpoint_key *key, struct buffer *reply);
enum space_error upstream_stub_remove_point(struct session *session,
                                            const struct breakpoint_key *key, struct buffer *reply);

#endif
