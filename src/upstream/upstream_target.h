/* The real target: a GDB stub, and for a QEMU its monitor. */
#ifndef SB_UPSTREAM_UPSTREAM_TARGET_H
#define SB_UPSTREAM_UPSTREAM_TARGET_H

#include "upstream/target.h"
#include "upstream/upstream_config.h"

#include <ev.h>
#include <stddef.h>

/* Nothing is connected yet: the target is lost. NULL when out of memory. */
struct target *upstream_new(struct ev_loop *loop, const struct upstream_config *config);
/* The first attach, in a task. On failure `failure` (not NULL) says why, and nothing goes on. */
enum target_error upstream_attach(struct target *target, struct failure *failure);
/* Have an attach that is under way, the first or one after a loss, fail soon; no other follows.
 * Before upstream_detach; never suspends. */
void upstream_call_off(struct target *target);
/* Leave for good, in a task: the target goes back to the run state that it was found in. */
void upstream_detach(struct target *target);
/* Nobody may be inside one of the target's functions. NULL is all right. */
void upstream_free(struct target *target);

#endif
