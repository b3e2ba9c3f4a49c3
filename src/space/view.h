/* A view: one connection's cached picture of the target's virtual memory. Pure data structure, no
 * input or output, never suspends. Lines are pages of the target with a valid and a dirty bit for
 * each byte, so that a write never needs a read first. A dirty byte is always valid; a clean byte
 * is valid and not dirty.
 *
 * A line lives as long as it holds a valid byte: functions that take bytes out free lines that they
 * empty (they say so), pointers to other lines stay good. */
#ifndef SB_SPACE_VIEW_H
#define SB_SPACE_VIEW_H

#include "upstream/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#define VIEW_LINE_SIZE  TARGET_PAGE_SIZE
#define VIEW_LINE_WORDS (VIEW_LINE_SIZE / 64)
#define VIEW_BUCKETS    256u
/* How many lines of several views hold a physical page, by a hash of it: where there are none,
 * nobody need be told of a write. */
#define VIEW_CENSUS_SIZE 4096u
struct view_census {
    uint32_t lines[VIEW_CENSUS_SIZE];
};

/* One bit for each byte of a line. */
struct view_bits {
    uint64_t some; /* bit n: word n is not 0 */
    uint64_t words[VIEW_LINE_WORDS];
};

struct view_line {
    uint64_t page;     /* virtual address, a multiple of the page size */
    uint64_t physical; /* the physical page behind it ... */
    uint64_t epoch;    /* ... as of this translation epoch ... */
    bool checked;      /* ... if it was looked up at all since it may have changed */
    struct view_bits valid, dirty;
    size_t valid_count, dirty_count;
    UT_hash_handle hh;
    struct view_line *prev, *next;   /* by last use, the oldest first */
    struct view_line *physical_next; /* others whose physical page falls in the same bucket */
    uint8_t bytes[VIEW_LINE_SIZE];
};

struct view {
    size_t size;             /* bytes that its lines may hold */
    struct view_line *lines; /* by page */
    struct view_line *oldest;
    struct view_line *by_physical[VIEW_BUCKETS];
    struct view_line *spare;    /* one that was freed, for the next; NULL: none */
    struct view_census *census; /* that its lines are counted in; NULL: none */
    size_t line_count, dirty_lines;
    uint64_t valid_bytes, dirty_bytes;
    uint64_t evictions;
};

void view_init(struct view *view, size_t size);
/* Lines that may hold a byte of that physical page, in all views of the census; never too few. */
uint32_t view_census_lines(const struct view_census *census, uint64_t physical);
/* Forget everything, dirty bytes too. The view stays usable. */
void view_clear(struct view *view);

/* The line of that page, NULL when there is none. */
struct view_line *view_find(const struct view *view, uint64_t page);
/* It was used: evict it last. */
void view_touch(struct view *view, struct view_line *line);
/* A new line without bytes, whether there is room or not; there must be none of that page. NULL:
 * out of memory. Put bytes in before anything else is done with the view. */
struct view_line *view_add(struct view *view, uint64_t page, uint64_t physical);
/* Would one more line keep within the size? */
bool view_has_room(const struct view *view);
/* Free the least recently used line without dirty bytes. False when there is none. */
bool view_evict(struct view *view);
void view_set_physical(struct view *view, struct view_line *line, uint64_t physical);

/* Offsets and lengths are bytes within the line.
 * dirty: as the owner writes. clean: as read from the target, dirty bytes are left as they are.
 * written: as just written to the target, clean whatever they were before. */
void view_put_dirty(struct view *view, struct view_line *line, size_t offset, const void *bytes,
                    size_t length);
void view_put_clean(struct view *view, struct view_line *line, size_t offset, const void *bytes,
                    size_t length);
void view_put_written(struct view *view, struct view_line *line, size_t offset, const void *bytes,
                      size_t length);
/* Dirty bytes of that range become clean: they are in the target, or on their way. */
void view_mark_clean(struct view *view, struct view_line *line, size_t offset, size_t length);
/* Forget bytes of that range: all, or the clean ones. Frees the line when that empties it; returns
 * whether the line is still there. */
bool view_drop(struct view *view, struct view_line *line, size_t offset, size_t length);
bool view_drop_clean(struct view *view, struct view_line *line, size_t offset, size_t length);

/* Forget clean bytes: of all lines, or of a physical range (inclusive) in every line but `except`.
 * Frees lines that this empties, never `except`. */
void view_drop_all_clean(struct view *view);
void view_drop_physical(struct view *view, uint64_t first, uint64_t last,
                        const struct view_line *except);
/* Forget all dirty bytes; returns how many. Frees lines that this empties. *first: address of the
 * first, when there was one. */
uint64_t view_discard(struct view *view, uint64_t *first);

/* The next run of missing (not valid), valid or dirty bytes within [from, end). False: none. */
bool view_next_missing(const struct view_line *line, size_t from, size_t end, size_t *offset,
                       size_t *length);
bool view_next_valid(const struct view_line *line, size_t from, size_t end, size_t *offset,
                     size_t *length);
bool view_next_dirty(const struct view_line *line, size_t from, size_t end, size_t *offset,
                     size_t *length);

/* The addresses of all lines with dirty bytes, rising, into pages (room for view->dirty_lines). */
size_t view_dirty_pages(const struct view *view, uint64_t *pages);

/* The same on a bitmap of a line's bytes: the next run of bits that are set (or not). */
bool view_bits_next(const struct view_bits *bits, bool set, size_t from, size_t end, size_t *offset,
                    size_t *length);

#endif
