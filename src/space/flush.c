/* A view's dirty bytes: taken out of it, written, counted, put back or lost. */
#include "space/flush.h"

#include "base/log.h"
#include "space/transfer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool spans_add(struct spans *spans, uint64_t address, uint8_t *bytes, size_t length)
{
    if (spans->count == spans->capacity) {
        size_t capacity = spans->capacity ? spans->capacity * 2 : 16;
        struct target_span *span = realloc(spans->span, capacity * sizeof(*span));
        if (!span)
            return false;
        spans->span = span;
        spans->capacity = capacity;
    }
    spans->span[spans->count++] =
        (struct target_span){.address = address, .bytes = bytes, .length = length};
    return true;
}

static void batch_free(struct batch *batch)
{
    pages_free(batch->pages);
    free(batch->spans.span);
    free(batch->bytes);
}

/* Take the dirty bytes of these lines, at most SPACE_BATCH_PAGES. False, with nothing changed: out
 * of memory. */
static bool batch_take(struct batch *batch, struct session *session, const uint64_t *addresses,
                       size_t count)
{
    struct view_line *lines[SPACE_BATCH_PAGES];
    struct view *view = &session->copies.view;
    size_t total = 0, used = 0, some = 0;

    memset(batch, 0, sizeof(*batch));
    for (size_t i = 0; i < count; i++) {
        struct view_line *line = view_find(view, addresses[i]);
        if (!line || !line->dirty_count)
            continue;
        total += line->dirty_count;
        lines[some++] = line;
    }
    batch->pages = pages_new_count(count);
    batch->bytes = malloc(total ? total : 1);
    if (!batch->pages || !batch->bytes)
        goto fail;
    for (size_t i = 0; i < some; i++) {
        const struct view_line *line = lines[i];
        size_t offset, length;
        batch->pages->page[batch->pages->count++] =
            (struct page){.address = line->page, .length = VIEW_LINE_SIZE};
        for (size_t at = 0; view_next_dirty(line, at, VIEW_LINE_SIZE, &offset, &length);
             at = offset + length) {
            memcpy(batch->bytes + used, line->bytes + offset, length);
            if (!spans_add(&batch->spans, line->page + offset, batch->bytes + used, length))
                goto fail;
            used += length;
        }
    }
    for (size_t i = 0; i < some; i++)
        view_mark_clean(view, lines[i], 0, VIEW_LINE_SIZE);
    return true;
fail:
    batch_free(batch);
    return false;
}

void flush_lost(struct session *session, struct flush_result *result, uint64_t address,
                uint64_t length, enum target_error error, const char *reason)
{
    if (!length)
        return;
    if (!result->lost || address < result->first_lost) {
        result->first_lost = address;
        result->error = error;
        snprintf(result->reason, sizeof(result->reason), "%s", reason);
    }
    result->lost += length;
    session->lost_bytes += length;
    if (address - result->watch < result->watch_kept)
        result->watch_kept = (size_t)(address - result->watch);
    else if (result->watch - address < length)
        result->watch_kept = 0;
}

/* Was nothing sent, and may it be tried again later? */
static bool error_keeps(enum target_error error)
{
    return error == TARGET_RUNNING || error == TARGET_NO_MEMORY || error == TARGET_CANCELLED;
}

/* They are dirty again, but for those that were written anew meanwhile. */
static void put_back(struct view *view, struct view_line *line, size_t offset, const uint8_t *bytes,
                     size_t length)
{
    size_t end = offset + length, first, count;
    for (size_t at = offset; view_bits_next(&line->dirty, false, at, end, &first, &count);
         at = first + count)
        view_put_dirty(view, line, first, bytes + (first - offset), count);
}

/* These bytes of a span did not arrive. */
static void span_failed(struct session *session, const struct target_span *span, const char *reason,
                        struct flush_result *result)
{
    struct view *view = &session->copies.view;
    uint64_t address = span->address + span->done, page = address & TARGET_PAGE_MASK;
    size_t offset = (size_t)(address - page), length = span->length - span->done;
    struct view_line *line = view_find(view, page);
    enum target_error error = span->error ? span->error : TARGET_FAILED;

