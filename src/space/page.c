/* How it is found out what lies behind pages, while that may be moving. */
#include "space/page.h"

#include <stdlib.h>

/* Translations that move while they are made are made again this often; a target that never comes
 * to rest is then used as it was found, and what was found is checked again next time. */
#define LOOK_UP_ATTEMPTS 4

struct pages *pages_new_count(size_t count)
{
    const size_t each = sizeof(struct page) + sizeof(struct target_translation) + sizeof(uint64_t);
    struct pages *pages = malloc(sizeof(*pages) + count * each);
    if (!pages)
        return NULL;
    pages->capacity = count;
    pages->count = 0;
    pages->epoch = 0;
    pages->page = (struct page *)(pages + 1);
    pages->found = (struct target_translation *)(pages->page + count);
    pages->addresses = (uint64_t *)(pages->found + count);
    return pages;
}

struct pages *pages_new(uint64_t offset, size_t size)
{
    size_t lead = (size_t)(offset % TARGET_PAGE_SIZE);
    size_t count = size / TARGET_PAGE_SIZE;
    count += (lead + size % TARGET_PAGE_SIZE + TARGET_PAGE_SIZE - 1) / TARGET_PAGE_SIZE;
    return pages_new_count(count < SPACE_BATCH_PAGES ? count : SPACE_BATCH_PAGES);
}

void pages_free(struct pages *pages)
{
    free(pages);
}

void pages_cover(struct pages *pages, uint64_t offset, size_t size)
{
    pages->count = 0;
    while (size && pages->count < pages->capacity) {
        struct page *page = &pages->page[pages->count++];
        page->address = offset & TARGET_PAGE_MASK;
        page->first = (size_t)(offset - page->address);
        page->length = TARGET_PAGE_SIZE - page->first;
        if (page->length > size)
            page->length = size;
        offset += page->length;
        size -= page->length;
    }
}

static bool region_cacheable(const struct target_region *region)
{
    return (region->kind == REGION_RAM || region->kind == REGION_ROM) && !region->pci_bar &&
           !region->unknown;
}

static enum page_kind region_page_kind(const struct target_region *region)
{
    if (region->unreachable || (region->kind != REGION_RAM && region->kind != REGION_ROM))
        return PAGE_MIXED;
    return region->pci_bar || region->unknown ? PAGE_BULK : PAGE_CACHED;
}

/* The first region ends within the page: it is cached only if the others are memory too. */
static enum target_error kind_of_parts(struct session *session, struct page *page)
{
    struct target *target = session->space->target;
    struct target_region region = page->region;
    uint64_t last = page->physical + (TARGET_PAGE_SIZE - 1);

    page->kind = PAGE_MIXED;
    while (region_cacheable(&region) && !region.unreachable) {
        if (region.last >= last) {
            page->kind = PAGE_CACHED;
            return TARGET_OK;
        }
        uint64_t at = region.last + 1;
        enum target_error error = target->memory->classify(target, session->client, at, &region);
        if (error)
            return error;
        if (region.first > at || region.last < at)
            return TARGET_FAILED;
    }
    return TARGET_OK;
}

static enum target_error page_found(struct session *session, struct page *page,
                                    const struct target_translation *found)
{
    struct target *target = session->space->target;

    page->from_view = false;
    page->error = found->error;
    if (found->error) {
        page->kind = PAGE_FAULT;
        return TARGET_OK;
    }
    page->physical = found->physical & TARGET_PAGE_MASK;
    page->region = found->region;
    page->kind = region_page_kind(&page->region);
    /* Without a physical space there is nothing more to know. */
    if (!target->about->info(target)->physical) {
        page->region.first = 0;
        page->region.last = UINT64_MAX;
        return TARGET_OK;
    }
    if (page->kind != PAGE_MIXED && page->region.last - page->physical < TARGET_PAGE_SIZE - 1)
        return kind_of_parts(session, page);
    return TARGET_OK;
}

enum target_error pages_look_up(struct session *session, struct pages *pages, size_t from,
                                bool by_view)
{
    struct target *target = session->space->target;

    for (int attempt = 0; attempt < LOOK_UP_ATTEMPTS; attempt++) {
        size_t unknown = 0;
        pages->epoch = target->processors->translation_epoch(target);
        for (size_t i = from; i < pages->count; i++) {
            struct page *page = &pages->page[i];
            struct view_line *line =
                by_view ? view_find(&session->copies.view, page->address) : NULL;
            page->from_view = line && line->checked && line->epoch == pages->epoch;
            if (page->from_view) {
                page->kind = PAGE_CACHED;
                page->error = TARGET_OK;
                page->physical = line->physical;
                page->region.first = 1; /* no region holds anything */
                page->region.last = 0;
            } else {
                pages->addresses[unknown++] = page->address;
            }
        }
        if (!unknown)
            return TARGET_OK;
        enum target_error error = target->processors->translate(
            target, session->client, session->cpu, pages->addresses, unknown, pages->found);
        unknown = 0;
        for (size_t i = from; !error && i < pages->count; i++) {
            if (!pages->page[i].from_view)
                error = page_found(session, &pages->page[i], &pages->found[unknown++]);
        }
        if (error)
            return error;
        if (target->processors->translation_epoch(target) == pages->epoch)
            return TARGET_OK;
        /* While it runs nothing can be held still: good for what is done at once. */
        if (session_live(session, true))
            return TARGET_OK;
    }
    return TARGET_OK;
}

struct view_line *page_settle(struct session *session, const struct page *page, uint64_t epoch)
{
    struct view_line *line = view_find(&session->copies.view, page->address);
    if (!line || page->from_view)
        return line;
    if (page->kind != PAGE_CACHED) {
        line->checked = false;
        return view_drop_clean(&session->copies.view, line, 0, VIEW_LINE_SIZE) ? line : NULL;
    }
    if (line->physical != page->physical) {
        /* Clean bytes are those of another page. Dirty ones are virtual writes: they go where the
         * address points when they are flushed. */
        if (!view_drop_clean(&session->copies.view, line, 0, VIEW_LINE_SIZE))
            return NULL;
        view_set_physical(&session->copies.view, line, page->physical);
    }
    line->checked = true;
    line->epoch = epoch;
    return line;
}
