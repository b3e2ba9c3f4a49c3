/* What reaches the target, and how it is told from what may have. */
#include "space/transfer.h"

#include "space/doubt.h"

#include <stdio.h>
#include <stdlib.h>

/* Natural accesses handed to the target at once. */
#define NATURAL_SPANS 64

static const struct page *page_of(const struct pages *pages, size_t from, size_t to,
                                  uint64_t address)
{
    uint64_t wanted = address & TARGET_PAGE_MASK;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (pages->page[middle].address == wanted)
            return &pages->page[middle];
        if (pages->page[middle].address < wanted)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

/* The same for spans in rising order, one after the other: *index is where the last one's page was.
 */
static const struct page *page_onward(const struct pages *pages, size_t *index, size_t to,
                                      uint64_t address)
{
    uint64_t wanted = address & TARGET_PAGE_MASK;
    while (*index < to && pages->page[*index].address < wanted)
        (*index)++;
    return *index < to && pages->page[*index].address == wanted ? &pages->page[*index] : NULL;
}

static bool region_holds(const struct target_region *region, uint64_t physical)
{
    return region->first <= physical && physical <= region->last;
}

/* The region of the bytes at physical, and how many of the next length bytes it holds. */
static enum target_error piece_region(struct session *session, const struct page *page,
                                      uint64_t physical, struct target_region *region,
                                      size_t *length)
{
    struct target *target = session->space->target;

    *region = page->region;
    if (!region_holds(region, physical)) {
        enum target_error error =
            target->memory->classify(target, session->client, physical, region);
        if (error)
            return error;
        if (!region_holds(region, physical))
            return TARGET_FAILED;
    }
    if (region->last - physical < *length - 1)
        *length = (size_t)(region->last - physical) + 1;
    return TARGET_OK;
}

/* Is there RAM or ROM behind the whole span, as far as can be told now? */
static bool span_in_memory(struct session *session, const struct page *page,
                           const struct target_span *span)
{
    size_t length = span->length;
    struct target_region region;

    if (page->kind == PAGE_CACHED || page->kind == PAGE_BULK)
        return true;
    if (page->kind != PAGE_MIXED ||
        piece_region(session, page, page->physical + (span->address - page->address), &region,
                     &length) ||
        length < span->length)
        return false;
    return (region.kind == REGION_RAM || region.kind == REGION_ROM) && !region.unreachable;
}

/* The page moved within memory under a write: it went to the one place or the other. */
static void span_moved(struct session *session, enum write_kind kind, const struct page *page,
                       const struct target_span *span)
{
    struct view_line *line = view_find(&session->copies.view, page->address);

    session_changed(session, kind, page->address, page->physical + (span->address - page->address),
                    span->length);
    if (kind == WRITE_UNCACHED)
        return;
    copies_outdated(&session->copies);
    if (line)
        view_drop_clean(&session->copies.view, line, 0, VIEW_LINE_SIZE);
}

/* Virtual spans while the target runs: where their pages were found to lie just now. ROM is written
 * by virtual address alone, so not now. */
static void transfer_running(struct session *session, const struct pages *pages, size_t from,
                             size_t to, struct target_span *span, size_t count, bool write)
{
    struct target *target = session->space->target;
    struct target_span *physical = calloc(count, sizeof(*physical));
    size_t some = 0;

    for (size_t i = 0; i < count; i++) {
        const struct page *page = page_of(pages, from, to, span[i].address);
        uint64_t at = page ? page->physical + (span[i].address - page->address) : 0;
        size_t length = span[i].length;
        struct target_region region;
        span[i].done = 0;
        span[i].error = physical ? TARGET_OK : TARGET_NO_MEMORY;
        if (physical && !page)
            span[i].error = TARGET_FAILED;
        if (!span[i].error && length)
            span[i].error = piece_region(session, page, at, &region, &length);
        if (span[i].error || !span[i].length)
            continue;
        if (region.unreachable || (region.kind != REGION_RAM && region.kind != REGION_ROM))
            span[i].error = TARGET_FAULT;
        else if (length < span[i].length || (write && region.kind == REGION_ROM))
            span[i].error = TARGET_RUNNING;
        else
            physical[some++] =
                (struct target_span){.address = at, .bytes = span[i].bytes, .length = length};
    }
    if (some && write)
        target->memory->write_physical(target, session->client, TARGET_ACCESS_BULK, physical, some);
    else if (some)
        target->memory->read_physical(target, session->client, TARGET_ACCESS_BULK, physical, some);
    some = 0;
    for (size_t i = 0; i < count; i++) {
        if (span[i].error || !span[i].length)
            continue;
        span[i].done = physical[some].done;
        span[i].error = physical[some++].error;
    }
    free(physical);
}

void transfer_read_pages(struct session *session, const struct pages *pages, size_t from, size_t to,
                         struct target_span *span, size_t count)
{
    struct target *target = session->space->target;

    if (session_live(session, true))
        transfer_running(session, pages, from, to, span, count, false);
    else
        target->memory->read_virtual(target, session->client, session->cpu, span, count);
}

/* A virtual write is answered OK even when it hit a device, and was lost (QEMU below 10.0). Where
 * translations may have moved since they were made (by these very writes, when they hit page
 * tables), look again: what may have missed RAM and ROM was not written. */
static void verify_pages(struct session *session, enum write_kind kind, const struct pages *pages,
                         size_t from, size_t to, struct target_span *span, size_t count)
{
    struct pages *again = pages_new_count(to - from);
    enum target_error error = TARGET_NO_MEMORY;

    if (again) {
        again->count = to - from;
        for (size_t i = 0; i < again->count; i++)
            again->page[i] = pages->page[from + i];
        error = pages_look_up(session, again, 0, false);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t address = span[i].address & TARGET_PAGE_MASK;
        const struct page *before = page_of(pages, from, to, address);
        const struct page *page = error ? NULL : page_of(again, 0, again->count, address);
        if (!page) {
            /* It cannot be told. Nothing of these writes came before the first page's. */
            if (before == &pages->page[from])
                continue;
        } else if (span_in_memory(session, page, &span[i])) {
            if (page->physical != before->physical)
                span_moved(session, kind, page, &span[i]);
            continue;
        }
        if (span[i].done) {
            span[i].done = 0;
            span[i].error = page ? TARGET_FAULT : error;
        }
    }
    pages_free(again);
}

enum target_error transfer_write_pages(struct session *session, enum write_kind kind,
                                       const struct pages *pages, size_t from, size_t to,
                                       struct target_span *span, size_t count)
{
    struct target *target = session->space->target;

    if (!count)
        return TARGET_OK;
    bool live = session_live(session, true);
    if (live)
        transfer_running(session, pages, from, to, span, count, true);
    else
        target->memory->write_virtual(target, session->client, session->cpu, span, count);
    /* Also what was not acknowledged may have arrived. */
    for (size_t i = 0, at = from; i < count; i++) {
        const struct page *page = page_onward(pages, &at, to, span[i].address);
        session_changed(session, kind, page->address,
                        page->physical + (span[i].address - page->address), span[i].length);
    }
    if (!live && target->processors->translation_epoch(target) != pages->epoch)
        verify_pages(session, kind, pages, from, to, span, count);
    for (size_t i = 0; i < count; i++) {
        if (span[i].done < span[i].length)
            return span[i].error ? span[i].error : TARGET_FAILED;
    }
    return TARGET_OK;
}

/* Cut the next NATURAL_SPANS accesses off the front; returns how many. */
static size_t natural_spans(uint64_t physical, uint8_t *bytes, size_t length,
                            struct target_span *span)
{
    size_t count = 0;
    while (length && count < NATURAL_SPANS) {
        size_t width = 8;
        while (width > length || physical % width)
            width /= 2;
        span[count++] = (struct target_span){.address = physical, .bytes = bytes, .length = width};
        physical += width;
        bytes += width;
        length -= width;
    }
    return count;
}

static enum target_error natural_done(const struct natural *natural, const struct target_span *span,
                                      size_t count, size_t *done, char *reason)
{
    const struct target_region *region = natural->region;

    for (size_t i = 0; i < count; i++) {
        if (span[i].done < span[i].length) {
            enum target_error error = span[i].error ? span[i].error : TARGET_FAILED;
            if (error == TARGET_FAULT && region->kind == REGION_DEVICE)
                snprintf(reason, SESSION_REASON_SIZE, "%s refused an access of %zu byte%s",
                         region->name[0] ? region->name : region_kind_text(region->kind),
                         span[i].length, span[i].length == 1 ? "" : "s");
            else
                snprintf(reason, SESSION_REASON_SIZE, "%s", target_error_text(error));
            return error;
        }
        *done += span[i].length;
    }
    return TARGET_OK;
}

/* The next accesses, of which the first lies that far behind natural's. */
static void natural_access(struct session *session, const struct natural *natural, size_t offset,
                           struct target_span *span, size_t count, bool write)
{
    struct target *target = session->space->target;
    struct target_seen seen;
    const char *doubt = NULL;

    if (natural->region->kind == REGION_DEVICE && target->memory->access_device) {
        if (natural->seen)
            seen = (struct target_seen){natural->seen->cpu, natural->seen->address + offset};
        target->memory->access_device(target, session->client, natural->seen ? &seen : NULL, span,
                                      count, write, &doubt);
        if (doubt && span[0].done)
            doubt_note(session, natural->region, span[0].address, write, doubt);
    } else if (write) {
        target->memory->write_physical(target, session->client, TARGET_ACCESS_NATURAL, span, count);
    } else {
        target->memory->read_physical(target, session->client, TARGET_ACCESS_NATURAL, span, count);
    }
}

enum target_error transfer_read_natural(struct session *session, const struct natural *natural,
                                        size_t *done, char *reason)
{
    struct target_span span[NATURAL_SPANS];
    enum target_error error = TARGET_OK;

    for (*done = 0; *done < natural->length && !error;) {
        size_t count = natural_spans(natural->physical + *done, natural->bytes + *done,
                                     natural->length - *done, span);
        natural_access(session, natural, *done, span, count, false);
        error = natural_done(natural, span, count, done, reason);
    }
    return error;
}

enum target_error transfer_write_natural(struct session *session, const struct natural *natural,
                                         enum write_kind kind, uint64_t page, size_t *done,
                                         char *reason)
{
    struct target_span span[NATURAL_SPANS];
    enum target_error error = TARGET_OK;
    const size_t length = natural->length;

    for (*done = 0; *done < length && !error;) {
        uint64_t at = natural->physical + *done;
        size_t before = *done;
        size_t count = natural_spans(at, natural->bytes + *done, length - *done, span);
        natural_access(session, natural, *done, span, count, true);
        error = natural_done(natural, span, count, done, reason);
        size_t tried = error ? *done - before + 8 : *done - before;
        session_changed(session, kind, page, at, tried < length - before ? tried : length - before);
    }
    return error;
}

static enum target_error piece_refused(const struct target_region *region, char *reason)
{
    if (region->unreachable) {
        snprintf(reason, SESSION_REASON_SIZE, "nothing upstream can reach %s",
                 region->name[0] ? region->name : region_kind_text(region->kind));
        return TARGET_FAULT;
    }
    if (region->kind == REGION_NONE) {
        snprintf(reason, SESSION_REASON_SIZE, "page mapped to a hole in physical memory");
        return TARGET_FAULT;
    }
    return TARGET_OK;
}

enum target_error transfer_read_piece(struct session *session, const struct pages *pages,
                                      size_t index, size_t first, uint8_t *bytes, size_t length,
                                      size_t *done, char *reason)
{
    const struct page *page = &pages->page[index];
    enum target_error error = TARGET_OK;

    *reason = '\0';
    for (*done = 0; *done < length && !error;) {
        uint64_t physical = page->physical + first + *done;
        struct target_region region;
        size_t part = length - *done, got = 0;
        error = piece_region(session, page, physical, &region, &part);
        if (!error)
            error = piece_refused(&region, reason);
        if (error)
            break;
        if (region.kind == REGION_DEVICE) {
            struct target_seen seen = {session->cpu, page->address + first + *done};
            struct natural natural = {&region, &seen, physical, bytes + *done, part};
            error = transfer_read_natural(session, &natural, &got, reason);
        } else {
            struct target_span span = {page->address + first + *done, bytes + *done, part, 0, 0};
            transfer_read_pages(session, pages, index, index + 1, &span, 1);
            error = span.error;
            got = span.done;
        }
        *done += got;
    }
    if (error && !*reason)
        snprintf(reason, SESSION_REASON_SIZE, "%s", target_error_text(error));
    return error;
}

enum target_error transfer_write_piece(struct session *session, enum write_kind kind,
                                       const struct pages *pages, size_t index, size_t first,
                                       const uint8_t *bytes, size_t length, size_t *done,
                                       char *reason)
{
    const struct page *page = &pages->page[index];
    enum target_error error = TARGET_OK;

    *reason = '\0';
    for (*done = 0; *done < length && !error;) {
        uint64_t physical = page->physical + first + *done;
        struct target_region region;
        size_t part = length - *done, put = 0;
        error = piece_region(session, page, physical, &region, &part);
        if (!error)
            error = piece_refused(&region, reason);
        if (error)
            break;
        if (region.kind == REGION_DEVICE) {
            struct target_seen seen = {session->cpu, page->address + first + *done};
            struct natural natural = {&region, &seen, physical, (uint8_t *)bytes + *done, part};
            error = transfer_write_natural(session, &natural, kind, page->address, &put, reason);
            session_device_written(session, kind);
        } else {
            struct target_span span = {page->address + first + *done, (uint8_t *)bytes + *done,
                                       part, 0, 0};
            error = transfer_write_pages(session, kind, pages, index, index + 1, &span, 1);
            put = span.done;
        }
        *done += put;
    }
    if (error && !*reason)
        snprintf(reason, SESSION_REASON_SIZE, "%s", target_error_text(error));
    return error;
}
