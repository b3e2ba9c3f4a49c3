/* The target's memory map, read again whenever it may have changed, and what is asked about single
 * addresses where the map does not tell. What suspends is called in a task. */
#ifndef SB_UPSTREAM_TRANSLATE_FRESH_MAP_H
#define SB_UPSTREAM_TRANSLATE_FRESH_MAP_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"

struct fresh_map;

/* The monitor is used as it stands at each call. NULL when out of memory. */
struct fresh_map *fresh_map_new(struct stub *stub);
void fresh_map_free(struct fresh_map *fresh);

/* A device, a port or a register that moves the map about was written. */
void fresh_map_changed(struct fresh_map *fresh);
/* The target has run: BARs may have moved without a line of the map moving. */
void fresh_map_all_changed(struct fresh_map *fresh);
/* How often the map may have changed. */
uint64_t fresh_map_changes(const struct fresh_map *fresh);

/* See that the map is as fresh as it can be. It may be used until the caller suspends.
 * TARGET_UNSUPPORTED: the target is no QEMU, and has none. */
enum target_error fresh_map_load(struct fresh_map *fresh, target_client client);
/* What the map as it stands says of that address. */
void fresh_map_find(const struct fresh_map *fresh, uint64_t physical, struct target_region *out);
/* As fresh_map_find on a fresh map; where that does not tell, QEMU is asked about the address. */
enum target_error fresh_map_classify(struct fresh_map *fresh, target_client client,
                                     uint64_t physical, struct target_region *out);
/* Does any of these spans reach an unknown region of the map as it stands? */
bool fresh_map_unknown(const struct fresh_map *fresh, const struct target_span *spans,
                       size_t count);
/* Is there memory that only a secure world sees? As far as the map was read. */
bool fresh_map_secure(const struct fresh_map *fresh);
enum target_error fresh_map_has_bus(struct fresh_map *fresh, target_client client, unsigned bus,
                                    bool *present);

#endif
