/* The target's physical memory map, made from what QEMU's monitor tells. A pure data structure: no
 * input, no output. */
#ifndef SB_UPSTREAM_MACHINE_MEMORY_MAP_H
#define SB_UPSTREAM_MACHINE_MEMORY_MAP_H

#include "upstream/machine/flat_view.h"
#include "upstream/machine/pci_bars.h"
#include "upstream/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise: an empty map, all of it one hole, no buses. */
struct memory_map {
    /* ascending, disjoint; REGION_NONE where a line says that nobody answers */
    struct target_region *regions;
    size_t count;
    bool distrusted;        /* no range is believed: all is one unknown region, but for the BARs */
    bool doubtful_bars;     /* any RAM may lie in a BAR */
    uint8_t buses[256 / 8]; /* PCI buses by number, one bit each */
};

/* Make the map of the address space of that name ("memory" is what the processors' physical
 * accesses without any special attribute see) from the text of `info mtree -f`. bars may be NULL:
 * no BARs, no buses. Whatever the text is, there is a map: what is not understood is unknown in it
 * (see flat_view.h), and notes (may be NULL) says why. False: out of memory, and the map is as it
 * was.
 *
 * BARs are at PCI bus addresses; they are taken for physical ones. That holds where the host bridge
 * maps its memory window one to one (seen on pc, q35, arm's virt and g3beige). A bridge of a bus is
 * known by the number that the guest's firmware gave it, so before that has run there is but bus 0.
 */
bool memory_map_parse(struct memory_map *map, const char *mtree, const char *address_space,
                      const struct pci_bars *bars, struct text_notes *notes);
/* The region that holds that address, or the hole (REGION_NONE, name "") with its whole extent. */
void memory_map_find(const struct memory_map *map, uint64_t physical, struct target_region *out);
/* Does a line of the map say that nobody answers there (of a hole between lines none does)? */
bool memory_map_says_none(const struct memory_map *map, uint64_t physical);
/* Does any of these length bytes lie in an unknown region, or in a hole between lines? */
bool memory_map_unknown(const struct memory_map *map, uint64_t physical, uint64_t length);
/* What was said of that region is not so: it is unknown from now on. */
void memory_map_doubt(struct memory_map *map, size_t index);
/* Is there that PCI bus: one that a device is on, or the secondary bus of a bridge. */
bool memory_map_has_bus(const struct memory_map *map, unsigned bus);
/* Back to the empty map. */
void memory_map_free(struct memory_map *map);

#endif
