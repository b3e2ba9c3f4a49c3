/* The space: all sessions of one target, and what the target tells them. */
#include "space/space.h"

#include "base/failure.h"
#include "base/log.h"
#include "space/convert.h"
#include "space/core.h"
#include "space/doubt.h"
#include "space/flush.h"
#include "space/synced.h"

#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

/* A session that this pass has not come by. The list may have changed since the last. */
static struct session *next_session(struct space *space, uint64_t pass)
{
    struct session *session;
    DL_FOREACH(space->sessions, session)
    {
        if (session->pass != pass)
            return session;
    }
    return NULL;
}

/* Flush a session that may be another task's; it stays held until session_release. False: it had
 * nothing to write. A flush under way, whoever makes it, has its bytes out of the view already:
 * waited for too. */
static bool flush_other(struct session *session, struct flush_result *result, HRESULT *hr)
{
    if (!session->copies.view.dirty_bytes && !session->flushing)
        return false;
    session_hold(session);
    task_mutex_lock(&session->mutex);
    *hr = flush_view(session, result);
    task_mutex_unlock(&session->mutex);
    return true;
}

/* struct target_listener's before_resume. */
static bool flush_before_resume(void *context, target_client client, bool *wrote,
                                struct failure *failure)
{
    struct space *space = context;
    struct session *session;
    uint64_t pass = ++space->pass;
    bool all = true;

    *wrote = false;
    while ((session = next_session(space, pass))) {
        struct flush_result result = {0};
        char text[SESSION_REASON_SIZE];
        HRESULT hr;
        session->pass = pass;
        if (!flush_other(session, &result, &hr))
            continue;
        *wrote = true;
        if (FAILED(hr)) {
            flush_describe(&result, text, sizeof(text));
            if (all)
                failure_set(failure, TARGET_FAILED,
                            "not resumed, the view of %s was flushed first and %s",
                            session->client == client ? "this connection" : session->name, text);
            if (session->client != client)
                flush_report(session, hr, "the view was flushed for a resume and %s", text);
            all = false;
        }
        session_release(session);
    }
    space->kept_clean = all && *wrote;
    return all;
}

uint64_t space_flush_all(struct space *space)
{
    struct session *session;
    uint64_t pass = ++space->pass, unwritten = 0;

    while ((session = next_session(space, pass))) {
        struct flush_result result = {0};
        char text[SESSION_REASON_SIZE];
        HRESULT hr;
        session->pass = pass;
        if (!flush_other(session, &result, &hr))
            continue;
        if (FAILED(hr)) {
            flush_describe(&result, text, sizeof(text));
            flush_report(session, hr, "the view was flushed and %s", text);
            unwritten += result.lost + session->copies.view.dirty_bytes;
        }
        session_release(session);
    }
    return unwritten;
}

static void space_state_changed(void *context, enum target_state state, const char *text)
{
    struct space *space = context;
    struct session *session;

    space->kept_clean = false;
    if (state != TARGET_STATE_HALTED)
        synced_forget(space->synced);
    DL_FOREACH(space->sessions, session)
    {
        if (state == TARGET_STATE_RUNNING && session->copies.view.dirty_bytes)
            log_warning("space",
                        "%s: the target was resumed by others, %" PRIu64
                        " dirty bytes are kept until it halts",
                        session->name, session->copies.view.dirty_bytes);
        if (session->listener.state_changed)
            session->listener.state_changed(session->listener.context, space_state_of(state), text);
    }
}

static void space_memory_changed(void *context)
{
    struct space *space = context;

    space->kept_clean = false;
    copies_all_outdated(&space->copies);
}

static void space_lost(void *context, const char *reason)
{
    struct space *space = context;
    struct session *session;

    space->kept_clean = false;
    DL_FOREACH(space->sessions, session)
    {
        uint64_t first = 0, dirty = view_discard(&session->copies.view, &first);
        view_clear(&session->copies.view);
        copies_outdated(&session->copies);
        session->losses++;
        if (!dirty)
            continue;
        if (session->flushing) {
            /* The call that flushes says so. */
            flush_lost(session, session->flushing, first, dirty, TARGET_GONE, reason);
            continue;
        }
        session->lost_bytes += dirty;
        flush_report(session, E_UNEXPECTED,
                     "the target is lost (%s), and with it %" PRIu64
                     " dirty byte%s, the first at 0x%" PRIx64,
                     reason, dirty, dirty == 1 ? "" : "s", first);
    }
}

struct space *space_new(struct target *target, const struct space_config *config)
{
    struct space *space = calloc(1, sizeof(*space));
    if (!space)
        return NULL;
    space->doubts = doubts_new();
    space->synced = synced_new();
    if (!space->doubts || !space->synced) {
        doubts_free(space->doubts);
        synced_free(space->synced);
        free(space);
        return NULL;
    }
    space->target = target;
    space->config = *config;
    space->listener = (struct target_listener){
        .context = space,
        .before_resume = flush_before_resume,
        .state_changed = space_state_changed,
        .memory_changed = space_memory_changed,
        .lost = space_lost,
    };
    target->about->set_listener(target, &space->listener);
    return space;
}

void space_free(struct space *space)
{
    static const struct target_listener nobody = {0};

    if (!space)
        return;
    space->target->about->set_listener(space->target, &nobody);
    doubts_free(space->doubts);
    synced_free(space->synced);
    free(space);
}

struct session *space_next_session(struct space *space, const struct session *session)
{
    return session ? session->next : space->sessions;
}
