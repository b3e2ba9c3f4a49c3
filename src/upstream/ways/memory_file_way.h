/* Bulk reads through a file in memory that QEMU's monitor writes. */
#ifndef SB_UPSTREAM_WAYS_MEMORY_FILE_WAY_H
#define SB_UPSTREAM_WAYS_MEMORY_FILE_WAY_H

#include "upstream/ways/way.h"

extern const struct way_ops memory_file_way;

#endif
