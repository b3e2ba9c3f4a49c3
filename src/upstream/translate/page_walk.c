#include "upstream/translate/page_walk.h"

#include "base/bytes.h"
#include "base/hex.h"

#include <stddef.h>
#include <string.h>

#define CR0_PG       UINT64_C(0x80000000)
#define CR4_PAE      UINT64_C(0x20)
#define CR4_LA57     UINT64_C(0x1000)
#define EFER_LMA     UINT64_C(0x400)
#define PRESENT      UINT64_C(1)
#define LARGE        UINT64_C(0x80)
#define ADDRESS_MASK UINT64_C(0x000ffffffffff000)

/* The number behind "NAME=" where that begins a word. */
static bool value_of(const char *text, const char *name, uint64_t *value)
{
    size_t length = strlen(name);
    for (const char *at = strstr(text, name); at; at = strstr(at + 1, name)) {
        const char *digits = at + length;
        if ((at == text || at[-1] == ' ' || at[-1] == '\n') &&
            hex_number(value, &digits, digits + strspn(digits, "0123456789abcdefABCDEF")))
            return true;
    }
    return false;
}

bool page_walk_parse(struct page_walk_mode *mode, const char *text)
{
    uint64_t smm, a20, cr0, cr3, cr4, efer;
    *mode = (struct page_walk_mode){0};
    if (!value_of(text, "SMM=", &smm))
        return false;
    mode->smm = smm != 0;
    if (!value_of(text, "A20=", &a20) || !value_of(text, "CR0=", &cr0) ||
        !value_of(text, "CR3=", &cr3) || !value_of(text, "CR4=", &cr4) ||
        !value_of(text, "EFER=", &efer))
        return true;
    bool long_mode = (cr4 & CR4_PAE) && (efer & EFER_LMA);
    mode->known = a20 == 1 && (long_mode || !(cr0 & CR0_PG));
    mode->levels = !(cr0 & CR0_PG) ? 0 : cr4 & CR4_LA57 ? 5 : 4;
    mode->root = cr3 & ADDRESS_MASK;
    return true;
}

static uint64_t entry_at(const uint8_t *table, unsigned index)
{
    return bytes_load(table + 8 * (size_t)index, 8, false);
}

static unsigned shift_of(unsigned level)
{
    return 12 + 9 * (level - 1);
}

bool page_walk_entry(struct page_walk_entry *entry, const uint8_t *table, unsigned index,
                     unsigned level)
{
    uint64_t bits = entry_at(table, index);
    if (!(bits & PRESENT))
        return false;
    entry->leaf = level == 1 || ((level == 2 || level == 3) && (bits & LARGE));
    entry->size = entry->leaf ? UINT64_C(1) << shift_of(level) : PAGE_WALK_TABLE_SIZE;
    entry->physical = bits & ADDRESS_MASK & ~(entry->size - 1);
    return true;
}

uint64_t page_walk_page(uint64_t base, unsigned index, unsigned level, unsigned levels)
{
    uint64_t page = base | (uint64_t)index << shift_of(level);
    unsigned top = shift_of(levels + 1) - 1; /* the sign, which goes on upwards */
    return page >> top & 1 ? page | ~((UINT64_C(2) << top) - 1) : page;
}

enum page_walk_result page_walk(const struct page_walk_mode *mode, uint64_t page,
                                page_walk_table *table, void *context, uint64_t *physical)
{
    unsigned top = mode->levels == 5 ? 56 : 47;
    uint64_t sign = page >> top, at = mode->root;
    if (mode->levels == 0) {
        *physical = page;
        return PAGE_WALK_MAPPED;
    }
    if (sign != 0 && sign != UINT64_MAX >> top)
        return PAGE_WALK_UNMAPPED;
    for (unsigned level = mode->levels; level > 0; level--) {
        const uint8_t *bytes = table(context, at);
        struct page_walk_entry entry;
        if (!bytes) {
            *physical = at;
            return PAGE_WALK_NEEDS;
        }
        unsigned index = (unsigned)(page >> shift_of(level)) % PAGE_WALK_ENTRIES;
        if (!page_walk_entry(&entry, bytes, index, level))
            return PAGE_WALK_UNMAPPED;
        if (entry.leaf) {
            *physical = entry.physical | (page & (entry.size - 1) & ADDRESS_MASK);
            return PAGE_WALK_MAPPED;
        }
        at = entry.physical;
    }
    return PAGE_WALK_UNMAPPED;
}
