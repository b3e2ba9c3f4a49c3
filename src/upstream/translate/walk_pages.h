/* Where pages lie, by a walk of our own through the page tables of a halted x86-64 processor. In a
 * task. */
#ifndef SB_UPSTREAM_TRANSLATE_WALK_PAGES_H
#define SB_UPSTREAM_TRANSLATE_WALK_PAGES_H

#include "upstream/machine/stub.h"
#include "upstream/translate/fresh_map.h"
#include "upstream/translate/known.h"
#include "upstream/translate/modes.h"
#include "upstream/types.h"

struct walker;

/* NULL when out of memory. */
struct walker *walker_new(struct stub *stub, struct known *known, struct fresh_map *map,
                          struct modes *modes);
void walker_free(struct walker *walker);
/* The target has run, or registers were written. */
void walker_changed(struct walker *walker);
/* Was it found in this halt that the stub sees other than we do? */
bool walker_refused(const struct walker *walker);

/* Find those pages whose error is TARGET_FAILED; those that it cannot tell are left so. The return
 * value is why nothing more may be asked. */
enum target_error walker_find(struct walker *walker, target_client client, unsigned cpu,
                              const uint64_t *pages, size_t count, struct target_translation *out);
/* Read the table at that physical address and keep it. False: it lies in no memory, or things moved
 * meanwhile. */
bool walker_read_table(struct walker *walker, target_client client, uint64_t page);

#endif
