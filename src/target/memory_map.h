/* The target's physical memory map, made from what QEMU's monitor prints. A pure data structure: no
 * input, no output. Source of the format: mtree_print_flatview in QEMU's memory.c (`info mtree -f`)
 * and hmp_info_pci (`info pci`), as QEMU 7.2 to 11.1 print them. */
#ifndef SB_TARGET_MEMORY_MAP_H
#define SB_TARGET_MEMORY_MAP_H

#include "target/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More ranges than this in one map, or more PCI BARs, are refused as nonsense. */
#define MEMORY_MAP_RANGES_MAX ((size_t)65536)

/* Zero-initialise: an empty map, all of it one hole, no buses. */
struct memory_map {
    struct target_region *regions; /* ascending, disjoint, none of them REGION_NONE */
    size_t count;
    uint8_t buses[256 / 8]; /* PCI buses by number, one bit each */
};

/* Make the map of the address space of that name ("memory" is what the processors' physical
 * accesses without any special attribute see) from the monitor's texts, NUL-terminated, lines ended
 * by LF or CR LF. pci may be NULL or empty: no BARs, no buses. On failure (no such address space,
 * text that is cut short or malformed, no memory) false, message (size bytes) says why, and the map
 * is as it was.
 *
 * `info pci` gives PCI bus addresses; they are taken for physical ones. That holds where the host
 * bridge maps its memory window one to one (seen on pc, q35, arm's virt and g3beige). A bridge of a
 * bus is known by the number that the guest's firmware gave it, so before that has run there is but
 * bus 0.
 */
bool memory_map_parse(struct memory_map *map, const char *mtree, const char *address_space,
                      const char *pci, char *message, size_t size);
/* The region that holds that address, or the hole (REGION_NONE, name "") with its whole extent. */
void memory_map_find(const struct memory_map *map, uint64_t physical, struct target_region *out);
/* Is there that PCI bus: one that a device is on, or the secondary bus of a bridge. */
bool memory_map_has_bus(const struct memory_map *map, unsigned bus);
/* Back to the empty map. */
void memory_map_free(struct memory_map *map);

#endif
