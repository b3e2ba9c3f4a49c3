/* The monitor or the stub is gone: what is dirty is saved, everybody is told, and the target is
 * attached to again. */
#include "upstream/upstream_internal.h"

#include "base/log.h"

#include <stdio.h>

#define REATTACH_EVERY 1.0

static void leave_stub(struct upstream *upstream)
{
    rsp_client_fail(upstream->stub.rsp, "the QMP monitor is gone: %s", upstream->qmp_reason);
}

static void save_task(void *arg)
{
    struct upstream *upstream = arg;
    char message[256];
    (void)upstream_flush_for_resume(upstream, 0, message, sizeof message);
    if (!qmp_connected(upstream->qmp)) /* both may be back already */
        leave_stub(upstream);
    upstream->saving = false;
    task_cond_broadcast(&upstream->wakeup);
}

/* Without the monitor nothing tells of a resume by others, so the stub is left too, and both are
 * found again together. What is dirty is written before: the stub may still answer. */
void upstream_on_qmp_closed(void *context, const char *reason)
{
    struct upstream *upstream = context;
    snprintf(upstream->qmp_reason, sizeof upstream->qmp_reason, "%s", reason);
    if (upstream->attached && !upstream->saving && rsp_client_connected(upstream->stub.rsp) &&
        run_control_state(upstream->run) == TARGET_STATE_HALTED)
        upstream->saving = task_spawn(upstream->loop, "save", save_task, upstream) != NULL;
    if (!upstream->saving)
        leave_stub(upstream);
}

static void reattach_task(void *arg)
{
    struct upstream *upstream = arg;
    bool told = false;
    while (!upstream->closing) {
        task_cond_wait(&upstream->wakeup, REATTACH_EVERY);
        if (upstream->closing || upstream->attached)
            break;
        char message[512];
        if (upstream_try_attach(upstream, message, sizeof message) == TARGET_OK)
            break;
        if (upstream->closing)
            break;
        if (upstream->undecided) { /* each try would halt the guest once more */
            log_error(ROOM, "cannot attach again, and not trying any more: %s", message);
            break;
        }
        if (told)
            log_debug(ROOM, "cannot attach again: %s", message);
        else
            log_warning(ROOM, "cannot attach again, trying every second: %s", message);
        told = true;
    }
    upstream->reattaching = false;
    task_cond_broadcast(&upstream->wakeup);
}

void upstream_on_lost(void *context, const char *reason)
{
    struct upstream *upstream = context;
    if (!upstream->attached)
        return; /* the attach under way fails by itself */
    upstream->attached = false;
    upstream->left = true;
    upstream->left_peer = upstream->peer;
    upstream->left_running = run_control_state(upstream->run) == TARGET_STATE_RUNNING;
    upstream->left_halted = upstream->found_running && !upstream->left_running;
    upstream->intruded = rsp_client_intruded(upstream->stub.rsp);
    upstream->info.features = "";
    upstream->info.description = NULL;
    log_warning(ROOM, "the target is lost: %s", reason);
    ways_close(upstream->ways);
    if (upstream->qmp)
        qmp_disconnect(upstream->qmp, reason);
    if (upstream->listener.lost)
        upstream->listener.lost(upstream->listener.context, reason);
    run_control_lost(upstream->run, reason);
    if (upstream->config.reattach && !upstream->closing && !upstream->reattaching)
        upstream->reattaching =
            task_spawn(upstream->loop, "reattach", reattach_task, upstream) != NULL;
}
