/* The target's GDB stub, which everything can take. */
#ifndef SB_UPSTREAM_WAYS_STUB_WAY_H
#define SB_UPSTREAM_WAYS_STUB_WAY_H

#include "upstream/ways/way.h"

extern const struct way_ops stub_way;

#endif
