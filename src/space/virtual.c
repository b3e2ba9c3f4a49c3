/* The calls on virtual memory: by the view, and past it. */
#include "space/behind.h"
#include "space/call.h"
#include "space/core.h"
#include "space/flush.h"
#include "space/page.h"
#include "space/read_ahead.h"
#include "space/session.h"
#include "space/transfer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- shared by all four --- */

static bool page_bulk(const struct page *page)
{
    return page->kind == PAGE_CACHED || page->kind == PAGE_BULK;
}

static const char *page_fault_text(const struct page *page)
{
    return page->error == TARGET_FAULT ? "page not mapped" : target_error_text(page->error);
}

/* Is there anything to do, and may it be done? */
static bool call_may_start(struct call *call)
{
    if (!call->size)
        return false;
    enum target_error error = session_memory_ready(call->session, true);
    if (error)
        call_stop(call, error, NULL);
    return !error;
}

/* Look up the next pages of a call. False: it stops here. by_view: for the view, which is of a
 * halted target. */
static bool call_look_up(struct call *call, struct pages *pages, bool by_view)
{
    pages_cover(pages, call->offset + call->done, call->size - call->done);
    enum target_error error = pages_look_up(call->session, pages, 0, by_view);
    /* The target may have been resumed, or lost, while it was asked. */
    if (!error)
        error = by_view ? session_ready(call->session) : session_memory_ready(call->session, true);
    if (error)
        call_stop(call, error, NULL);
    return !error;
}

/* Did the call on the view stop because the target runs, and can it go on past the view? The bytes
 * that wait in the view go first. */
static bool call_goes_on(struct call *call)
{
    struct session *session = call->session;

    if (call->hr || call->error != TARGET_RUNNING || !session_live(session, true))
        return false;
    call->error = TARGET_OK;
    return flush_within(call);
}

/* Put bytes that are in the target as well into the view, as far as there is room. */
static void view_keep(struct session *session, const struct page *page, uint64_t epoch,
                      bool written, size_t offset, const uint8_t *bytes, size_t length)
{
    struct view *view = &session->copies.view;
    struct view_line *line = view_find(view, page->address);

    if (!length)
        return;
    if (!line) {
        while (!view_has_room(view)) {
            if (!view_evict(view))
                return;
        }
        line = view_add(view, page->address, page->physical);
        if (!line)
            return;
        line->checked = true;
        line->epoch = epoch;
    }
    if (written)
        view_put_written(view, line, offset, bytes, length);
    else
        view_put_clean(view, line, offset, bytes, length);
}

/* --- reads --- */

/* One page's part in a step of a cached read: what of it is asked of the target. */
struct slot {
    struct target_span span;       /* length 0: the view has it all */
    struct view_bits valid;        /* bytes that the view had */
    uint8_t bytes[VIEW_LINE_SIZE]; /* of the page, as read */
};

/* The span of bytes in [from, end) that the view did not have; false: none. */
static bool slot_missing(const struct slot *slot, size_t from, size_t end, size_t *first,
                         size_t *length)
{
    size_t offset, count, last;
    if (!view_bits_next(&slot->valid, false, from, end, first, &count))
        return false;
    last = *first + count;
    while (view_bits_next(&slot->valid, false, last, end, &offset, &count))
        last = offset + count;
    *length = last - *first;
    return true;
}

/* Copy what the view has into the buffer, and aim the slot's span at what it has not: all of the
 * page's missing bytes, so that the next read finds them. */
static void slot_prepare(struct session *session, const struct page *page, struct view_line *line,
                         struct slot *slot, uint8_t *buffer)
{
    size_t end = page->first + page->length, first = 0, length = 0;

    memset(&slot->span, 0, sizeof(slot->span));
    if (line)
        slot->valid = line->valid;
    else
        memset(&slot->valid, 0, sizeof(slot->valid));
    for (size_t at = page->first; line && view_next_valid(line, at, end, &first, &length);
         at = first + length)
        memcpy(buffer + (first - page->first), line->bytes + first, length);
    if (!slot_missing(slot, page->first, end, &first, &length)) {
        session->hits++;
        view_touch(&session->copies.view, line);
        return;
    }
    session->misses++;
    slot_missing(slot, 0, VIEW_LINE_SIZE, &first, &length);
    slot->span = (struct target_span){
        .address = page->address + first, .bytes = slot->bytes + first, .length = length};
}

