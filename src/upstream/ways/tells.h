/* Does this QEMU tell when a device refuses an access? Its stub answers OK to what was refused, or
 * an error, by version and by the space that the address is of; qtest never tells. It is found out
 * by accesses to holes of the memory map, where nothing can be hit: who is told of those is told of
 * refused widths, for to QEMU a hole is a device that refuses every width (unassigned_mem_ops,
 * memory_region_access_valid). */
#ifndef SB_UPSTREAM_WAYS_TELLS_H
#define SB_UPSTREAM_WAYS_TELLS_H

#include "upstream/types.h"
#include "upstream/ways/way.h"

enum told { TELLS_UNKNOWN, TELLS_YES, TELLS_NO };

/* What was found out since the target was attached to. Zero-initialise. */
struct tells {
    enum told physical;
    enum told virtual_read, virtual_write;
    unsigned searches; /* for a virtual address of a hole, that found none */
};

enum tells_by {
    TELLS_BY_NONE,
    TELLS_BY_PHYSICAL, /* the stub tells of accesses by physical addresses */
    TELLS_BY_VIRTUAL,  /* the stub tells of those by virtual ones, which reach the same space */
};

/* How the stub of a halted target is to be asked for accesses of the device at that physical
 * address, which is seen at that virtual one (NULL: nowhere known), so that it tells. In a task.
 * With TELLS_BY_VIRTUAL *narrow is seen as the processor's addresses are wide. */
enum tells_by tells_find(struct tells *tells, const struct way_context *context,
                         target_client client, const struct target_seen *seen, uint64_t physical,
                         bool write, struct target_seen *narrow);

#endif
