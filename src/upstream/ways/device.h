/* Accesses of devices, by a way that tells whether the device took them where there is one. In a
 * task. */
#ifndef SB_UPSTREAM_WAYS_DEVICE_H
#define SB_UPSTREAM_WAYS_DEVICE_H

#include "upstream/ways/rows.h"
#include "upstream/ways/tells.h"

/* As target_memory.access_device; the spans are single accesses (TARGET_ACCESS_NATURAL). */
enum target_error device_spans(const struct way_rows *rows, struct tells *tells,
                               const struct target_seen *seen, const struct way_transfer *transfer,
                               const char **doubt);

#endif
