/* RAM in QEMU's own memory, and what has to be done about the code that QEMU has translated
 * from it when it is written. */
#ifndef SB_UPSTREAM_WAYS_DIRECT_RAM_WAY_H
#define SB_UPSTREAM_WAYS_DIRECT_RAM_WAY_H

#include "upstream/ways/way.h"

extern const struct way_ops direct_ram_way;

#endif
