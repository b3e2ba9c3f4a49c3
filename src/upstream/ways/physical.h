/* Physical spans: by whichever way is best, or, where the map does not tell for sure what lies
 * there, by the last resort alone. In a task. */
#ifndef SB_UPSTREAM_WAYS_PHYSICAL_H
#define SB_UPSTREAM_WAYS_PHYSICAL_H

#include "upstream/ways/rows.h"

/* Sets done and error of every span. Returns the first error that is not TARGET_OK, or why nothing
 * was done. */
enum target_error physical_spans(const struct way_rows *rows, const struct way_transfer *transfer);

#endif
