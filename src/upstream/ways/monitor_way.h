/* Ports by QEMU's monitor, one command each. */
#ifndef SB_UPSTREAM_WAYS_MONITOR_WAY_H
#define SB_UPSTREAM_WAYS_MONITOR_WAY_H

#include "upstream/ways/way.h"

extern const struct way_ops monitor_way;

#endif
