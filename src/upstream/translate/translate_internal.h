/* The parts of translate share this: what is known, and what they ask of each other. translate.c
 * finds out about pages by the others, which say at their top what they are for. */
#ifndef SB_UPSTREAM_TRANSLATE_TRANSLATE_INTERNAL_H
#define SB_UPSTREAM_TRANSLATE_TRANSLATE_INTERNAL_H

#include "base/buffer.h"
#include "base/task.h"
#include "upstream/machine/memory_map.h"
#include "upstream/translate/page_walk.h"
#include "upstream/translate/translate.h"

#define ROOM "target"

struct entry;
struct table;

/* A table that is being read: a write to it meanwhile counts as a write to a table. */
struct reading {
    uint64_t page;
    struct reading *prev, *next;
};

/* How a processor of an x86 machine stands. */
struct stance {
    bool known;
    struct page_walk_mode mode;
};

struct translate {
    struct stub *stub;
    struct entry *entries;
    bool blind;      /* some of them the stub found: whichever tables it used */
    unsigned asking; /* callers whose questions the stub is about to answer: as blind */
    struct reading *readings;
    struct table *tables;
    struct stance *stances; /* of each processor */
    unsigned stances_count;
    unsigned asked;                  /* calls in this halt that the stub answered */
    bool walk_checked, walk_refused; /* our walk finds what the stub's does; it does not */
    bool secure;                     /* there is memory that only a secure world sees */
    uint64_t epoch;
    struct memory_map map;
    bool map_valid;
    size_t map_text;           /* characters that it was last read from */
    struct buffer map_checked; /* a text whose memory was found to be memory */
    bool map_of_checked;       /* the map is that text's, and its BARs have not moved since */
    uint64_t buses_changes;    /* map_changes when the buses were asked for */
    /* digests of what the log has been told of texts that were not understood */
#define TRANSLATE_SAID_MOST 64
    uint64_t said[TRANSLATE_SAID_MOST];
    size_t said_count;
    uint64_t map_changes;
    struct task_mutex map_loading;
    /* pointer sizes of x86-64 processors, 0 where not known */
    uint8_t *modes;
    unsigned modes_count;
    uint64_t mode_changes;
};

static inline bool translate_running(const struct translate *translate)
{
    return rsp_client_running(translate->stub->rsp);
}

static inline void translate_answer(struct target_translation *out, bool mapped, uint64_t physical)
{
    out->error = mapped ? TARGET_OK : TARGET_FAULT;
    out->physical = physical;
}

/* translate_cache.c */
void translate_forget(struct translate *translate);
/* The page's answer, when it is known. */
bool translate_recall(struct translate *translate, unsigned cpu, uint64_t page,
                      struct target_translation *out);
/* Being out of memory is no reason to fail: it is asked for again next time. */
void translate_keep(struct translate *translate, unsigned cpu, uint64_t page, bool mapped,
                    uint64_t physical);
/* False: it was not known. */
bool translate_forget_page(struct translate *translate, unsigned cpu, uint64_t page);
/* The table's bytes, NULL where it is not known; context: the struct translate. */
const uint8_t *translate_table(void *context, uint64_t page);
/* Keep a copy of a table (PAGE_WALK_TABLE_SIZE bytes) that is not known yet. False when out of
 * memory. */
bool translate_keep_table(struct translate *translate, uint64_t page, const uint8_t *bytes);

/* translate_map.c */
/* See that the map is as fresh as it can be. It may be used until the caller suspends. */
enum target_error translate_fresh_map(struct translate *translate, target_client client);

/* translate_processor.c */
enum target_error translate_stance(struct translate *translate, target_client client, unsigned cpu,
                                   struct page_walk_mode *mode);

/* Finding pages: those whose error is TARGET_FAILED. The return value is why others that are left
 * so were not found. */

/* translate_walk.c. Pages that it cannot tell are left to be found. */
enum target_error translate_by_walk(struct translate *translate, target_client client, unsigned cpu,
                                    const uint64_t *pages, size_t count,
                                    struct target_translation *out);
/* Read a table and keep it. False: it lies in no memory, or things moved meanwhile. */
bool translate_read_table(struct translate *translate, target_client client, uint64_t page);
/* translate_ask.c */
enum target_error translate_by_stub(struct translate *translate, target_client client, unsigned cpu,
                                    const uint64_t *pages, size_t count,
                                    struct target_translation *out);
/* Through QMP, while the target runs: nothing of it is kept. */
enum target_error translate_by_monitor(struct translate *translate, target_client client,
                                       unsigned cpu, const uint64_t *pages, size_t count,
                                       struct target_translation *out);

#endif
