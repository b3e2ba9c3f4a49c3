/* The PCI buses and memory BARs of the target, from the text of `info pci`. A pure data structure.
 */
#ifndef SB_TARGET_PCI_BARS_H
#define SB_TARGET_PCI_BARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More BARs than this are refused as nonsense. */
#define PCI_BARS_MAX ((size_t)65536)

/* A PCI memory BAR, or a piece of one. */
struct pci_bar {
    uint64_t first, last; /* inclusive */
    bool prefetchable;
};

/* Zero-initialise. */
struct pci_bars {
    struct pci_bar *items; /* ascending and disjoint after pci_bars_parse */
    size_t count;
    uint8_t buses[256 / 8]; /* by number, one bit each */
};

/* Read the text (may be empty) into empty bars. False with message where a BAR line is malformed,
 * the text is cut short, there are too many BARs, or memory is out; pci_bars_free is due then too.
 */
bool pci_bars_parse(struct pci_bars *bars, const char *text, char *message, size_t size);
void pci_bars_free(struct pci_bars *bars);

#endif