    if (error_keeps(error)) {
        if (!line)
            line = view_add(view, page, page);
        if (line) {
            put_back(view, line, offset, span->bytes + span->done, length);
            if (!result->error) {
                result->error = error;
                snprintf(result->reason, sizeof(result->reason), "%s", reason);
            }
            return;
        }
    }
    if (line)
        view_drop_clean(view, line, offset, length);
    flush_lost(session, result, address, length, error, reason);
}

static void span_settled(struct session *session, const struct target_span *span,
                         const char *reason, struct flush_result *result)
{
    result->flushed += span->done;
    session->flushed_bytes += span->done;
    if (span->done < span->length)
        span_failed(session, span, reason ? reason : target_error_text(span->error), result);
}

static void spans_fail(struct session *session, struct target_span *span, size_t count,
                       enum target_error error, struct flush_result *result)
{
    const char *reason = error == TARGET_FAULT ? "page not mapped" : target_error_text(error);
    for (size_t i = 0; i < count; i++) {
        span[i].error = error;
        span_settled(session, &span[i], reason, result);
    }
}

/* How many of these spans lie below end. */
static size_t spans_below(const struct target_span *span, size_t count, uint64_t last)
{
    size_t below = 0;
    while (below < count && span[below].address <= last)
        below++;
    return below;
}

static void batch_write(struct session *session, struct batch *batch, struct flush_result *result)
{
    struct target *target = session->space->target;
    struct pages *pages = batch->pages;
    struct target_span *span = batch->spans.span;
    size_t left = batch->spans.count;

    for (size_t at = 0; at < pages->count;) {
        if (!at || target->processors->translation_epoch(target) != pages->epoch) {
            enum target_error error = pages_look_up(session, pages, at, true);
            if (error) {
                spans_fail(session, span, left, error, result);
                return;
            }
            /* What is under way to another page than the line's is no copy of either. */
            for (size_t i = at; i < pages->count; i++)
                page_settle(session, &pages->page[i], pages->epoch);
        }
        const struct page *page = &pages->page[at];
        size_t to = at + 1;
        if (page->kind == PAGE_CACHED || page->kind == PAGE_BULK) {
            while (to < pages->count &&
                   (pages->page[to].kind == PAGE_CACHED || pages->page[to].kind == PAGE_BULK))
                to++;
        }
        size_t count =
            spans_below(span, left, pages->page[to - 1].address + (TARGET_PAGE_SIZE - 1));
        if (page->kind == PAGE_FAULT) {
            spans_fail(session, span, count, page->error, result);
        } else if (page->kind == PAGE_MIXED) {
            for (size_t i = 0; i < count; i++) {
                char reason[SESSION_REASON_SIZE];
                span[i].error = transfer_write_piece(
                    session, WRITE_VIEW, pages, at, (size_t)(span[i].address - page->address),
                    span[i].bytes, span[i].length, &span[i].done, reason);
                span_settled(session, &span[i], reason, result);
            }
        } else {
            transfer_write_pages(session, WRITE_VIEW, pages, at, to, span, count);
            for (size_t i = 0; i < count; i++)
                span_settled(session, &span[i], NULL, result);
        }
        span += count;
        left -= count;
        at = to;
    }
}

HRESULT flush_hresult(const struct flush_result *result)
{
    if (result->lost)
        return E_FAIL;
    return space_hresult(result->error, E_FAIL);
}

void flush_put_back(struct session *session, struct batch *batch, struct flush_result *result)
{
    spans_fail(session, batch->spans.span, batch->spans.count, TARGET_NO_MEMORY, result);
    batch_free(batch);
}