/* Copy what a span has brought into the buffer, where the view had nothing, and into the view.
 * Returns how many bytes of the page's wanted ones are there now, from the first. */
static size_t slot_arrived(struct session *session, const struct page *page, uint64_t epoch,
                           const struct slot *slot, const struct target_span *span, bool keep,
                           uint8_t *buffer)
{
    size_t end = page->first + page->length, first, length;
    size_t low = (size_t)(span->address - page->address), high = low + span->done;

    /* Only what was missing: a clean byte stays as old as it is until it is dropped. */
    for (size_t at = low; keep && view_bits_next(&slot->valid, false, at, high, &first, &length);
         at = first + length)
        view_keep(session, page, epoch, false, first, slot->bytes + first, length);
    for (size_t at = page->first; view_bits_next(&slot->valid, false, at, end, &first, &length);
         at = first + length) {
        if (first < low || first >= high)
            return first - page->first;
        size_t there = first + length <= high ? length : high - first;
        memcpy(buffer + (first - page->first), slot->bytes + first, there);
        if (there < length)
            return first + there - page->first;
    }
    return page->length;
}

/* The page could not be read as a whole: perhaps the bytes that are wanted can be. Returns as
 * slot_arrived. */
static size_t slot_retry(struct session *session, const struct page *page, uint64_t epoch,
                         struct slot *slot, size_t got, uint8_t *buffer, enum target_error *error)
{
    struct target *target = session->space->target;
    size_t first, length;

    if (*error != TARGET_FAULT && *error != TARGET_FAILED)
        return got;
    if (!slot_missing(slot, page->first, page->first + page->length, &first, &length) ||
        length == slot->span.length)
        return got;
    struct target_span span = {page->address + first, slot->bytes + first, length, 0, TARGET_OK};
    uint64_t generation = session_generation(session);
    *error = target->memory->read_virtual(target, session->client, session->cpu, &span, 1);
    return slot_arrived(session, page, epoch, slot, &span,
                        session_generation(session) == generation, buffer);
}

/* Bytes of a page that only the view, or an access of its own kind, can answer. */
static void read_page_alone(struct call *call, const struct pages *pages, uint8_t *buffer)
{
    struct session *session = call->session;
    const struct page *page = &pages->page[0];
    size_t end = page->first + page->length;

    for (size_t at = page->first; at < end;) {
        const struct view_line *line = view_find(&session->copies.view, page->address);
        char reason[SESSION_REASON_SIZE];
        size_t first, length;
        if (line && view_next_valid(line, at, end, &first, &length) && first == at) {
            memcpy(buffer + (at - page->first), line->bytes + at, length);
            call->done += length;
            at += length;
            continue;
        }
        if (page->kind == PAGE_FAULT) {
            call_stop(call, page->error, "%s", page_fault_text(page));
            return;
        }
        if (!line || !view_next_missing(line, at, end, &first, &length))
            length = end - at;
        enum target_error error = transfer_read_piece(
            session, pages, 0, at, buffer + (at - page->first), length, &length, reason);
        call->done += length;
        at += length;
        if (error) {
            call_stop(call, error, "%s", reason);
            return;
        }
    }
}

/* Read leading pages of memory together; each page's slot says what is missing. */
static void read_pages(struct call *call, const struct pages *pages, size_t count, uint8_t *buffer,
                       struct slot *slots, struct target_span *span)
{
    struct session *session = call->session;
    struct target *target = session->space->target;
    uint64_t generation = session_generation(session);
    size_t asked = 0, at = 0;

    for (size_t i = 0; i < count; at += pages->page[i++].length) {
        const struct page *page = &pages->page[i];
        struct view_line *line = page_settle(session, page, pages->epoch);
        if (page->kind == PAGE_CACHED)
            slot_prepare(session, page, line, &slots[i], buffer + at);
        else
            slots[i].span = (struct target_span){.address = page->address + page->first,
                                                 .bytes = buffer + at,
                                                 .length = page->length};
        if (slots[i].span.length)
            span[asked++] = slots[i].span;
    }
    if (asked)
        target->memory->read_virtual(target, session->client, session->cpu, span, asked);

