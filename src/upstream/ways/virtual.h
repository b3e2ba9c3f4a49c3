/* Virtual spans of a halted target by physical ways. In a task. */
#ifndef SB_UPSTREAM_WAYS_VIRTUAL_H
#define SB_UPSTREAM_WAYS_VIRTUAL_H

#include "upstream/ways/rows.h"

/* The spans are at virtual addresses of that processor, in bulk. False: left to the stub, nothing
 * was done: it is not worth it, not all of them lie in memory that all processors see alike, or a
 * resume is about to be sent. */
bool virtual_spans(const struct way_rows *rows, unsigned cpu, const struct way_transfer *transfer);

#endif
