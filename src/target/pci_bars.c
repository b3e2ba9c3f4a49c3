#include "target/pci_bars.h"

#include "target/text.h"

#include <stdlib.h>

/* Where a BAR begins (step 1) or has ended (step -1). */
struct edge {
    uint64_t address;
    int step;
    int plain_step; /* step, where the BAR is not prefetchable */
};

static void bus_add(struct pci_bars *bars, unsigned bus)
{
    if (bus < 256)
        bars->buses[bus / 8] |= (uint8_t)(1u << bus % 8);
}

/* "BAR0: 32 bit prefetchable memory at 0xfc000000 [0xfcffffff]." with BAR taken; QEMU 10.0 and
 * later put no dot there, and say "(not mapped)". True, and no BAR, for port BARs and for those
 * that the guest has mapped nowhere. */
static bool bar_parse(struct text line, struct pci_bar *bar, bool *present)
{
    unsigned number;
    *present = false;
    if (!text_decimal(&line, &number) || !text_word(&line, ": "))
        return false;
    if (text_word(&line, "I/O "))
        return true;
    if (!text_decimal(&line, &number) || !text_word(&line, " bit "))
        return false;
    bar->prefetchable = text_word(&line, "prefetchable ");
    if (text_word(&line, "memory (not mapped)"))
        return true;
    if (!text_word(&line, "memory at 0x") || !text_hex(&line, 0, &bar->first) ||
        !text_word(&line, " [0x") || !text_hex(&line, 0, &bar->last) || !text_word(&line, "]"))
        return false;
    if (bar->first == UINT64_MAX)
        return true; /* its end has wrapped round and says nothing */
    *present = true;
    return bar->first <= bar->last;
}

static bool bar_add(struct pci_bars *bars, const struct pci_bar *bar)
{
    if ((bars->count & (bars->count - 1)) == 0) { /* capacities are powers of two */
        size_t capacity = bars->count ? 2 * bars->count : 1;
        struct pci_bar *items = realloc(bars->items, capacity * sizeof *items);
        if (!items)
            return false;
        bars->items = items;
    }
    bars->items[bars->count++] = *bar;
    return true;
}

/* BARs and buses. Lines of no interest are many and differ between versions: they are skipped. */
static bool lines_parse(struct pci_bars *bars, const char *text, char *message, size_t size)
{
    struct text line;
    char shown[TEXT_EXCERPT_SIZE];
    int more;
    while ((more = text_line(&text, &line)) > 0) {
        struct text rest = line;
        unsigned bus;
        text_spaces(&rest);
        if (text_word(&rest, "Bus ")) {
            text_spaces(&rest);
            if (text_decimal(&rest, &bus) && text_word(&rest, ", device"))
                bus_add(bars, bus);
        } else if (text_word(&rest, "secondary bus ")) {
            if (text_decimal(&rest, &bus))
                bus_add(bars, bus);
        } else if (text_word(&rest, "BAR")) {
            struct pci_bar bar;
            bool present;
            if (!bar_parse(rest, &bar, &present))
                return text_fail(message, size, "PCI devices: cannot read the line '%s'",
                                 text_excerpt(line.start, line.length, shown));
            if (!present)
                continue;
            if (bars->count >= PCI_BARS_MAX)
                return text_fail(message, size, "PCI devices: more than %zu BARs", PCI_BARS_MAX);
            if (!bar_add(bars, &bar))
                return text_fail(message, size, "PCI devices: out of memory");
        }
    }
    return more == 0 || text_fail(message, size, "PCI devices: the text is cut short");
}

static int edge_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct edge *)left)->address, b = ((const struct edge *)right)->address;
    return (a > b) - (a < b);
}

/* Make the BARs ascending and disjoint: a guest may well program them over one another. Where they
 * overlap, what any of them does not promise is not promised. */
static bool bars_flatten(struct pci_bars *bars)
{
    size_t count = 0, edges = 0;
    if (bars->count == 0)
        return true;
    struct edge *edge = calloc(bars->count, 2 * sizeof *edge);
    struct pci_bar *flat = calloc(bars->count, 2 * sizeof *flat);
    if (!edge || !flat) {
        free(edge);
        free(flat);
        return false;
    }
    for (size_t i = 0; i < bars->count; i++) {
        const struct pci_bar *bar = &bars->items[i];
        int plain = bar->prefetchable ? 0 : 1;
        edge[edges++] = (struct edge){bar->first, 1, plain};
        if (bar->last < UINT64_MAX)
            edge[edges++] = (struct edge){bar->last + 1, -1, -plain};
    }
    qsort(edge, edges, sizeof *edge, edge_compare);
    long depth = 0, plain = 0;
    for (size_t i = 0; i < edges; i++) {
        depth += edge[i].step;
        plain += edge[i].plain_step;
        bool ends = i + 1 == edges || edge[i + 1].address != edge[i].address;
        if (depth > 0 && ends)
            flat[count++] = (struct pci_bar){
                edge[i].address, i + 1 == edges ? UINT64_MAX : edge[i + 1].address - 1, plain == 0};
    }
    free(edge);
    free(bars->items);
    bars->items = flat;
    bars->count = count;
    return true;
}

bool pci_bars_parse(struct pci_bars *bars, const char *text, char *message, size_t size)
{
    if (!lines_parse(bars, text, message, size))
        return false;
    return bars_flatten(bars) || text_fail(message, size, "PCI devices: out of memory");
}

void pci_bars_free(struct pci_bars *bars)
{
    free(bars->items);
    *bars = (struct pci_bars){0};
}
