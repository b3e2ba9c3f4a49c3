/* The ranges of one address space, as the monitor's `info mtree -f` lists them. A pure reader: no
 * input, no output. Source of the format: mtree_print_flatview in QEMU's memory.c, as QEMU 7.2 to
 * 11.1 print it:
 *
 *   FlatView #3
 *    AS "memory", root: system
 *    AS "cpu-memory-0", root: system
 *    Root memory region: system
 *     START-END (prio N, TYPE): NAME[ @OFFSET][ owner:…][ KVM]        END inclusive
 *   (an empty line)
 */
#ifndef SB_UPSTREAM_MACHINE_FLAT_VIEW_H
#define SB_UPSTREAM_MACHINE_FLAT_VIEW_H

#include "upstream/link/text.h"
#include "upstream/types.h"

/* More ranges than this in one view are not believed. */
#define FLAT_VIEW_RANGES_MAX ((size_t)65536)

/* Zero-initialise. */
struct flat_view {
    struct target_region *ranges; /* ascending and disjoint, REGION_NONE among them */
    size_t count;
    bool distrusted; /* there is more than the ranges tell: none of them is to be believed */
};

/* Read the view of the address space of that name from the text (NUL-terminated, lines ended by LF
 * or CR LF) into an empty view. A line that is not understood makes the range that it names
 * unknown, and so do lines that name the same addresses. Where no range can be told, where the
 * text is cut short or the address space is not there once, and once only, the view is distrusted.
 * notes (may be NULL) gets what was not understood. False: out of memory; flat_view_free is due
 * then too. */
bool flat_view_parse(struct flat_view *view, const char *text, const char *address_space,
                     struct text_notes *notes);
void flat_view_free(struct flat_view *view);

#endif
