/* What every call to the upstream target needs: the target's parts, and how it stands. The files
 * beside this one implement the calls, a concern each; upstream_target.c puts them together. */
#ifndef SB_UPSTREAM_UPSTREAM_H
#define SB_UPSTREAM_UPSTREAM_H

#include "upstream/machine/stub.h"
#include "upstream/run_state.h"
#include "upstream/target.h"

#include <stdbool.h>

struct qmp;
struct run_control;
struct translate;
struct upstream_kind;
struct ways;

struct upstream {
    struct target target; /* first: the table of functions is found through it */
    struct target_listener listener;
    struct target_info info;
    struct stub stub;
    struct qmp *qmp; /* NULL: not configured */
    struct translate *translate;
    struct ways *ways;
    struct run_control *run;
    struct run_state state;
    double timeout; /* seconds of silence after which the target is lost */
    /* what is behind the stub; of the last attach, and while it is lost too. Set by upstream_attach
     */
    const struct upstream_kind *kind;
};

static inline struct upstream *upstream_of(struct target *target)
{
    return (struct upstream *)target;
}

/* What every call needs first: TARGET_GONE while it is not attached. */
enum target_error upstream_ready(const struct upstream *upstream);
/* Nothing that is known of memory is true any more. */
void upstream_memory_changed(struct upstream *upstream);

#endif
