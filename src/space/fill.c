/* FillVirtual and FillPhysical: a pattern over and over; the last copy may be cut short, and a
 * pattern longer than the range is cut to it. */
#include "space/core.h"
#include "space/flush.h"
#include "space/page.h"
#include "space/session.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the pattern's copies that are written at once. */
#define FILL_PIECE ((size_t)1024 * 1024)

struct fill {
    struct session *session;
    const char *name;
    uint64_t start;
    uint32_t asked, size, done; /* size: cut at the top of the space */
    const uint8_t *pattern;
    uint32_t pattern_size;
    bool quick; /* the target may have a quicker way for this pattern */
    HRESULT hr; /* of what stopped it */
};

static bool pattern_uniform(const uint8_t *pattern, uint32_t size)
{
    return size == 1 || memcmp(pattern, pattern + 1, size - 1) == 0;
}

/* What can be filled at once from here on, if anything: length bytes of RAM at physical. */

/* RAM in the physical space. */
static bool physical_extent(const struct fill *fill, uint64_t *physical, uint64_t *length)
{
    struct target *target = fill->session->space->target;
    struct target_region region;

    *physical = fill->start + fill->done;
    *length = fill->size - fill->done;
    if (target->memory->classify(target, fill->session->client, *physical, &region) ||
        region.kind != REGION_RAM || region.unreachable || *physical < region.first ||
        *physical > region.last)
        return false;
    if (*length - 1 > region.last - *physical)
        *length = region.last - *physical + 1;
    return true;
}

/* RAM behind virtual pages that lie one behind the other. */
static bool virtual_extent(const struct fill *fill, struct pages *pages, uint64_t *physical,
                           uint64_t *length)
{
    *length = 0;
    pages_cover(pages, fill->start + fill->done, fill->size - fill->done);
    if (pages_look_up(fill->session, pages, 0, false))
        return false;
    for (size_t i = 0; i < pages->count; i++) {
        const struct page *page = &pages->page[i];
        uint64_t at = page->physical + page->first;
        if ((page->kind != PAGE_CACHED && page->kind != PAGE_BULK) ||
            page->region.kind != REGION_RAM || at < page->region.first || at > page->region.last ||
            page->length - 1 > page->region.last - at || (i > 0 && at != *physical + *length))
            break;
        if (i == 0)
            *physical = at;
        *length += page->length;
    }
    return *length > 0;
}

/* False: it is to be written instead. */
static bool fill_quickly(struct fill *fill, struct pages *pages)
{
    struct session *session = fill->session;
    struct target *target = session->space->target;
    uint64_t physical, length, done = 0;

    /* What waits in the view was written before. */
    if (session->copies.view.dirty_bytes || session->flushing) {
        fill->hr = flush_before(session, fill->name, fill->start + fill->done);
        if (FAILED(fill->hr))
            return true;
    }
    if (session_memory_ready(session, pages != NULL) ||
        !(pages ? virtual_extent(fill, pages, &physical, &length)
                : physical_extent(fill, &physical, &length)))
        return false;
    enum target_error error = target->memory->fill_physical(target, session->client, physical,
                                                            length, fill->pattern[0], &done);
    session_changed(session, WRITE_PHYSICAL, 0, physical, (size_t)length);
    fill->done += (uint32_t)done;
    fill->quick = error == TARGET_OK;
    return done > 0;
}

static void fill_slowly(struct fill *fill, uint8_t *copies, bool is_virtual)
{
    struct session *session = fill->session;
    uint32_t length = fill->size - fill->done, moved = 0;
    uint64_t at = fill->start + fill->done;

    /* Up to a whole number of pages, and of a device not more than a page: it may be RAM behind it.
     */
    if (length > FILL_PIECE)
        length = (uint32_t)FILL_PIECE;
    if (fill->quick && length > TARGET_PAGE_SIZE - at % TARGET_PAGE_SIZE)
        length = (uint32_t)(TARGET_PAGE_SIZE - at % TARGET_PAGE_SIZE);
    for (uint32_t i = 0; i < length; i++)
        copies[i] = fill->pattern[(fill->done + i) % fill->pattern_size];
    if (is_virtual)
        fill->hr = session_write_virtual(session, at, copies, length, &moved);
    else
        fill->hr = session_write_physical(session, fill->name, at, DEBUG_PHYSICAL_DEFAULT, copies,
                                          length, &moved);
    fill->done += moved;
    if (SUCCEEDED(fill->hr) && moved < length)
        fill->hr = SB_ERROR_WRITE_FAULT;
}

static HRESULT fill_finish(struct fill *fill, uint32_t *done)
{
    char why[SESSION_MESSAGE_SIZE];

    if (done)
        *done = fill->done;
    if (FAILED(fill->hr)) {
        snprintf(why, sizeof(why), "%s", fill->session->message);
        session_fail(fill->session, fill->hr,
                     "%s at 0x%" PRIx64 ": %" PRIu32 " of %" PRIu32 " bytes filled: %.300s",
                     fill->name, fill->start + fill->done, fill->done, fill->asked, why);
    }
    return fill->done ? S_OK : fill->hr;
}

static HRESULT fill_all(struct fill *fill, bool is_virtual, uint32_t *done)
{
    struct session *session = fill->session;
    struct target *target = session->space->target;
    struct pages *pages = NULL;
    uint8_t *copies = NULL;

    session->message[0] = '\0';
    if (done)
        *done = 0;
    if (!fill->pattern_size)
        return session_fail(session, E_INVALIDARG, "%s at 0x%" PRIx64 ": the pattern is empty",
                            fill->name, fill->start);
    fill->size = (uint32_t)bytes_clip(fill->start, fill->size);
    if (!fill->size)
        return S_OK;
    fill->quick = target->memory->fill_physical && fill->size >= TARGET_PAGE_SIZE &&
                  pattern_uniform(fill->pattern, fill->pattern_size);
    copies = malloc(fill->size < FILL_PIECE ? fill->size : FILL_PIECE);
    if (is_virtual && fill->quick)
        pages = pages_new(fill->start, fill->size);
    if (!copies || (is_virtual && fill->quick && !pages))
        fill->hr = session_fail(session, E_OUTOFMEMORY, "out of memory");
    while (SUCCEEDED(fill->hr) && fill->done < fill->size)
        if (!fill->quick || !fill_quickly(fill, pages))
            fill_slowly(fill, copies, is_virtual);
    free(copies);
    pages_free(pages);
    return fill_finish(fill, done);
}

HRESULT session_fill_virtual(struct session *session, uint64_t start, uint32_t size,
                             const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    struct fill fill = {.session = session,
                        .name = "FillVirtual",
                        .start = start,
                        .asked = size,
                        .size = size,
                        .pattern = pattern,
                        .pattern_size = pattern_size};
    return fill_all(&fill, true, filled);
}

HRESULT session_fill_physical(struct session *session, uint64_t start, uint32_t size,
                              const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    struct fill fill = {.session = session,
                        .name = "FillPhysical",
                        .start = start,
                        .asked = size,
                        .size = size,
                        .pattern = pattern,
                        .pattern_size = pattern_size};
    return fill_all(&fill, false, filled);
}
