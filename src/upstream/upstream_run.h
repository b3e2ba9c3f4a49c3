/* The calls of a target that resume and halt it. */
#ifndef SB_UPSTREAM_UPSTREAM_RUN_H
#define SB_UPSTREAM_UPSTREAM_RUN_H

#include "upstream/target.h"

struct failure;
struct upstream;

/* Have everything written that must be in the target when it resumes. On TARGET_OK nothing is left,
 * and the caller must not suspend before it resumes. */
enum target_error upstream_flush_for_resume(struct upstream *upstream, target_client client,
                                            struct failure *failure);

extern const struct target_run upstream_run;

#endif
