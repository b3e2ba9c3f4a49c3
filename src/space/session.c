/* Sessions: opening and closing them, their settings, their processor, and the calls on the view as
 * a whole. */
#include "space/session.h"

#include "space/behind.h"
#include "space/core.h"
#include "space/flush.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

static bool client_taken(const struct space *space, target_client client)
{
    const struct session *session;
    DL_FOREACH(space->sessions, session)
    {
        if (session->client == client)
            return true;
    }
    return false;
}

struct session *session_open(struct space *space, const char *name, enum cache_policy policy,
                             const struct session_listener *listener)
{
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    /* 0 is the daemon itself. */
    do
        space->last_client++;
    while (!space->last_client || client_taken(space, space->last_client));
    session->space = space;
    session->client = space->last_client;
    session->policy = policy;
    snprintf(session->name, sizeof(session->name), "%s", name);
    if (listener)
        session->listener = *listener;
    copies_join(&space->copies, &session->copies, space->config.cache_size);
    DL_APPEND(space->sessions, session);
    return session;
}

void session_close(struct session *session)
{
    struct flush_result result = {0};
    uint64_t first = 0;
    char text[SESSION_REASON_SIZE];

    session_hold(session);
    /* Nobody listens any more. */
    memset(&session->listener, 0, sizeof(session->listener));
    task_mutex_lock(&session->mutex);
    if (FAILED(flush_view(session, &result))) {
        flush_describe(&result, text, sizeof(text));
        log_warning("space", "%s: closed, %s", session->name, text);
    }
    uint64_t left = view_discard(&session->copies.view, &first);
    if (left)
        log_warning("space", "%s: closed, %" PRIu64 " dirty bytes dropped, the first at 0x%" PRIx64,
                    session->name, left, first);
    view_clear(&session->copies.view);
    copies_leave(&session->space->copies, &session->copies);
    DL_DELETE(session->space->sessions, session);
    session->closed = true;
    task_mutex_unlock(&session->mutex);
    session_release(session);
}

void session_more_follow(struct session *session, bool more)
{
    session->more_follow = more;
}

void session_parts_of(struct session *session, uint32_t size)
{
    session->parts_of = size;
}

HRESULT session_set_event_mask(struct session *session, uint32_t mask)
{
    const uint32_t known = DEBUG_EVENT_CHANGE_DEBUGGEE_STATE | DEBUG_EVENT_CHANGE_ENGINE_STATE;

    session->message[0] = '\0';
    if (mask && session->no_events)
        return session_fail(session, E_INVALIDARG, "SetEventCallbacks: %s", session->no_events);
    if (mask & ~known)
        return session_fail(
            session, E_INVALIDARG,
            "SetEventCallbacks: the mask is 0x%" PRIx32
            ", it may hold 0x400 (ChangeDebuggeeState) and 0x800 (ChangeEngineState)",
            mask);
    session->event_mask = mask;
    return S_OK;
}

void session_forbid_events(struct session *session, const char *why)
{
    session->no_events = why;
    if (why)
        session->event_mask = 0;
}

uint32_t session_event_mask(const struct session *session)
{
    return session->event_mask;
}

const char *session_name(const struct session *session)
{
    return session->name;
}

/* --- processors --- */

static HRESULT processors_now(struct session *session, const char *call, uint32_t *number)
{
    struct target *target = session->space->target;

    session->message[0] = '\0';
    if (target->run->state(target) == TARGET_STATE_LOST)
        return session_fail(session, E_UNEXPECTED, "%s: %s", call, target_error_text(TARGET_GONE));
    *number = target->about->info(target)->processors;
    return S_OK;
}

HRESULT session_get_number_processors(struct session *session, uint32_t *number)
{
    return processors_now(session, "GetNumberProcessors", number);
}

HRESULT session_get_current_processor(struct session *session, uint32_t *processor)
{
    session->message[0] = '\0';
    *processor = session->cpu;
    return S_OK;
}

