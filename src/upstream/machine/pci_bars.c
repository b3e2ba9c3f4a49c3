/* How BARs are put together from what the monitor says of them: this hides the text of `info pci`,
 * the objects of `query-pci`, and that a guest may program BARs over one another. */
#include "upstream/machine/pci_bars.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bridges behind bridges: there are no more buses than this. */
#define BRIDGES_MOST 256

/* Where a BAR begins (step 1) or has ended (step -1). */
struct edge {
    uint64_t address;
    int known, plain, unknown; /* the step, or 0 where the BAR is not so */
};

static void bus_add(struct pci_bars *bars, uint64_t bus)
{
    if (bus < 256)
        bars->buses[bus / 8] |= (uint8_t)(1u << bus % 8);
}

/* False: out of memory. */
static bool bar_add(struct pci_bars *bars, const struct pci_bar *bar)
{
    if (bars->count >= PCI_BARS_MAX) {
        bars->doubtful = true;
        return true;
    }
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

static int edge_compare(const void *left, const void *right)
{
    uint64_t a = ((const struct edge *)left)->address, b = ((const struct edge *)right)->address;
    return (a > b) - (a < b);
}

static struct edge edge_at(const struct pci_bar *bar, uint64_t address, int step)
{
    return (struct edge){.address = address,
                         .known = bar->known ? step : 0,
                         .plain = bar->known && !bar->prefetchable ? step : 0,
                         .unknown = bar->unknown ? step : 0};
}

static size_t flatten(struct edge *edge, size_t edges, struct pci_bar *flat)
{
    long known = 0, plain = 0, unknown = 0;
    size_t count = 0;
    qsort(edge, edges, sizeof *edge, edge_compare);
    for (size_t i = 0; i < edges; i++) {
        known += edge[i].known;
        plain += edge[i].plain;
        unknown += edge[i].unknown;
        bool last = i + 1 == edges;
        if (known + unknown > 0 && (last || edge[i + 1].address != edge[i].address))
            flat[count++] =
                (struct pci_bar){.first = edge[i].address,
                                 .last = last ? UINT64_MAX : edge[i + 1].address - 1,
                                 .known = known > 0,
                                 .prefetchable = known > 0 && plain == 0 && unknown == 0,
                                 .unknown = unknown > 0};
    }
    return count;
}

/* Make the BARs ascending and disjoint: a guest may well program them over one another. Where they
 * overlap, what any of them does not promise is not promised. */
static bool bars_flatten(struct pci_bars *bars)
{
    size_t edges = 0;
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
        edge[edges++] = edge_at(bar, bar->first, 1);
        if (bar->last < UINT64_MAX)
            edge[edges++] = edge_at(bar, bar->last + 1, -1);
    }
    bars->count = flatten(edge, edges, flat);
    free(edge);
    free(bars->items);
    bars->items = flat;
    return true;
}

/* The text */

/* "BAR0: 32 bit prefetchable memory at 0xfc000000 [0xfcffffff]", with more behind it before QEMU
 * 10.0 (a dot), or "(not mapped)" since; before, an unmapped one lies at the very end. */
static bool bar_parse(struct text line, struct pci_bar *bar, bool *present)
{
    unsigned number;
    *present = false;
    if (!text_word(&line, "BAR") || !text_decimal(&line, &number) || !text_word(&line, ": "))
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
    *present = bar->known = true;
    return bar->first <= bar->last;
}

/* The buses that a line names, and the lines that name neither these nor BARs. */
static bool other_line(struct pci_bars *bars, struct text line)
{
    static const char *const passed[] = {
        "IRQ ",       "BUS ",           "subordinate bus ",
        "IO range [", "memory range [", "prefetchable memory range [",
        "id \"",      "PCI subsystem "};
    unsigned bus;
    if (text_word(&line, "Bus ")) {
        text_spaces(&line);
        if (text_decimal(&line, &bus) && text_word(&line, ", device"))
            bus_add(bars, bus);
        return true;
    }
    if (text_word(&line, "secondary bus ")) {
        if (text_decimal(&line, &bus))
            bus_add(bars, bus);
        return true;
    }
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
        if (text_word(&line, passed[i]))
            return true;
    return line.length == 0;
}

/* Does the line name one range: two numbers with 0x, in order, the first before a blank or a comma,
 * the second before a bracket or the end? What else stands behind a number may have been part of
 * it. */
static bool range_named(struct text line, uint64_t *first, uint64_t *last)
{
    uint64_t number[2];
    unsigned found = 0;
    while (line.length > 0) {
        if (!text_word(&line, "0x")) {
            line.start++;
            line.length--;
            continue;
        }
        if (found == 2 || !text_hex(&line, 0, &number[found++]))
            return false;
        char behind = line.length > 0 ? line.start[0] : ']';
        if (found == 1 ? behind != ' ' && behind != ',' : behind != ']')
            return false;
    }
    if (found != 2)
        return false;
    *first = number[0];
    *last = number[1];
    return *first <= *last;
}

static bool says(const struct text *line, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= line->length; i++)
        if (memcmp(line->start + i, word, length) == 0)
            return true;
    return false;
}

