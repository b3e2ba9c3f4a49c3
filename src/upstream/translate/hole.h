/* Addresses where nothing answers: in the map, and in what a processor sees. In a task. */
#ifndef SB_UPSTREAM_TRANSLATE_HOLE_H
#define SB_UPSTREAM_TRANSLATE_HOLE_H

#include "upstream/translate/fresh_map.h"
#include "upstream/translate/known.h"
#include "upstream/translate/page_walk.h"
#include "upstream/translate/walk_pages.h"

/* A physical address below 4 GiB. False: there is none, or it cannot be told. */
bool hole_find(struct fresh_map *map, target_client client, uint64_t *physical);
/* A virtual address that a processor, which stands so, maps to such a place, and the place; by a
 * look at so many of its page tables. False: none was found. */
bool hole_search(struct walker *walker, struct known *known, struct fresh_map *map,
                 target_client client, const struct page_walk_mode *mode, uint64_t *address,
                 uint64_t *physical);

#endif
