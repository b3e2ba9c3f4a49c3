/* The space: all sessions of one target, and what the target tells them. */
#include "space/internal.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

static void space_state_changed(void *context, enum target_state state, const char *text)
{
    struct space *space = context;
    struct session *session;

    space->resuming = false;
    DL_FOREACH(space->sessions, session)
    {
        if (state == TARGET_STATE_RUNNING && session->view.dirty_bytes)
            log_warning("space",
                        "%s: the target was resumed by others, %" PRIu64
                        " dirty bytes are kept until it halts",
                        session->name, session->view.dirty_bytes);
        if (session->listener.state_changed)
            session->listener.state_changed(session->listener.context, state, text);
    }
}

static void space_memory_changed(void *context)
{
    struct space *space = context;
    struct session *session;

    space->resuming = false;
    DL_FOREACH(space->sessions, session)
    {
        session->generation++;
        view_drop_all_clean(&session->view);
    }
}

static void space_lost(void *context, const char *reason)
{
    struct space *space = context;
    struct session *session;

    space->resuming = false;
    DL_FOREACH(space->sessions, session)
    {
        uint64_t first = 0, dirty = view_discard(&session->view, &first);
        view_clear(&session->view);
        session->generation++;
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
    space->target = target;
    space->config = *config;
    space->listener = (struct target_listener){
        .context = space,
        .before_resume = flush_before_resume,
        .state_changed = space_state_changed,
        .memory_changed = space_memory_changed,
        .lost = space_lost,
    };
    target->ops->set_listener(target, &space->listener);
    return space;
}

void space_free(struct space *space)
{
    static const struct target_listener nobody = {0};

    if (!space)
        return;
    space->target->ops->set_listener(space->target, &nobody);
    free(space);
}

struct target *space_target(struct space *space)
{
    return space->target;
}
