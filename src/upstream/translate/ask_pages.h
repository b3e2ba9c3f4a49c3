/* Where pages lie, asked of the target. Those are looked for whose error is TARGET_FAILED; the
 * return value is why others that are left so were not found. Pages begin where a page does. In a
 * task. */
#ifndef SB_UPSTREAM_TRANSLATE_ASK_PAGES_H
#define SB_UPSTREAM_TRANSLATE_ASK_PAGES_H

#include "upstream/machine/stub.h"
#include "upstream/translate/known.h"
#include "upstream/types.h"

/* Of the stub of a halted target, many at once. What it answers is kept. */
enum target_error ask_pages_by_stub(struct stub *stub, struct known *known, target_client client,
                                    unsigned cpu, const uint64_t *pages, size_t count,
                                    struct target_translation *out);
/* Through QMP, while the target runs, one by one: nothing of it is kept. */
enum target_error ask_pages_by_monitor(struct stub *stub, target_client client, unsigned cpu,
                                       const uint64_t *pages, size_t count,
                                       struct target_translation *out);

#endif
