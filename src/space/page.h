/* What lies behind the pages of a call. */
#ifndef SB_SPACE_PAGE_H
#define SB_SPACE_PAGE_H

#include "space/core.h"

enum page_kind {
    PAGE_FAULT,  /* not mapped, or it could not be told: see error */
    PAGE_CACHED, /* RAM or ROM outside BARs, the whole page: the view may hold it */
    PAGE_BULK,   /* RAM in a BAR, the whole page: passed through, in bulk */
    PAGE_MIXED,  /* a device, a hole, out of reach, or several of all these: piece by piece */
};

struct page {
    uint64_t address;     /* virtual, of the page */
    size_t first, length; /* the bytes of it that are wanted */
    enum page_kind kind;
    enum target_error error; /* of PAGE_FAULT */
    bool from_view;          /* the view knew: region holds nothing */
    uint64_t physical;       /* of the page */
    struct target_region region;
};

/* The next pages of a call, in one block of memory. */
struct pages {
    size_t capacity, count;
    uint64_t epoch; /* of what was found */
    uint64_t *addresses;
    struct target_translation *found;
    struct page *page;
};

/* For a range of size bytes at offset, at most SPACE_BATCH_PAGES at a time. NULL: out of memory. */
struct pages *pages_new(uint64_t offset, size_t size);
/* For count pages. */
struct pages *pages_new_count(size_t count);
void pages_free(struct pages *pages);
/* Fill in addresses, first and length for the range, as far as it fits. */
void pages_cover(struct pages *pages, uint64_t offset, size_t size);
/* Find out what lies behind page[from..count). by_view: a line that is up to date answers for its
 * page. Not TARGET_OK when nothing could be told of any. Suspends. */
enum target_error pages_look_up(struct session *session, struct pages *pages, size_t from,
                                bool by_view);
/* Bring this page's line, if any, in step with what was found: a line whose page moved loses its
 * clean bytes. The line may be freed. */
struct view_line *page_settle(struct session *session, const struct page *page, uint64_t epoch);

#endif