/* Write back the view for a call that names no address. */
static HRESULT flush_for(struct session *session, const char *call, struct flush_result *result)
{
    char text[SESSION_REASON_SIZE];

    HRESULT hr = flush_view(session, result);
    if (SUCCEEDED(hr))
        return hr;
    flush_describe(result, text, sizeof(text));
    return session_fail(session, hr, "%s: %s", call, text);
}

HRESULT session_set_current_processor(struct session *session, uint32_t processor)
{
    struct flush_result result = {0};
    uint32_t number;

    HRESULT hr = processors_now(session, "SetCurrentProcessor", &number);
    if (FAILED(hr))
        return hr;
    if (processor >= number)
        return session_fail(session, E_INVALIDARG,
                            "SetCurrentProcessor: there is no processor %" PRIu32
                            ", the target has %" PRIu32,
                            processor, number);
    if (processor == session->cpu)
        return S_OK;
    /* A view is one processor's picture. */
    task_mutex_lock(&session->mutex);
    hr = flush_for(session, "SetCurrentProcessor", &result);
    if (SUCCEEDED(hr)) {
        view_clear(&session->copies.view);
        session->cpu = processor;
    }
    task_mutex_unlock(&session->mutex);
    return hr;
}

/* --- the view --- */

HRESULT session_flush(struct session *session, uint64_t *flushed)
{
    struct flush_result result = {0};

    session->message[0] = '\0';
    task_mutex_lock(&session->mutex);
    HRESULT hr = flush_for(session, "FlushCache", &result);
    task_mutex_unlock(&session->mutex);
    if (flushed)
        *flushed = result.flushed;
    return hr;
}

HRESULT session_discard(struct session *session, uint64_t *dropped)
{
    session->message[0] = '\0';
    task_mutex_lock(&session->mutex);
    uint64_t count = view_discard(&session->copies.view, NULL);
    task_mutex_unlock(&session->mutex);
    if (dropped)
        *dropped = count;
    return S_OK;
}

HRESULT session_invalidate(struct session *session)
{
    session->message[0] = '\0';
    task_mutex_lock(&session->mutex);
    view_drop_all_clean(&session->copies.view);
    task_mutex_unlock(&session->mutex);
    return S_OK;
}

HRESULT session_set_cache_policy(struct session *session, enum cache_policy policy)
{
    struct flush_result result = {0};
    HRESULT hr = S_OK;

    session->message[0] = '\0';
    if (policy != CACHE_WRITE_BACK && policy != CACHE_WRITE_THROUGH && policy != CACHE_OFF)
        return session_fail(session, E_INVALIDARG, "SetCachePolicy: there is no policy %d",
                            (int)policy);
    task_mutex_lock(&session->mutex);
    if (policy != CACHE_WRITE_BACK)
        hr = flush_for(session, "SetCachePolicy", &result);
    if (SUCCEEDED(hr)) {
        if (policy == CACHE_OFF)
            view_clear(&session->copies.view);
        session->policy = policy;
    }
    task_mutex_unlock(&session->mutex);
    return hr;
}

HRESULT session_get_cache_status(struct session *session, struct session_cache_status *status)
{
    const struct view *view = &session->copies.view;

    session->message[0] = '\0';
    /* Bytes on their way count neither as dirty nor as flushed nor as lost. */
    behind_settle(session);
    *status = (struct session_cache_status){
        .policy = session_policy(session),
        .size = view->size,
        .used = (uint64_t)view->line_count * VIEW_LINE_SIZE,
        .valid_bytes = view->valid_bytes,
        .dirty_bytes = view->dirty_bytes,
        .lines = view->line_count,
        .dirty_lines = view->dirty_lines,
        .hits = session->hits,
        .misses = session->misses,
        .flushes = session->flushes,
        .flushed_bytes = session->flushed_bytes,
        .lost_bytes = session->lost_bytes,
        .evictions = view->evictions,
    };
    return S_OK;
}