    asked = at = 0;
    for (size_t i = 0; i < count; at += pages->page[i++].length) {
        const struct page *page = &pages->page[i];
        if (!slots[i].span.length) {
            call->done += page->length;
            continue;
        }
        struct target_span *answer = &span[asked++];
        enum target_error error = answer->error ? answer->error : TARGET_FAILED;
        size_t got = answer->done;
        if (page->kind == PAGE_CACHED) {
            got = slot_arrived(session, page, pages->epoch, &slots[i], answer,
                               session_generation(session) == generation, buffer + at);
            if (got < page->length)
                got = slot_retry(session, page, pages->epoch, &slots[i], got, buffer + at, &error);
        }
        call->done += got;
        if (got < page->length) {
            call_stop(call, error ? error : TARGET_FAILED, NULL);
            return;
        }
    }
}

static void read_cached(struct call *call, struct pages *pages, uint8_t *buffer)
{
    struct session *session = call->session;
    struct slot *slots = malloc(pages->capacity * sizeof(*slots));
    struct target_span *span = malloc(pages->capacity * sizeof(*span));

    uint64_t misses = session->misses;

    if (!slots || !span)
        call_stop(call, TARGET_NO_MEMORY, NULL);
    while (!call->error && call->done < call->size && call_look_up(call, pages, true)) {
        size_t count = 0;
        while (count < pages->count &&
               (pages->page[count].kind == PAGE_CACHED ||
                (pages->page[count].kind == PAGE_BULK &&
                 !view_find(&session->copies.view, pages->page[count].address))))
            count++;
        if (count) {
            read_pages(call, pages, count, buffer + call->done, slots, span);
        } else {
            page_settle(session, &pages->page[0], pages->epoch);
            read_page_alone(call, pages, buffer + call->done);
        }
    }
    if (!call->error && call->done == call->size)
        read_ahead_after(session, call->offset, call->size, session->misses != misses);
    free(slots);
    free(span);
}

static void read_uncached(struct call *call, struct pages *pages, uint8_t *buffer)
{
    struct session *session = call->session;
    struct target_span *span = malloc(pages->capacity * sizeof(*span));

    if (!span)
        call_stop(call, TARGET_NO_MEMORY, NULL);
    while (!call->error && call->done < call->size && call_look_up(call, pages, false)) {
        const struct page *page = pages->page;
        uint8_t *into = buffer + call->done;
        size_t count = 0;
        for (; count < pages->count && page_bulk(&page[count]); count++) {
            span[count] = (struct target_span){.address = page[count].address + page[count].first,
                                               .bytes = into,
                                               .length = page[count].length};
            into += page[count].length;
        }
        if (!count && page->kind == PAGE_FAULT) {
            call_stop(call, page->error, "%s", page_fault_text(page));
        } else if (!count) {
            char reason[SESSION_REASON_SIZE];
            size_t got;
            enum target_error error = transfer_read_piece(session, pages, 0, page->first, into,
                                                          page->length, &got, reason);
            call->done += got;
            if (error)
                call_stop(call, error, "%s", reason);
        } else {
            transfer_read_pages(session, pages, 0, count, span, count);
            for (size_t i = 0; i < count && !call->error; i++) {
                call->done += span[i].done;
                if (span[i].done < span[i].length)
                    call_stop(call, span[i].error ? span[i].error : TARGET_FAILED, NULL);
            }
        }
    }
    free(span);
}

/* --- writes --- */

/* After bytes of a page went to the target past the view: the view follows, as far as they were
 * written. What was not acknowledged may have arrived or not. */
static void view_follow(struct session *session, const struct page *page, uint64_t epoch, bool keep,
                        const uint8_t *bytes, size_t done)
{
    struct view *view = &session->copies.view;

    if (keep && page->kind == PAGE_CACHED) {
        view_keep(session, page, epoch, true, page->first, bytes, done);
    } else if (done) {
        struct view_line *line = view_find(view, page->address);
        if (line)
            view_drop(view, line, page->first, done);
    }
    struct view_line *line = view_find(view, page->address);
    if (line && done < page->length)
        view_drop_clean(view, line, page->first + done, page->length - done);
}

static void pages_follow(struct session *session, const struct pages *pages, size_t count,
                         bool keep, const struct target_span *span)
{
    for (size_t i = 0; i < count; i++)
        view_follow(session, &pages->page[i], pages->epoch, keep, span[i].bytes, span[i].done);
    /* Two pages of one call may be the same memory: neither line knows then what the other wrote.
     */
    for (size_t i = 0; i < count && count > 1; i++) {
        const struct page *page = &pages->page[i];
        uint64_t first = page->physical + page->first;
        view_drop_physical(&session->copies.view, first, first + (page->length - 1),
                           view_find(&session->copies.view, page->address));
    }
}

