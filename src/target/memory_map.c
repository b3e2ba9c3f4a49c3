#include "target/memory_map.h"

#include "target/pci_bars.h"
#include "target/text.h"

#include <stdlib.h>
#include <string.h>

/* What the map calls a kind of range. "container" is what QEMU 11 calls the root of an address
 * space where nothing is assigned: in the map of memory nobody answers there. */
static bool kind_parse(struct text *line, struct target_region *region)
{
    static const struct {
        const char *name;
        enum region_kind kind;
        bool flash;
    } kinds[] = {
        /* longer names first: "ram" is the beginning of "ramd" */
        {"ramd", REGION_DEVICE, false}, /* RAM of a real device (VFIO): widths matter there */
        {"ram", REGION_RAM, false},        {"romd", REGION_ROM, true},
        {"rom", REGION_ROM, false},        {"i/o", REGION_DEVICE, false},
        {"container", REGION_NONE, false},
    };
    text_word(line, "nv-");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (text_word(line, kinds[i].name)) {
            region->kind = kinds[i].kind;
            region->flash = kinds[i].flash;
            return true;
        }
    }
    return false;
}

/* The name goes up to " @OFFSET", " owner:" or " KVM"; it may hold spaces and '@' itself. */
static size_t name_length(const struct text *rest)
{
    for (size_t i = 0; i < rest->length; i++) {
        struct text tail = {rest->start + i, rest->length - i};
        uint64_t offset;
        if (text_word(&tail, " owner:"))
            return i;
        if (text_word(&tail, " KVM") && tail.length == 0)
            return i;
        tail = (struct text){rest->start + i, rest->length - i};
        if (text_word(&tail, " @") && text_hex(&tail, 16, &offset) &&
            (tail.length == 0 || tail.start[0] == ' '))
            return i;
    }
    return rest->length;
}

/* "  START-END (prio N, TYPE): NAME[ @OFFSET][ owner:…][ KVM]", END inclusive */
static bool range_parse(struct text line, struct target_region *region)
{
    unsigned priority;
    if (!text_word(&line, "  ") || !text_hex(&line, 16, &region->first) || !text_word(&line, "-") ||
        !text_hex(&line, 16, &region->last) || region->last < region->first ||
        !text_word(&line, " (prio "))
        return false;
    text_word(&line, "-");
    if (!text_decimal(&line, &priority) || !text_word(&line, ", ") || !kind_parse(&line, region) ||
        !text_word(&line, "): "))
        return false;
    size_t length = name_length(&line);
    if (length >= sizeof region->name)
        length = sizeof region->name - 1;
    memcpy(region->name, line.start, length);
    region->name[length] = '\0';
    /* "apic-msi", "kvm-apic-msi", "xen-apic-msi": the local APIC belongs to the processor that
     * accesses it, and neither a stub's nor a monitor's access is any processor's */
    static const char apic[] = "apic-msi";
    region->unreachable = region->kind == REGION_DEVICE && length >= sizeof apic - 1 &&
                          strcmp(region->name + length - (sizeof apic - 1), apic) == 0;
    return true;
}

static bool range_add(struct memory_map *map, const struct text *line, char *message, size_t size)
{
    struct target_region region = {0};
    char shown[TEXT_EXCERPT_SIZE];
    text_excerpt(line->start, line->length, shown);
    if (!range_parse(*line, &region))
        return text_fail(message, size, "memory map: cannot read the line '%s'", shown);
    if (map->count && region.first <= map->regions[map->count - 1].last)
        return text_fail(message, size, "memory map: out of order at '%s'", shown);
    if (region.kind == REGION_NONE)
        return true;
    if (map->count >= MEMORY_MAP_RANGES_MAX)
        return text_fail(message, size, "memory map: more than %zu ranges", MEMORY_MAP_RANGES_MAX);
    if ((map->count & (map->count - 1)) == 0) { /* capacities are powers of two */
        size_t capacity = map->count ? 2 * map->count : 1;
        struct target_region *regions = realloc(map->regions, capacity * sizeof region);
        if (!regions)
            return text_fail(message, size, "memory map: out of memory");
        map->regions = regions;
    }
    map->regions[map->count++] = region;
    return true;
}

