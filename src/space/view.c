/* Hides the table of lines, and the bits that tell which bytes of them are valid and dirty. */

/* Out of memory in the hash table must not end the process. */
#define HASH_NONFATAL_OOM 1
/* Pages are the keys: multiplying spreads them, in a fraction of what a hash of any bytes takes. */
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = page_hash(keyptr))

#include "space/view.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* --- bitmaps, one bit for each byte of a line --- */

_Static_assert(VIEW_LINE_WORDS == 64, "one word says of each word whether there is something");

/* Of the bits [first, end), those in that word. */
static uint64_t bits_mask(size_t word, size_t first, size_t end)
{
    size_t low = word * 64, high = low + 64;
    uint64_t mask = ~UINT64_C(0);
    if (first > low)
        mask &= ~UINT64_C(0) << (first - low);
    if (end < high)
        mask &= ~UINT64_C(0) >> (high - end);
    return mask;
}

/* Set or clear bits of a word; returns how many changed. */
static size_t word_assign(struct view_bits *bits, size_t word, uint64_t mask, bool value)
{
    uint64_t before = bits->words[word], after = value ? before | mask : before & ~mask;
    if (after == before) /* most of them, and counting is no single instruction everywhere */
        return 0;
    bits->words[word] = after;
    if (after)
        bits->some |= UINT64_C(1) << word;
    else
        bits->some &= ~(UINT64_C(1) << word);
    return (size_t)__builtin_popcountll(after ^ before);
}

/* Set or clear a range; returns how many bits changed. */
static size_t bits_assign(struct view_bits *bits, size_t first, size_t length, bool value)
{
    size_t end = first + length, changed = 0;
    if (!length)
        return 0;
    size_t from = first / 64, last = (end - 1) / 64;
    if (from == last)
        return word_assign(bits, from, bits_mask(from, first, end), value);
    /* There is nothing to clear but where there is something. */
    uint64_t words = bits_mask(0, from, last + 1) & (value ? ~UINT64_C(0) : bits->some);
    for (; words; words &= words - 1) {
        size_t word = (size_t)__builtin_ctzll(words);
        changed += word_assign(bits, word, bits_mask(word, first, end), value);
    }
    return changed;
}

/* The first bit in [from, end) that is `set`, end when there is none. */
static size_t bits_find(const struct view_bits *bits, bool set, size_t from, size_t end)
{
    if (from >= end)
        return end;
    uint64_t words = bits_mask(0, from / 64, (end - 1) / 64 + 1);
    if (set)
        words &= bits->some;
    for (; words; words &= words - 1) {
        size_t word = (size_t)__builtin_ctzll(words);
        uint64_t found =
            (set ? bits->words[word] : ~bits->words[word]) & bits_mask(word, from, end);
        if (found)
            return word * 64 + (size_t)__builtin_ctzll(found);
    }
    return end;
}

bool view_bits_next(const struct view_bits *bits, bool set, size_t from, size_t end, size_t *offset,
                    size_t *length)
{
    size_t first = bits_find(bits, set, from, end);
    if (first >= end)
        return false;
    *offset = first;
    *length = bits_find(bits, !set, first, end) - first;
    return true;
}

bool view_next_missing(const struct view_line *line, size_t from, size_t end, size_t *offset,
                       size_t *length)
{
    return view_bits_next(&line->valid, false, from, end, offset, length);
}

bool view_next_valid(const struct view_line *line, size_t from, size_t end, size_t *offset,
                     size_t *length)
{
    return view_bits_next(&line->valid, true, from, end, offset, length);
}

bool view_next_dirty(const struct view_line *line, size_t from, size_t end, size_t *offset,
                     size_t *length)
{
    return view_bits_next(&line->dirty, true, from, end, offset, length);
}

/* The only two places that change bits, so that the sums are always right; line_free takes out what
 * is left of a line. */
static void line_set_valid(struct view *view, struct view_line *line, size_t offset, size_t length,
                           bool value)
{
    size_t changed = bits_assign(&line->valid, offset, length, value);
    if (value) {
        line->valid_count += changed;
        view->valid_bytes += changed;
    } else {
        line->valid_count -= changed;
        view->valid_bytes -= changed;
    }
}

