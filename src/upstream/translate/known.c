/* Pages and page tables that are known: how they are kept and found, and which writes end them. */

/* Pages are the keys, alone or with a processor's number behind them: multiplying spreads them, in
 * a fraction of what a hash of any bytes takes. */
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = page_hash(keyptr, keylen))

#include "upstream/translate/known.h"

#include "upstream/translate/page_walk.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

/* Entries beyond which the cache starts anew: a bound, not a policy. */
#define ENTRIES_MOST 65536
/* Page tables that are kept: these are enough for 4 GiB in small pages. */
#define TABLES_MOST 2048

struct key {
    uint64_t page;
    uint64_t cpu;
};

static unsigned page_hash(const void *key, size_t length)
{
    uint64_t words[2] = {0};
    memcpy(words, key, length);
    return (unsigned)(((words[0] ^ words[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Where a page lies, or that it lies nowhere. */
struct entry {
    struct key key;
    bool mapped;
    uint64_t physical;
    UT_hash_handle hh;
};

/* A page table as it was read. */
struct table {
    uint64_t page;
    UT_hash_handle hh;
    uint8_t bytes[PAGE_WALK_TABLE_SIZE];
};

struct known {
    uint64_t epoch;
    struct entry *entries;
    struct table *tables;
    struct known_reading *readings;
    bool blind;      /* some entries the stub found: whichever tables it used */
    unsigned asking; /* callers whose questions the stub is about to answer: as blind */
};

struct known *known_new(void)
{
    return calloc(1, sizeof(struct known));
}

static void drop_all(struct known *known)
{
    struct entry *entry, *next;
    struct table *table, *next_table;
    HASH_ITER(hh, known->tables, table, next_table)
    {
        HASH_DEL(known->tables, table);
        free(table);
    }
    known->blind = false;
    HASH_ITER(hh, known->entries, entry, next)
    {
        HASH_DEL(known->entries, entry);
        free(entry);
    }
}

void known_free(struct known *known)
{
    if (!known)
        return;
    drop_all(known);
    free(known);
}

uint64_t known_epoch(const struct known *known)
{
    return known->epoch;
}

void known_touch(struct known *known)
{
    known->epoch++;
}

void known_forget(struct known *known)
{
    known_touch(known);
    drop_all(known);
}

/* There are too many. Answers that were given go on being believed above, and from now on nobody
 * knows which tables they hang on: any write counts. */
static void forget_some(struct known *known)
{
    known_forget(known);
    known->blind = true;
}

static struct entry *find(const struct known *known, unsigned cpu, uint64_t page)
{
    struct key key = {.page = page, .cpu = cpu};
    struct entry *entry;
    HASH_FIND(hh, known->entries, &key, sizeof key, entry);
    return entry;
}

bool known_recall(const struct known *known, unsigned cpu, uint64_t page,
                  struct target_translation *out)
{
    const struct entry *entry = find(known, cpu, page);
    if (entry)
        known_answer(out, entry->mapped, entry->physical);
    return entry != NULL;
}

void known_keep(struct known *known, unsigned cpu, uint64_t page, bool mapped, uint64_t physical)
{
    if (find(known, cpu, page))
        return;
    if (HASH_COUNT(known->entries) >= ENTRIES_MOST)
        forget_some(known);
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->key = (struct key){.page = page, .cpu = cpu};
    entry->mapped = mapped;
    entry->physical = physical;
    HASH_ADD(hh, known->entries, key, sizeof entry->key, entry);
}

void known_keep_blind(struct known *known, unsigned cpu, uint64_t page, bool mapped,
                      uint64_t physical)
{
    known_keep(known, cpu, page, mapped, physical);
    known->blind = true;
}

bool known_blind(const struct known *known)
{
    return known->blind;
}

void known_take_back(struct known *known, unsigned cpu, uint64_t page)
{
    struct entry *entry = find(known, cpu, page);
    if (!entry)
        return;
    HASH_DEL(known->entries, entry);
    free(entry);
    known->blind = false;
}

void known_begin_asking(struct known *known)
{
    known->asking++;
}

void known_end_asking(struct known *known)
{
    known->asking--;
}

/* Tables */

const uint8_t *known_table(void *context, uint64_t page)
{
    const struct known *known = context;
    struct table *table;
    HASH_FIND(hh, known->tables, &page, sizeof page, table);
    return table ? table->bytes : NULL;
}

bool known_keep_table(struct known *known, uint64_t page, const uint8_t *bytes)
{
    struct table *table = malloc(sizeof *table);
    if (!table)
        return false;
    if (HASH_COUNT(known->tables) >= TABLES_MOST)
        forget_some(known);
    table->page = page;
    memcpy(table->bytes, bytes, sizeof table->bytes);
    HASH_ADD(hh, known->tables, page, sizeof table->page, table);
    return true;
}

void known_begin_reading(struct known *known, struct known_reading *reading)
{
    DL_APPEND(known->readings, reading);
}

void known_end_reading(struct known *known, struct known_reading *reading)
{
    DL_DELETE(known->readings, reading);
}

/* Writes */

/* May a table that was used lie there? */
static bool holds_table(struct known *known, uint64_t physical, size_t length)
{
    struct table *table, *next;
    struct known_reading *reading;
    bool blind = known->blind || known->asking > 0;
    uint64_t first = physical & TARGET_PAGE_MASK, last = physical + (length - 1);
    DL_FOREACH(known->readings, reading)
    {
        if (reading->page >= first && (reading->page <= last || last < physical))
            return true;
    }
    if (blind || last < physical || length / TARGET_PAGE_SIZE > TABLES_MOST) {
        HASH_ITER(hh, known->tables, table, next)
        {
            if (table->page >= first && (table->page <= last || last < physical))
                return true;
        }
        return blind;
    }
    for (uint64_t page = first; page <= last && page >= first; page += TARGET_PAGE_SIZE) {
        HASH_FIND(hh, known->tables, &page, sizeof page, table);
        if (table)
            return true;
    }
    return false;
}

void known_written(struct known *known, const struct target_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (spans[i].length > 0 && holds_table(known, spans[i].address, spans[i].length)) {
            known_forget(known);
            return;
        }
    }
}

void known_written_virtual(struct known *known, unsigned cpu, const struct target_span *spans,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t page = spans[i].address & TARGET_PAGE_MASK;
        const struct entry *entry = find(known, cpu, page);
        if (spans[i].length == 0)
            continue;
        if (!entry || !entry->mapped ||
            spans[i].length > TARGET_PAGE_SIZE - (spans[i].address - page) ||
            holds_table(known, entry->physical, TARGET_PAGE_SIZE)) {
            known_forget(known);
            return;
        }
    }
}