/* A line of no known form: what it names may be a BAR. */
static bool unknown_line(struct pci_bars *bars, struct text line, struct text_notes *notes)
{
    char shown[TEXT_EXCERPT_SIZE];
    struct pci_bar bar = {.unknown = true};
    text_excerpt(line.start, line.length, shown);
    if (range_named(line, &bar.first, &bar.last)) {
        text_note(notes, "PCI devices: the line '%s' is not understood, its range is unknown",
                  shown);
        return bar_add(bars, &bar);
    }
    if (says(&line, ": PCI device ") ||
        (!says(&line, "0x") && !says(&line, "BAR") && !says(&line, "memory")))
        return true; /* a device's name, or a line of another version */
    text_note(notes, "PCI devices: the line '%s' is not understood, any range may be a BAR", shown);
    bars->doubtful = true;
    return true;
}

static bool line_parse(struct pci_bars *bars, struct text line, struct text_notes *notes)
{
    struct pci_bar bar = {0};
    bool present;
    if (bar_parse(line, &bar, &present))
        return !present || bar_add(bars, &bar);
    return other_line(bars, line) || unknown_line(bars, line, notes);
}

bool pci_bars_parse(struct pci_bars *bars, const char *text, struct text_notes *notes)
{
    struct text line;
    bool ended = *text == '\0';
    int more;
    while ((more = text_line(&text, &line)) > 0) {
        text_spaces(&line);
        struct text rest = line;
        ended = text_word(&rest, "id \""); /* a device's last line */
        if (!line_parse(bars, line, notes))
            return false;
    }
    if (more < 0 || !ended) {
        text_note(notes, "PCI devices: the text is cut short, any range may be a BAR");
        bars->doubtful = true;
    }
    return bars_flatten(bars);
}

/* The objects */

static void doubt(struct pci_bars *bars, struct text_notes *notes, const char *what)
{
    text_note(notes, "PCI devices: %s, any range may be a BAR", what);
    bars->doubtful = true;
}

static bool region_take(struct pci_bars *bars, const json_t *region, struct text_notes *notes)
{
    const json_t *address = json_object_get(region, "address");
    const json_t *size = json_object_get(region, "size");
    const char *type = json_string_value(json_object_get(region, "type"));
    struct pci_bar bar = {.known = type && strcmp(type, "memory") == 0,
                          .prefetchable = json_is_true(json_object_get(region, "prefetch"))};
    if (type && strcmp(type, "io") == 0)
        return true;
    bar.first = (uint64_t)json_integer_value(address);
    if (json_is_integer(address) && bar.first == UINT64_MAX)
        return true; /* mapped nowhere */
    if (!json_is_integer(address) || !json_is_integer(size) || json_integer_value(size) <= 0 ||
        bytes_clip(bar.first, (uint64_t)json_integer_value(size)) !=
            (uint64_t)json_integer_value(size)) {
        doubt(bars, notes, "query-pci gives a region without a range");
        return true;
    }
    bar.last = bar.first + (uint64_t)json_integer_value(size) - 1;
    bar.unknown = !bar.known;
    if (bar.unknown)
        text_note(notes, "PCI devices: query-pci gives the region 0x%" PRIx64 " a type not known",
                  bar.first);
    return bar_add(bars, &bar);
}

static void bus_take(struct pci_bars *bars, const json_t *number)
{
    if (json_is_integer(number) && json_integer_value(number) >= 0)
        bus_add(bars, (uint64_t)json_integer_value(number));
}

static bool devices_take(struct pci_bars *bars, const json_t *devices, unsigned depth,
                         struct text_notes *notes);

static bool device_take(struct pci_bars *bars, const json_t *device, unsigned depth,
                        struct text_notes *notes)
{
    const json_t *regions = json_object_get(device, "regions");
    const json_t *bridge = json_object_get(device, "pci_bridge");
    const json_t *region;
    size_t index;
    bus_take(bars, json_object_get(device, "bus"));
    if (!json_is_array(regions))
        doubt(bars, notes, "query-pci gives a device without regions");
    json_array_foreach(regions, index, region) if (!region_take(bars, region, notes)) return false;
    if (!bridge)
        return true;
    bus_take(bars, json_object_get(json_object_get(bridge, "bus"), "secondary"));
    const json_t *behind = json_object_get(bridge, "devices");
    return !behind || devices_take(bars, behind, depth + 1, notes);
}

static bool devices_take(struct pci_bars *bars, const json_t *devices, unsigned depth,
                         struct text_notes *notes)
{
    const json_t *device;
    size_t index;
    if (!json_is_array(devices) || depth > BRIDGES_MOST) {
        doubt(bars, notes, "query-pci gives no list of devices");
        return true;
    }
    json_array_foreach(devices, index,
                       device) if (!device_take(bars, device, depth, notes)) return false;
    return true;
}

bool pci_bars_take(struct pci_bars *bars, const json_t *answer, struct text_notes *notes)
{
    const json_t *root;
    size_t index;
    if (!json_is_array(answer))
        doubt(bars, notes, "query-pci gives no list of buses");
    json_array_foreach(answer, index, root)
    {
        bus_take(bars, json_object_get(root, "bus"));
        if (!devices_take(bars, json_object_get(root, "devices"), 0, notes))
            return false;
    }
    return bars_flatten(bars);
}

void pci_bars_free(struct pci_bars *bars)
{
    free(bars->items);
    *bars = (struct pci_bars){0};
}
