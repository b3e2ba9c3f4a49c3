/* How each processor stands, asked for once in each halt: how wide it is, and which memory it sees
 * by what tables. What suspends is called in a task. */
#ifndef SB_UPSTREAM_TRANSLATE_MODES_H
#define SB_UPSTREAM_TRANSLATE_MODES_H

#include "upstream/machine/stub.h"
#include "upstream/translate/fresh_map.h"
#include "upstream/translate/page_walk.h"
#include "upstream/types.h"

struct modes;

/* NULL when out of memory. */
struct modes *modes_new(struct stub *stub, struct fresh_map *map);
void modes_free(struct modes *modes);
/* The target has run, or registers were written. */
void modes_changed(struct modes *modes);

/* Bytes of a pointer, 4 or 8. TARGET_UNSUPPORTED: the architecture is not known. */
enum target_error modes_pointer_size(struct modes *modes, target_client client, unsigned cpu,
                                     unsigned *size);
/* As translate_narrow. */
enum target_error modes_narrow(struct modes *modes, target_client client, unsigned cpu,
                               uint64_t address, uint64_t *narrow);
/* Of a processor of an x86 machine. */
enum target_error modes_stance(struct modes *modes, target_client client, unsigned cpu,
                               struct page_walk_mode *mode);
/* As translate_one_space and translate_plain. */
bool modes_one_space(const struct modes *modes);
enum target_error modes_plain(struct modes *modes, target_client client, unsigned cpu, bool *plain);

#endif
