/* Addresses where nothing answers: in the map, and in what a processor sees. A gap between two
 * lines of the map may be a line that is missing, so each is asked about before it is taken for a
 * hole. */
#include "upstream/translate/hole.h"

/* Tables that one search looks into. */
#define TABLES_SEARCHED 64u
/* Where every processor's addresses reach. */
#define LOW_LAST UINT64_C(0xffffffff)

/* What lies there; false where that is not known: of an unknown range every piece would be asked
 * about by itself. */
static bool tell(struct fresh_map *map, target_client client, uint64_t physical,
                 struct target_region *region)
{
    if (fresh_map_load(map, client) != TARGET_OK)
        return false;
    fresh_map_find(map, physical, region);
    if (region->kind == REGION_NONE &&
        fresh_map_classify(map, client, physical, region) != TARGET_OK)
        return false;
    return !region->unknown;
}

bool hole_find(struct fresh_map *map, target_client client, uint64_t *physical)
{
    struct target_region region;
    for (uint64_t at = 0; at <= LOW_LAST; at = region.last + 1) {
        if (!tell(map, client, at, &region))
            return false;
        if (region.kind == REGION_NONE) {
            *physical = at;
            return true;
        }
        if (region.last == UINT64_MAX)
            break;
    }
    return false;
}

struct search {
    struct fresh_map *map;
    struct known *known;
    struct walker *walker;
    target_client client;
    unsigned tables; /* that may still be read */
    uint64_t found;  /* the virtual address */
    uint64_t physical;
};

/* Does a page of that size hold a hole, whole or in part? */
static bool leaf_holds(struct search *search, uint64_t page, uint64_t physical, uint64_t size)
{
    struct target_region region;
    for (uint64_t at = physical; at - physical < size; at = region.last + 1) {
        if (!tell(search->map, search->client, at, &region))
            return false;
        if (region.kind == REGION_NONE) {
            search->found = page + (at - physical);
            search->physical = at;
            return true;
        }
        if (region.last == UINT64_MAX)
            break;
    }
    return false;
}

/* One table and those below it. The tables may be forgotten whenever the task suspends. */
static bool search_table(struct search *search, uint64_t table, unsigned level, unsigned levels,
                         uint64_t base)
{
    if (!known_table(search->known, table)) {
        if (search->tables == 0 || !walker_read_table(search->walker, search->client, table))
            return false;
        search->tables--;
    }
    for (unsigned i = 0; i < PAGE_WALK_ENTRIES && search->tables > 0; i++) {
        const uint8_t *bytes = known_table(search->known, table);
        struct page_walk_entry entry;
        if (!bytes)
            return false;
        uint64_t page = page_walk_page(base, i, level, levels);
        if (!page_walk_entry(&entry, bytes, i, level))
            continue;
        if (entry.leaf ? leaf_holds(search, page, entry.physical, entry.size)
                       : search_table(search, entry.physical, level - 1, levels, page))
            return true;
    }
    return false;
}

bool hole_search(struct walker *walker, struct known *known, struct fresh_map *map,
                 target_client client, const struct page_walk_mode *mode, uint64_t *address,
                 uint64_t *physical)
{
    struct search search = {
        .map = map, .known = known, .walker = walker, .client = client, .tables = TABLES_SEARCHED};
    if (!search_table(&search, mode->root, mode->levels, mode->levels, 0))
        return false;
    *address = search.found;
    *physical = search.physical;
    return true;
}