/* Is this ` AS "NAME", root: …` of that address space? */
static bool is_address_space(struct text line, const char *name)
{
    return text_word(&line, " AS \"") && text_word(&line, name) && text_word(&line, "\", root: ");
}

/* The ranges of the view that belongs to the address space: views are numbered in the order of a
 * hash table and several address spaces share one, so only the name finds it. A view ends with an
 * empty line, which also tells a whole one from one that was cut short. */
static bool ranges_parse(struct memory_map *map, const char *text, const char *address_space,
                         char *message, size_t size)
{
    bool selected = false;
    struct text line;
    int more;
    while ((more = text_line(&text, &line)) > 0) {
        if (line.length == 0) {
            if (selected)
                return true;
        } else if (is_address_space(line, address_space)) {
            selected = true;
        } else if (selected && line.length > 2 && memcmp(line.start, "  ", 2) == 0) {
            struct text rest = line;
            if (!text_word(&rest, "  No rendered FlatView") &&
                !range_add(map, &line, message, size))
                return false;
        }
    }
    if (selected || more < 0)
        return text_fail(message, size, "memory map: the text is cut short");
    return text_fail(message, size, "memory map: there is no address space \"%s\"", address_space);
}

/* Mark what lies in BARs; a region that a BAR covers in part is split. Holes stay holes: a BAR
 * whose device does not answer (memory decoding is off) makes nothing there. */
static bool bars_apply(struct memory_map *map, const struct pci_bars *bars)
{
    if (bars->count == 0 || map->count == 0)
        return true;
    /* each end of a BAR can split one region */
    struct target_region *out = calloc(map->count + 2 * bars->count, sizeof *out);
    size_t count = 0, b = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < map->count; i++) {
        struct target_region rest = map->regions[i];
        for (bool more = true; more; rest.first = out[count - 1].last + 1) {
            while (b < bars->count && bars->items[b].last < rest.first)
                b++;
            struct target_region piece = rest;
            const struct pci_bar *bar = b < bars->count ? &bars->items[b] : NULL;
            if (bar && bar->first <= rest.first) {
                piece.pci_bar = true;
                piece.prefetchable = bar->prefetchable;
                if (bar->last < rest.last)
                    piece.last = bar->last;
            } else if (bar && bar->first <= rest.last) {
                piece.last = bar->first - 1;
            }
            out[count++] = piece;
            more = piece.last < rest.last;
        }
    }
    free(map->regions);
    map->regions = out;
    map->count = count;
    return true;
}

bool memory_map_parse(struct memory_map *map, const char *mtree, const char *address_space,
                      const char *pci, char *message, size_t size)
{
    struct memory_map made = {0};
    struct pci_bars bars = {0};
    bool done = ranges_parse(&made, mtree, address_space, message, size) &&
                pci_bars_parse(&bars, pci ? pci : "", message, size) &&
                (bars_apply(&made, &bars) || text_fail(message, size, "memory map: out of memory"));
    if (done) {
        struct memory_map old = *map;
        *map = made;
        made = old;
        memcpy(map->buses, bars.buses, sizeof map->buses);
    }
    pci_bars_free(&bars);
    memory_map_free(&made);
    return done;
}

void memory_map_find(const struct memory_map *map, uint64_t physical, struct target_region *out)
{
    size_t low = 0, high = map->count; /* the first region that ends at or after physical */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->regions[middle].last < physical)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < map->count && map->regions[low].first <= physical) {
        *out = map->regions[low];
        return;
    }
    *out = (struct target_region){.kind = REGION_NONE, .last = UINT64_MAX};
    if (low > 0)
        out->first = map->regions[low - 1].last + 1;
    if (low < map->count)
        out->last = map->regions[low].first - 1;
}

bool memory_map_has_bus(const struct memory_map *map, unsigned bus)
{
    return bus < 256 && (map->buses[bus / 8] >> bus % 8 & 1);
}

void memory_map_free(struct memory_map *map)
{
    free(map->regions);
    *map = (struct memory_map){0};
}
