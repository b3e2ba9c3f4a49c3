/* Pages and page tables that are known, as long as they must be true. */

/* Pages are the keys, alone or with a processor's number behind them: multiplying spreads them, in
 * a fraction of what a hash of any bytes takes. */
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = page_hash(keyptr, keylen))

#include "upstream/translate/translate_internal.h"

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

void translate_forget(struct translate *translate)
{
    struct entry *entry, *next;
    struct table *table, *next_table;
    HASH_ITER(hh, translate->tables, table, next_table)
    {
        HASH_DEL(translate->tables, table);
        free(table);
    }
    translate->blind = false;
    HASH_ITER(hh, translate->entries, entry, next)
    {
        HASH_DEL(translate->entries, entry);
        free(entry);
    }
}

void translate_memory_changed(struct translate *translate)
{
    translate->epoch++;
    translate_forget(translate);
}

/* There are too many. Answers that were given go on being believed above, and from now on nobody
 * knows which tables they hang on: any write counts. */
static void forget_some(struct translate *translate)
{
    translate_memory_changed(translate);
    translate->blind = true;
}

static struct entry *find(struct translate *translate, unsigned cpu, uint64_t page)
{
    struct key key = {.page = page, .cpu = cpu};
    struct entry *entry;
    HASH_FIND(hh, translate->entries, &key, sizeof key, entry);
    return entry;
}

bool translate_recall(struct translate *translate, unsigned cpu, uint64_t page,
                      struct target_translation *out)
{
    const struct entry *entry = find(translate, cpu, page);
    if (entry)
        translate_answer(out, entry->mapped, entry->physical);
    return entry != NULL;
}

/* Being out of memory is no reason to fail: it is asked for again next time. */
void translate_keep(struct translate *translate, unsigned cpu, uint64_t page, bool mapped,
                    uint64_t physical)
{
    if (find(translate, cpu, page))
        return;
    if (HASH_COUNT(translate->entries) >= ENTRIES_MOST)
        forget_some(translate);
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->key = (struct key){.page = page, .cpu = cpu};
    entry->mapped = mapped;
    entry->physical = physical;
    HASH_ADD(hh, translate->entries, key, sizeof entry->key, entry);
}

bool translate_forget_page(struct translate *translate, unsigned cpu, uint64_t page)
{
    struct entry *entry = find(translate, cpu, page);
    if (!entry)
        return false;
    HASH_DEL(translate->entries, entry);
    free(entry);
    return true;
}

const uint8_t *translate_table(void *context, uint64_t page)
{
    struct translate *translate = context;
    struct table *table;
    HASH_FIND(hh, translate->tables, &page, sizeof page, table);
    return table ? table->bytes : NULL;
}

bool translate_keep_table(struct translate *translate, uint64_t page, const uint8_t *bytes)
{
    struct table *table = malloc(sizeof *table);
    if (!table)
        return false;
    if (HASH_COUNT(translate->tables) >= TABLES_MOST)
        forget_some(translate);
    table->page = page;
    memcpy(table->bytes, bytes, sizeof table->bytes);
    HASH_ADD(hh, translate->tables, page, sizeof table->page, table);
    return true;
}

/* Writes */

/* May a table that was used lie there? */
static bool holds_table(struct translate *translate, uint64_t physical, size_t length)
{
    struct table *table, *next;
    struct reading *reading;
    bool blind = translate->blind || translate->asking > 0;
    uint64_t first = physical & TARGET_PAGE_MASK, last = physical + (length - 1);
    DL_FOREACH(translate->readings, reading)
    {
        if (reading->page >= first && (reading->page <= last || last < physical))
            return true;
    }
    if (blind || last < physical || length / TARGET_PAGE_SIZE > TABLES_MOST) {
        HASH_ITER(hh, translate->tables, table, next)
        {
            if (table->page >= first && (table->page <= last || last < physical))
                return true;
        }
        return blind;
    }
    for (uint64_t page = first; page <= last && page >= first; page += TARGET_PAGE_SIZE) {
        HASH_FIND(hh, translate->tables, &page, sizeof page, table);
        if (table)
            return true;
    }
    return false;
}

void translate_written(struct translate *translate, const struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (runs[i].length > 0 && holds_table(translate, runs[i].address, runs[i].length)) {
            translate_memory_changed(translate);
            return;
        }
    }
}

void translate_written_virtual(struct translate *translate, unsigned cpu,
                               const struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t page = runs[i].address & TARGET_PAGE_MASK;
        const struct entry *entry = find(translate, cpu, page);
        if (runs[i].length == 0)
            continue;
        if (!entry || !entry->mapped ||
            runs[i].length > TARGET_PAGE_SIZE - (runs[i].address - page) ||
            holds_table(translate, entry->physical, TARGET_PAGE_SIZE)) {
            translate_memory_changed(translate);
            return;
        }
    }
}
