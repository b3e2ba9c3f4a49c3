/* Which region an address lies in: the ranges of a view and the BARs over them, as one ordered
 * list.
 */
#include "upstream/machine/memory_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void memory_map_doubt(struct memory_map *map, size_t index)
{
    struct target_region *region = &map->regions[index];
    region->kind = REGION_DEVICE;
    region->unknown = true;
    region->flash = region->unreachable = false;
    snprintf(region->name, sizeof region->name, "unknown range");
}

/* What a piece of a region is, as far as that BAR (NULL: none) covers it. */
static void piece_mark(struct target_region *piece, const struct pci_bar *bar)
{
    piece->pci_bar = bar->known;
    piece->prefetchable = bar->prefetchable;
    if (bar->unknown && (piece->kind == REGION_RAM || piece->kind == REGION_ROM))
        piece->unknown = true;
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
                piece_mark(&piece, bar);
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

/* The view's ranges as regions; one unknown region where they are not believed. */
static bool regions_take(struct memory_map *map, struct flat_view *view)
{
    struct target_region all = {.last = UINT64_MAX};
    map->distrusted = view->distrusted;
    if (view->distrusted) {
        map->regions = malloc(sizeof all);
        if (!map->regions)
            return false;
        map->regions[0] = all;
        map->count = 1;
        memory_map_doubt(map, 0);
        return true;
    }
    map->regions = view->ranges;
    map->count = view->count;
    *view = (struct flat_view){0};
    return true;
}

/* Any RAM may lie in a BAR. */
static void doubt_bars(struct memory_map *map)
{
    map->doubtful_bars = true;
    for (size_t i = 0; i < map->count; i++)
        if (map->regions[i].kind == REGION_RAM || map->regions[i].kind == REGION_ROM)
            map->regions[i].unknown = true;
}

bool memory_map_parse(struct memory_map *map, const char *mtree, const char *address_space,
                      const struct pci_bars *bars, struct text_notes *notes)
{
    struct memory_map made = {0};
    struct flat_view view = {0};
    bool done = flat_view_parse(&view, mtree, address_space, notes) && regions_take(&made, &view) &&
                (!bars || bars_apply(&made, bars));
    if (done && bars && bars->doubtful)
        doubt_bars(&made);
    if (done) {
        struct memory_map old = *map;
        *map = made;
        made = old;
        if (bars)
            memcpy(map->buses, bars->buses, sizeof map->buses);
    }
    flat_view_free(&view);
    memory_map_free(&made);
    return done;
}

/* The first region that ends at or after physical. */
static size_t index_of(const struct memory_map *map, uint64_t physical)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->regions[middle].last < physical)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void memory_map_find(const struct memory_map *map, uint64_t physical, struct target_region *out)
{
    size_t index = index_of(map, physical);
    if (index < map->count && map->regions[index].first <= physical) {
        const struct target_region *region = &map->regions[index];
        *out = *region;
        if (region->kind == REGION_NONE)
            *out = (struct target_region){
                .first = region->first, .last = region->last, .kind = REGION_NONE};
        return;
    }
    *out = (struct target_region){.kind = REGION_NONE, .last = UINT64_MAX};
    if (index > 0)
        out->first = map->regions[index - 1].last + 1;
    if (index < map->count)
        out->last = map->regions[index].first - 1;
}

bool memory_map_says_none(const struct memory_map *map, uint64_t physical)
{
    size_t index = index_of(map, physical);
    return index < map->count && map->regions[index].first <= physical &&
           map->regions[index].kind == REGION_NONE;
}

bool memory_map_unknown(const struct memory_map *map, uint64_t physical, uint64_t length)
{
    uint64_t at = physical;
    while (length > 0) {
        struct target_region region;
        memory_map_find(map, at, &region);
        if (region.unknown || (region.kind == REGION_NONE && !memory_map_says_none(map, at)))
            return true;
        uint64_t left = region.last - at; /* bytes behind this one */
        if (left >= length - 1)
            return false;
        length -= left + 1;
        at += left + 1;
    }
    return false;
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