/* Write one page that is not plain memory. What it leaves unwritten without stopping the call is to
 * be looked at again: the view was flushed first. */
static void write_page_alone(struct call *call, const struct pages *pages, size_t index,
                             const uint8_t *bytes, enum write_kind kind)
{
    struct session *session = call->session;
    const struct page *page = &pages->page[index];
    char reason[SESSION_REASON_SIZE];
    size_t done;

    if (page->kind == PAGE_FAULT) {
        call_stop(call, page->error, "%s", page_fault_text(page));
        return;
    }
    /* A doorbell must find its descriptors in memory. Looked up again afterwards: what was flushed
     * may have been page tables. */
    if (kind == WRITE_VIEW && page->kind == PAGE_MIXED && session->copies.view.dirty_bytes) {
        flush_within(call);
        return;
    }
    enum target_error error = transfer_write_piece(session, kind, pages, index, page->first, bytes,
                                                   page->length, &done, reason);
    if (kind == WRITE_VIEW)
        view_follow(session, page, pages->epoch, false, bytes, done);
    call->done += done;
    if (error)
        call_stop(call, error, "%s", reason);
}

/* Write-through (WRITE_VIEW), and uncached. */
static void write_past(struct call *call, struct pages *pages, const uint8_t *buffer,
                       enum write_kind kind)
{
    struct session *session = call->session;
    struct target_span *span = malloc(pages->capacity * sizeof(*span));

    if (!span)
        call_stop(call, TARGET_NO_MEMORY, NULL);
    while (!call->error && !call->hr && call->done < call->size &&
           call_look_up(call, pages, false)) {
        const struct page *page = pages->page;
        const uint8_t *bytes = buffer + call->done;
        size_t count = 0, at = 0;
        for (; count < pages->count && page_bulk(&page[count]); at += page[count++].length)
            span[count] = (struct target_span){.address = page[count].address + page[count].first,
                                               .bytes = (uint8_t *)bytes + at,
                                               .length = page[count].length};
        if (!count) {
            write_page_alone(call, pages, 0, bytes, kind);
            continue;
        }
        for (size_t i = 0; i < count && kind == WRITE_VIEW; i++)
            page_settle(session, &page[i], pages->epoch);
        uint64_t generation = session_generation(session);
        transfer_write_pages(session, kind, pages, 0, count, span, count);
        bool keep = session_generation(session) == generation && !session_ready(session);
        if (kind == WRITE_VIEW)
            pages_follow(session, pages, count, keep, span);
        for (size_t i = 0; i < count && !call->error; i++) {
            call->done += span[i].done;
            if (span[i].done < span[i].length)
                call_stop(call, span[i].error ? span[i].error : TARGET_FAILED, NULL);
        }
    }
    free(span);
}

/* The line that takes the next dirty bytes of a page, made if need be. NULL: look again (the view
 * was flushed to make room), unless the call has stopped. */
static struct view_line *write_line(struct call *call, const struct page *page, uint64_t epoch)
{
    struct session *session = call->session;
    struct view *view = &session->copies.view;
    struct view_line *line = page_settle(session, page, epoch);

    if (line)
        return line;
    while (!view_has_room(view)) {
        if (!view_evict(view) && !behind_make_room(call))
            return NULL;
    }
    line = view_add(view, page->address, page->physical);
    if (!line) {
        call_stop(call, TARGET_NO_MEMORY, NULL);
        return NULL;
    }
    line->checked = true;
    line->epoch = epoch;
    return line;
}

static void write_back(struct call *call, struct pages *pages, const uint8_t *buffer)
{
    struct session *session = call->session;
    uint64_t losses = session->losses;
    size_t flushed = 0; /* the prefix that went to the target before the target was lost */

    while (!call->error && !call->hr && call->done < call->size &&
           call_look_up(call, pages, true)) {
        if (session->losses != losses)
            break;
        for (size_t i = 0; i < pages->count; i++) {
            const struct page *page = &pages->page[i];
            const uint8_t *bytes = buffer + call->done;
            if (page->kind != PAGE_CACHED) {
                if (session->behind)
                    session_wait_behind(session); /* and look again */
                else
                    write_page_alone(call, pages, i, bytes, WRITE_VIEW);
                break;
            }
            struct view_line *line = write_line(call, page, pages->epoch);
            if (!line)
                break;
            view_put_dirty(&session->copies.view, line, page->first, bytes, page->length);
            view_touch(&session->copies.view, line);
            call->done += page->length;
        }
        if (!session->copies.view.dirty_bytes && session->losses == losses)
            flushed = call->done;
    }
    if (session->losses != losses) {
        /* What was in the view is gone, and can never be written. */
        if (call->done > flushed)
            call->done = flushed;
        call_stop(call, TARGET_GONE, NULL);
    }
}

