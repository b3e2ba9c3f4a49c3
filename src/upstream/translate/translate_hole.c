/* Addresses where nothing answers: in the map, and in what a processor sees. A gap between two
 * lines of the map may be a line that is missing, so each is asked about before it is taken for a
 * hole. */
#include "upstream/translate/translate_internal.h"

/* Tables that one search looks into. */
#define TABLES_SEARCHED 64u
/* Where every processor's addresses reach. */
#define LOW_LAST UINT64_C(0xffffffff)

/* What lies there; false where that is not known: of an unknown range every piece would be asked
 * about by itself. */
static bool tell(struct translate *translate, target_client client, uint64_t physical,
                 struct target_region *region)
{
    if (translate_fresh_map(translate, client) != TARGET_OK)
        return false;
    memory_map_find(&translate->map, physical, region);
    if (region->kind == REGION_NONE &&
        translate_classify(translate, client, physical, region) != TARGET_OK)
        return false;
    return !region->unknown;
}

bool translate_hole(struct translate *translate, target_client client, uint64_t *physical)
{
    struct target_region region;
    for (uint64_t at = 0; at <= LOW_LAST; at = region.last + 1) {
        if (!tell(translate, client, at, &region))
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
    struct translate *translate;
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
        if (!tell(search->translate, search->client, at, &region))
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
    if (!translate_table(search->translate, table)) {
        if (search->tables == 0 || !translate_read_table(search->translate, search->client, table))
            return false;
        search->tables--;
    }
    for (unsigned i = 0; i < PAGE_WALK_ENTRIES && search->tables > 0; i++) {
        const uint8_t *bytes = translate_table(search->translate, table);
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

/* What was found by our own eyes must be what the target's debugger finds. */
static bool confirmed(const struct search *search, unsigned cpu)
{
    const uint64_t page = search->found & TARGET_PAGE_MASK;
    struct target_translation answer;
    return translate_pages(search->translate, search->client, cpu, &page, 1, &answer) ==
               TARGET_OK &&
           answer.error == TARGET_OK && answer.physical == (search->physical & TARGET_PAGE_MASK);
}

bool translate_hole_seen(struct translate *translate, target_client client, unsigned cpu,
                         uint64_t *address)
{
    struct search search = {.translate = translate, .client = client, .tables = TABLES_SEARCHED};
    struct page_walk_mode mode;
    if (!translate->stub->x86 || translate->walk_refused ||
        translate_stance(translate, client, cpu, &mode) != TARGET_OK || mode.smm || !mode.known ||
        mode.levels == 0 || !search_table(&search, mode.root, mode.levels, mode.levels, 0) ||
        !confirmed(&search, cpu))
        return false;
    *address = search.found;
    return true;
}