/* The lines with dirty bytes, rising; NULL: out of memory. */
static uint64_t *dirty_addresses(const struct view *view, size_t *count)
{
    uint64_t *addresses = malloc(view->dirty_lines * sizeof(*addresses));
    if (addresses)
        *count = view_dirty_pages(view, addresses);
    return addresses;
}

bool flush_take(struct session *session, struct batch *batch)
{
    size_t count;
    uint64_t *addresses = dirty_addresses(&session->copies.view, &count);
    bool taken = addresses && batch_take(batch, session, addresses,
                                         count < SPACE_BATCH_PAGES ? count : SPACE_BATCH_PAGES);
    free(addresses);
    return taken;
}

void flush_batch(struct session *session, struct batch *batch, struct flush_result *result)
{
    batch_write(session, batch, result);
    batch_free(batch);
}

HRESULT flush_view(struct session *session, struct flush_result *result)
{
    struct view *view = &session->copies.view;
    size_t count;

    session_wait_behind(session);
    session->behind_kept = false;
    result->watch_kept = result->watch_length;
    if (!view->dirty_bytes)
        return S_OK;
    result->error = session_memory_ready(session, true);
    if (result->error == TARGET_RUNNING) {
        snprintf(result->reason, sizeof(result->reason), "%s", target_error_text(result->error));
        return flush_hresult(result);
    }
    result->error = TARGET_OK;
    uint64_t *addresses = dirty_addresses(view, &count);
    if (!addresses) {
        result->error = TARGET_NO_MEMORY;
        return flush_hresult(result);
    }
    session->flushing = result;
    session->flushes++;
    for (size_t at = 0; at < count; at += SPACE_BATCH_PAGES) {
        size_t some = count - at < SPACE_BATCH_PAGES ? count - at : SPACE_BATCH_PAGES;
        struct batch batch;
        if (!batch_take(&batch, session, addresses + at, some)) {
            if (!result->error)
                result->error = TARGET_NO_MEMORY;
            break;
        }
        flush_batch(session, &batch, result);
        /* What was kept is tried again by the next flush, not by this one. */
        if (error_keeps(result->error))
            break;
    }
    session->flushing = NULL;
    free(addresses);
    return flush_hresult(result);
}

void flush_describe(const struct flush_result *result, char *text, size_t size)
{
    if (result->lost)
        snprintf(text, size, "%" PRIu64 " dirty byte%s lost, the first at 0x%" PRIx64 " (%s)",
                 result->lost, result->lost == 1 ? "" : "s", result->first_lost, result->reason);
    else
        snprintf(text, size, "dirty bytes cannot be written now (%s)",
                 result->reason[0] ? result->reason : target_error_text(result->error));
}

HRESULT flush_before(struct session *session, const char *call, uint64_t offset)
{
    struct flush_result result = {0};

    task_mutex_lock(&session->mutex);
    HRESULT hr = flush_view(session, &result);
    task_mutex_unlock(&session->mutex);
    if (FAILED(hr)) {
        char text[SESSION_REASON_SIZE];
        flush_describe(&result, text, sizeof(text));
        session_fail(session, hr,
                     "%s at 0x%" PRIx64 ": not done, the view was flushed first and %s", call,
                     offset, text);
    }
    return hr;
}

bool flush_within(struct call *call)
{
    struct flush_result result = {.watch = call->offset, .watch_length = call->done};
    char text[SESSION_REASON_SIZE];

    HRESULT hr = flush_view(call->session, &result);
    if (SUCCEEDED(hr))
        return true;
    /* Bytes of this very call may be among those that were lost. */
    call->done = result.watch_kept;
    flush_describe(&result, text, sizeof(text));
    if (result.lost)
        call_refuse(call, E_FAIL, "the view was flushed and %s", text);
    else
        call_stop(call, result.error, "%s", text);
    return false;
}

void flush_report(struct session *session, HRESULT hr, const char *format, ...)
{
    char text[SESSION_MESSAGE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_warning("space", "%s: %s", session->name, text);
    if (session->listener.flush_failed)
        session->listener.flush_failed(session->listener.context, hr, text);
}