/* --- the calls --- */

static HRESULT read_virtual(struct call *call, void *buffer, bool cached, uint32_t *done)
{
    struct session *session = call->session;

    task_mutex_lock(&session->mutex);
    if (call_may_start(call)) {
        struct pages *pages = pages_new(call->offset, call->size);
        if (!pages)
            call_stop(call, TARGET_NO_MEMORY, NULL);
        else if (cached)
            read_cached(call, pages, buffer);
        if (pages && (!cached || call_goes_on(call)))
            read_uncached(call, pages, buffer);
        pages_free(pages);
    }
    task_mutex_unlock(&session->mutex);
    return call_finish(call, done);
}

static HRESULT write_virtual(struct call *call, const void *buffer, enum cache_policy policy,
                             uint32_t *done)
{
    struct session *session = call->session;

    behind_lock(call, policy);
    if (call_may_start(call)) {
        struct pages *pages = pages_new(call->offset, call->size);
        if (!pages)
            call_stop(call, TARGET_NO_MEMORY, NULL);
        else if (policy == CACHE_WRITE_BACK && !session->space->kept_clean)
            write_back(call, pages, buffer);
        else
            write_past(call, pages, buffer, policy == CACHE_OFF ? WRITE_UNCACHED : WRITE_VIEW);
        if (pages && policy == CACHE_WRITE_BACK && call_goes_on(call))
            write_past(call, pages, buffer, WRITE_UNCACHED);
        pages_free(pages);
    }
    behind_unlock(session);
    return call_finish(call, done);
}

HRESULT session_read_virtual(struct session *session, uint64_t offset, void *buffer, uint32_t size,
                             uint32_t *done)
{
    struct call call;
    call_begin_read(&call, session, "ReadVirtual", offset, size);
    return read_virtual(&call, buffer, session_policy(session) != CACHE_OFF, done);
}

HRESULT session_write_virtual(struct session *session, uint64_t offset, const void *buffer,
                              uint32_t size, uint32_t *done)
{
    struct call call;
    call_begin_write(&call, session, "WriteVirtual", offset, size);
    return write_virtual(&call, buffer, session_policy(session), done);
}

HRESULT session_read_virtual_uncached(struct session *session, uint64_t offset, void *buffer,
                                      uint32_t size, uint32_t *done)
{
    struct call call;
    call_begin_read(&call, session, "ReadVirtualUncached", offset, size);
    return read_virtual(&call, buffer, false, done);
}

HRESULT session_write_virtual_uncached(struct session *session, uint64_t offset, const void *buffer,
                                       uint32_t size, uint32_t *done)
{
    struct call call;
    call_begin_write(&call, session, "WriteVirtualUncached", offset, size);
    return write_virtual(&call, buffer, CACHE_OFF, done);
}

HRESULT session_virtual_to_physical(struct session *session, uint64_t offset, uint64_t *physical)
{
    struct target *target = session->space->target;
    struct target_translation found;
    uint64_t page = offset & TARGET_PAGE_MASK;

    session->message[0] = '\0';
    if (target->run->state(target) == TARGET_STATE_LOST)
        return session_fail(session, E_UNEXPECTED, "VirtualToPhysical at 0x%" PRIx64 ": %s", offset,
                            target_error_text(TARGET_GONE));
    if (!target->about->info(target)->physical)
        return session_fail(session, E_NOTIMPL,
                            "VirtualToPhysical at 0x%" PRIx64 ": this target has no physical space",
                            offset);
    HRESULT hr = flush_before(session, "VirtualToPhysical", offset);
    if (FAILED(hr))
        return hr;
    enum target_error error =
        target->processors->translate(target, session->client, session->cpu, &page, 1, &found);
    if (!error)
        error = found.error;
    if (error)
        return session_fail(session, space_hresult(error, SB_STATUS_NO_PAGEFILE),
                            "VirtualToPhysical at 0x%" PRIx64 ": %s", offset,
                            error == TARGET_FAULT ? "page not mapped" : target_error_text(error));
    *physical = found.physical + (offset - page);
    return S_OK;
}
