/* A flush that the writes of a stream do not wait for. Its task holds the session's mutex, so every
 * other call and every other task waits; the one exception is the session's own next write to the
 * view, which goes on alongside: it changes nothing but the view, between suspensions. Whichever of
 * the two ends last sets the mutex free. */
#include "space/behind.h"

#include "space/flush.h"

#include <stdlib.h>

struct behind {
    struct session *session;
    struct batch batch;
    struct flush_result result;
};

/* May this write have a flush beside it? A loss is told apart from it, so nothing of the call
 * itself may be on its way: it has put nothing into the view yet, and what it puts there it puts
 * last. */
static bool may_go_on(const struct call *call)
{
    return call->session->more_follow && !call->done &&
           call->size <= TARGET_PAGE_SIZE - (call->offset & ~TARGET_PAGE_MASK);
}

void behind_lock(const struct call *call, enum cache_policy policy)
{
    struct session *session = call->session;

    /* Who waits for the mutex comes first, or a busy writer would keep it for ever. */
    if (session->behind && !session->mutex.waiters && policy == CACHE_WRITE_BACK &&
        !session->space->kept_clean && may_go_on(call))
        session->alongside = task_self();
    else
        task_mutex_lock(&session->mutex);
}

void behind_unlock(struct session *session)
{
    session->alongside = NULL;
    if (!session->behind)
        task_mutex_unlock(&session->mutex);
}

void behind_settle(struct session *session)
{
    if (!session->behind)
        return;
    task_mutex_lock(&session->mutex);
    task_mutex_unlock(&session->mutex);
}

static void behind_task(void *arg)
{
    struct behind *behind = arg;
    struct session *session = behind->session;
    char text[SESSION_REASON_SIZE];

    flush_batch(session, &behind->batch, &behind->result);
    HRESULT hr = flush_hresult(&behind->result);
    session->flushing = NULL;
    session->behind_kept = behind->result.error && !behind->result.lost;
    session->behind = NULL;
    if (behind->result.lost) {
        flush_describe(&behind->result, text, sizeof(text));
        flush_report(session, hr, "the view was full, it was flushed and %s", text);
    }
    if (session->alongside)
        task_mutex_give(&session->mutex, session->alongside);
    else
        task_mutex_unlock(&session->mutex);
    task_cond_broadcast(&session->behind_ended);
    session_release(session);
    free(behind);
}

/* False: not now, with nothing changed. */
static bool begin(struct session *session)
{
    struct behind *behind = calloc(1, sizeof(*behind));

    if (!behind || !flush_take(session, &behind->batch)) {
        free(behind);
        return false;
    }
    behind->session = session;
    struct task *task = task_spawn(task_loop(task_self()), "flush behind", behind_task, behind);
    if (!task) {
        flush_put_back(session, &behind->batch, &behind->result);
        free(behind);
        return false;
    }
    session_hold(session);
    session->flushes++;
    session->flushing = &behind->result;
    session->behind = behind;
    session->alongside = task_self();
    task_mutex_give(&session->mutex, task);
    return true;
}

bool behind_make_room(struct call *call)
{
    struct session *session = call->session;

    if (session->behind) {
        session_wait_behind(session);
        return false;
    }
    if (!task_self() || !may_go_on(call) || session->behind_kept || session_ready(session) ||
        !begin(session))
        flush_within(call);
    return session->behind != NULL;
}
