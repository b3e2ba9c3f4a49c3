/* When reading ahead is worth it, and how far. */
#include "space/read_ahead.h"

#include "space/page.h"

#include <stdlib.h>

/* Pages read ahead at first, and at most: the window doubles as long as it is used up. */
#define AHEAD_LEAST 2u
#define AHEAD_MOST  32u

/* How many leading pages may be read without having been asked for, and are not there already. */
static size_t pages_wanted(const struct session *session, const struct pages *pages)
{
    size_t count = 0;
    for (; count < pages->count; count++) {
        const struct page *page = &pages->page[count];
        if (page->kind != PAGE_CACHED || page->from_view || page->region.kind != REGION_RAM ||
            view_find(&session->copies.view, page->address))
            break;
    }
    return count;
}

static void keep(struct session *session, const struct page *page, uint64_t epoch,
                 const struct target_span *span)
{
    struct view *view = &session->copies.view;
    struct view_line *line;

    if (!span->done || view_find(view, page->address))
        return;
    while (!view_has_room(view)) {
        if (!view_evict(view))
            return;
    }
    line = view_add(view, page->address, page->physical);
    if (!line)
        return;
    line->checked = true;
    line->epoch = epoch;
    view_put_clean(view, line, 0, span->bytes, span->done);
}

static void read_pages(struct session *session, const struct pages *pages, size_t count)
{
    struct target *target = session->space->target;
    struct target_span span[AHEAD_MOST];
    uint64_t generation = session_generation(session);
    uint8_t *bytes = malloc(count * VIEW_LINE_SIZE);

    if (!bytes)
        return;
    for (size_t i = 0; i < count; i++)
        span[i] = (struct target_span){.address = pages->page[i].address,
                                       .bytes = bytes + i * VIEW_LINE_SIZE,
                                       .length = VIEW_LINE_SIZE};
    target->memory->read_virtual(target, session->client, session->cpu, span, count);
    if (session_generation(session) == generation && !session_ready(session) &&
        target->processors->translation_epoch(target) == pages->epoch)
        for (size_t i = 0; i < count; i++)
            keep(session, &pages->page[i], pages->epoch, &span[i]);
    free(bytes);
}

void read_ahead_after(struct session *session, uint64_t offset, size_t size, bool missed)
{
    bool follows = offset == session->read_next;
    uint64_t next = offset + size;
    /* What is read ahead must not drive out what was read ahead just before. */
    size_t most = session->copies.view.size / VIEW_LINE_SIZE / 4;

    session->read_next = next;
    if (!follows || next < offset) {
        session->read_ahead = 0;
        return;
    }
    if (!missed || size >= (size_t)AHEAD_MOST * TARGET_PAGE_SIZE)
        return;
    session->read_ahead = session->read_ahead ? session->read_ahead * 2 : AHEAD_LEAST;
    if (session->read_ahead > AHEAD_MOST)
        session->read_ahead = AHEAD_MOST;
    if (session->read_ahead > most)
        session->read_ahead = (unsigned)most;
    /* The page of the last byte is there. */
    uint64_t from = ((next - 1) & TARGET_PAGE_MASK) + TARGET_PAGE_SIZE;
    uint64_t to = from + (uint64_t)session->read_ahead * TARGET_PAGE_SIZE;
    if (!session->read_ahead || from < next - 1 || to < from)
        return;
    struct pages *pages = pages_new_count(session->read_ahead);
    if (!pages)
        return;
    pages_cover(pages, from, (size_t)(to - from));
    if (!pages_look_up(session, pages, 0, true) && !session_ready(session)) {
        size_t count = pages_wanted(session, pages);
        if (count)
            read_pages(session, pages, count);
    }
    pages_free(pages);
}