static void line_set_dirty(struct view *view, struct view_line *line, size_t offset, size_t length,
                           bool value)
{
    bool was_dirty = line->dirty_count > 0;
    size_t changed = bits_assign(&line->dirty, offset, length, value);
    if (value) {
        line->dirty_count += changed;
        view->dirty_bytes += changed;
    } else {
        line->dirty_count -= changed;
        view->dirty_bytes -= changed;
    }
    bool is_dirty = line->dirty_count > 0;
    if (is_dirty && !was_dirty)
        view->dirty_lines++;
    else if (!is_dirty && was_dirty)
        view->dirty_lines--;
}

/* --- lines --- */

static unsigned page_hash(const void *page)
{
    uint64_t number;
    memcpy(&number, page, sizeof(number));
    return (unsigned)((number * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static struct view_line **bucket_of(struct view *view, uint64_t physical)
{
    uint64_t number = physical / VIEW_LINE_SIZE;
    return &view->by_physical[(number ^ (number >> 8) ^ (number >> 16)) % VIEW_BUCKETS];
}

static uint32_t census_slot(uint64_t physical)
{
    return (uint32_t)((physical / VIEW_LINE_SIZE * UINT64_C(0x9e3779b97f4a7c15)) >> 52);
}

uint32_t view_census_lines(const struct view_census *census, uint64_t physical)
{
    return census->lines[census_slot(physical)];
}

static void bucket_remove(struct view *view, struct view_line *line)
{
    if (view->census)
        view->census->lines[census_slot(line->physical)]--;
    struct view_line **link = bucket_of(view, line->physical);
    while (*link != line)
        link = &(*link)->physical_next;
    *link = line->physical_next;
    line->physical_next = NULL;
}

static void bucket_insert(struct view *view, struct view_line *line)
{
    if (view->census)
        view->census->lines[census_slot(line->physical)]++;
    struct view_line **link = bucket_of(view, line->physical);
    line->physical_next = *link;
    *link = line;
}

static void line_free(struct view *view, struct view_line *line)
{
    view->valid_bytes -= line->valid_count;
    view->dirty_bytes -= line->dirty_count;
    view->dirty_lines -= line->dirty_count > 0;
    bucket_remove(view, line);
    HASH_DEL(view->lines, line);
    DL_DELETE(view->oldest, line);
    view->line_count--;
    /* A view that is full frees one for each that it makes. */
    if (view->spare)
        free(line);
    else
        view->spare = line;
}

/* Returns whether the line is still there. */
static bool line_free_if_empty(struct view *view, struct view_line *line)
{
    if (line->valid_count)
        return true;
    line_free(view, line);
    return false;
}

void view_init(struct view *view, size_t size)
{
    memset(view, 0, sizeof(*view));
    view->size = size;
}

void view_clear(struct view *view)
{
    while (view->oldest)
        line_free(view, view->oldest);
    free(view->spare);
    view->spare = NULL;
}

struct view_line *view_find(const struct view *view, uint64_t page)
{
    struct view_line *line;
    HASH_FIND(hh, view->lines, &page, sizeof(page), line);
    return line;
}

void view_touch(struct view *view, struct view_line *line)
{
    DL_DELETE(view->oldest, line);
    DL_APPEND(view->oldest, line);
}

struct view_line *view_add(struct view *view, uint64_t page, uint64_t physical)
{
    struct view_line *line = view->spare ? view->spare : malloc(sizeof(*line));
    if (!line)
        return NULL;
    view->spare = NULL;
    /* All but the bytes, which no bit vouches for yet. */
    memset(line, 0, offsetof(struct view_line, bytes));
    line->page = page;
    line->physical = physical;
    HASH_ADD(hh, view->lines, page, sizeof(line->page), line);
    if (!line->hh.tbl) {
        free(line);
        return NULL;
    }
    DL_APPEND(view->oldest, line);
    bucket_insert(view, line);
    view->line_count++;
    return line;
}

bool view_has_room(const struct view *view)
{
    return view->line_count < view->size / VIEW_LINE_SIZE;
}

bool view_evict(struct view *view)
{
    struct view_line *line;
    DL_FOREACH(view->oldest, line)
    {
        if (!line->dirty_count) {
            line_free(view, line);
            view->evictions++;
            return true;
        }
    }
    return false;
}

void view_set_physical(struct view *view, struct view_line *line, uint64_t physical)
{
    if (line->physical == physical)
        return;
    bucket_remove(view, line);
    line->physical = physical;
    bucket_insert(view, line);
}

/* --- bytes in --- */

void view_put_dirty(struct view *view, struct view_line *line, size_t offset, const void *bytes,
                    size_t length)
{
    memcpy(line->bytes + offset, bytes, length);
    line_set_valid(view, line, offset, length, true);
    line_set_dirty(view, line, offset, length, true);
}

void view_put_clean(struct view *view, struct view_line *line, size_t offset, const void *bytes,
                    size_t length)
{
    const uint8_t *from = bytes;
    size_t end = offset + length, first, count;
    for (size_t at = offset; view_bits_next(&line->dirty, false, at, end, &first, &count);
         at = first + count) {
        memcpy(line->bytes + first, from + (first - offset), count);
        line_set_valid(view, line, first, count, true);
    }
}

void view_put_written(struct view *view, struct view_line *line, size_t offset, const void *bytes,
                      size_t length)
{
    memcpy(line->bytes + offset, bytes, length);
    line_set_dirty(view, line, offset, length, false);
    line_set_valid(view, line, offset, length, true);
}

void view_mark_clean(struct view *view, struct view_line *line, size_t offset, size_t length)
{
    line_set_dirty(view, line, offset, length, false);
}

/* --- bytes out --- */

static void line_drop_clean(struct view *view, struct view_line *line, size_t offset, size_t length)
{
    size_t end = offset + length, first, count;
    for (size_t at = offset; view_bits_next(&line->dirty, false, at, end, &first, &count);
         at = first + count)
        line_set_valid(view, line, first, count, false);
}

bool view_drop(struct view *view, struct view_line *line, size_t offset, size_t length)
{
    line_set_dirty(view, line, offset, length, false);
    line_set_valid(view, line, offset, length, false);
    return line_free_if_empty(view, line);
}

bool view_drop_clean(struct view *view, struct view_line *line, size_t offset, size_t length)
{
    line_drop_clean(view, line, offset, length);
    return line_free_if_empty(view, line);
}

void view_drop_all_clean(struct view *view)
{
    struct view_line *line, *after;
    DL_FOREACH_SAFE(view->oldest, line, after)
    {
        line->checked = false;
        view_drop_clean(view, line, 0, VIEW_LINE_SIZE);
    }
}

void view_drop_physical(struct view *view, uint64_t first, uint64_t last,
                        const struct view_line *except)
{
    if (!view->line_count)
        return;
    for (uint64_t page = first & TARGET_PAGE_MASK;; page += VIEW_LINE_SIZE) {
        struct view_line *line = *bucket_of(view, page), *after;
        for (; line; line = after) {
            after = line->physical_next;
            if (line->physical != page || line == except)
                continue;
            size_t from = first > page ? (size_t)(first - page) : 0;
            size_t end = last - page < VIEW_LINE_SIZE ? (size_t)(last - page) + 1 : VIEW_LINE_SIZE;
            view_drop_clean(view, line, from, end - from);
        }
        if (last - page < VIEW_LINE_SIZE)
            return;
    }
}

uint64_t view_discard(struct view *view, uint64_t *first)
{
    struct view_line *line, *after;
    uint64_t dropped = view->dirty_bytes;
    bool any = false;

    DL_FOREACH_SAFE(view->oldest, line, after)
    {
        size_t offset, length;
        for (size_t at = 0; view_next_dirty(line, at, VIEW_LINE_SIZE, &offset, &length);
             at = offset + length) {
            if (first && (!any || line->page + offset < *first))
                *first = line->page + offset;
            any = true;
            line_set_dirty(view, line, offset, length, false);
            line_set_valid(view, line, offset, length, false);
        }
        line_free_if_empty(view, line);
    }
    return dropped;
}

static int compare_pages(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

size_t view_dirty_pages(const struct view *view, uint64_t *pages)
{
    const struct view_line *line;
    size_t count = 0;
    bool rising = true;
    DL_FOREACH(view->oldest, line)
    {
        if (!line->dirty_count)
            continue;
        rising = rising && (!count || pages[count - 1] < line->page);
        pages[count++] = line->page;
    }
    if (!rising)
        qsort(pages, count, sizeof(*pages), compare_pages);
    return count;
}
