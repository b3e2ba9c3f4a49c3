/* The PCI buses and memory BARs of the target, from the text of `info pci` or from what QMP's
 * `query-pci` answers. A pure data structure. */
#ifndef SB_UPSTREAM_MACHINE_PCI_BARS_H
#define SB_UPSTREAM_MACHINE_PCI_BARS_H

#include "upstream/link/text.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More BARs than this are not believed. */
#define PCI_BARS_MAX ((size_t)65536)

/* Addresses that a PCI memory BAR covers, or a piece of one. */
struct pci_bar {
    uint64_t first, last; /* inclusive */
    bool known;           /* it is a memory BAR; else it may be one */
    bool prefetchable;    /* of a known one */
    bool unknown;         /* something that may be a BAR covers it (also) */
};

/* Zero-initialise. */
struct pci_bars {
    struct pci_bar *items; /* ascending and disjoint once read */
    size_t count;
    bool doubtful;          /* there may be BARs that are not among them */
    uint8_t buses[256 / 8]; /* by number, one bit each */
};

/* Read the text (may be empty) into empty bars. A line that is not understood makes the range that
 * it names unknown; where it names a BAR and no range, or the text is cut short, bars are doubtful.
 * notes gets such lines. Known: what QEMU 7.2, 10.0 and 11.1 print (hmp_info_pci). False: out of
 * memory; pci_bars_free is due then too. */
bool pci_bars_parse(struct pci_bars *bars, const char *text, struct text_notes *notes);
/* The same from the answer to `query-pci` (a list of PciInfo, QEMU's qapi/pci.json). A region that
 * is mapped nowhere has the address -1 there. */
bool pci_bars_take(struct pci_bars *bars, const json_t *answer, struct text_notes *notes);
void pci_bars_free(struct pci_bars *bars);

#endif
