/* Pages that were found and page tables that were read, as long as they must be true; and the
 * number that tells when they need not be any more. A data structure: no input, no output. */
#ifndef SB_UPSTREAM_TRANSLATE_KNOWN_H
#define SB_UPSTREAM_TRANSLATE_KNOWN_H

#include "upstream/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known;

/* A table that is being read: a write to it meanwhile counts as a write to a table. */
struct known_reading {
    uint64_t page;
    struct known_reading *prev, *next;
};

/* NULL when out of memory. */
struct known *known_new(void);
void known_free(struct known *known);

/* Changes whenever a translation may have changed. */
uint64_t known_epoch(const struct known *known);
/* A translation may have changed, whatever was done: the number alone. */
void known_touch(struct known *known);
/* Translations may have changed: nothing is known any more. */
void known_forget(struct known *known);
/* RAM or ROM was written, at these physical addresses: known_forget, unless it is known that no
 * page table that was used lies there. */
void known_written(struct known *known, const struct target_span *spans, size_t count);
/* As known_written, for the virtual addresses of that processor. */
void known_written_virtual(struct known *known, unsigned cpu, const struct target_span *spans,
                           size_t count);

/* The page's answer, when it is known. */
bool known_recall(const struct known *known, unsigned cpu, uint64_t page,
                  struct target_translation *out);
/* Being out of memory is no reason to fail: it is asked for again next time. */
void known_keep(struct known *known, unsigned cpu, uint64_t page, bool mapped, uint64_t physical);

/* As known_keep, for a page that the stub found, whichever tables it used: from now on any write
 * counts as one to a table. */
void known_keep_blind(struct known *known, unsigned cpu, uint64_t page, bool mapped,
                      uint64_t physical);
bool known_blind(const struct known *known);
/* Take back the one page that was kept so: it need not blind all others. */
void known_take_back(struct known *known, unsigned cpu, uint64_t page);
/* Around questions that the stub is about to answer: until then any write counts. */
void known_begin_asking(struct known *known);
void known_end_asking(struct known *known);

/* The table's PAGE_WALK_TABLE_SIZE bytes, NULL where it is not known; context: the struct known. */
const uint8_t *known_table(void *context, uint64_t page);
/* Keep a copy of a table that is not known yet. False when out of memory. */
bool known_keep_table(struct known *known, uint64_t page, const uint8_t *bytes);
/* Around the reading of a table; page is set. */
void known_begin_reading(struct known *known, struct known_reading *reading);
void known_end_reading(struct known *known, struct known_reading *reading);

/* What is said of a page. */
static inline void known_answer(struct target_translation *out, bool mapped, uint64_t physical)
{
    out->error = mapped ? TARGET_OK : TARGET_FAULT;
    out->physical = physical;
}

#endif
