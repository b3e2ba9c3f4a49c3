/* Spans of a transfer: which lie together, and what became of them. Pure. */
#ifndef SB_UPSTREAM_WAYS_SPANS_H
#define SB_UPSTREAM_WAYS_SPANS_H

#include "upstream/types.h"

#include <stddef.h>

/* None of them is done yet: done 0, error TARGET_CANCELLED. */
void spans_begin(struct target_span *spans, size_t count);
/* These are done. */
void spans_settle(struct target_span *spans, size_t count);
/* How many spans from here lie behind each other, at the target and here, and are all done, or all
 * not; *length: bytes of all of them. count is not 0. */
size_t spans_together(const struct target_span *spans, size_t count, size_t *length);
/* The first that is not TARGET_OK. */
enum target_error spans_first_error(const struct target_span *spans, size_t count);

#endif
