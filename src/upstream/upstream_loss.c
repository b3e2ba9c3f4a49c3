/* Hides what is done when the monitor or the stub is gone, and by which tasks. */
#include "upstream/upstream_loss.h"

#include "base/failure.h"
#include "base/log.h"
#include "upstream/link/qmp.h"
#include "upstream/run/run_control.h"
#include "upstream/upstream.h"
#include "upstream/upstream_attach.h"
#include "upstream/upstream_run.h"
#include "upstream/ways/ways.h"

#include <stdio.h>

#define ROOM           "target"
#define REATTACH_EVERY 1.0

static void leave_stub(struct upstream_loss *loss)
{
    rsp_client_fail(loss->attach->upstream->stub.rsp, "the QMP monitor is gone: %s",
                    loss->qmp_reason);
}

static void save_task(void *arg)
{
    struct upstream_loss *loss = arg;
    struct upstream *upstream = loss->attach->upstream;
    (void)upstream_flush_for_resume(upstream, 0, NULL);
    if (!qmp_connected(upstream->qmp)) /* both may be back already */
        leave_stub(loss);
    loss->saving = false;
    task_cond_broadcast(&loss->wakeup);
}

/* Without the monitor nothing tells of a resume by others, so the stub is left too, and both are
 * found again together. What is dirty is written before: the stub may still answer. But not where
 * another may have let the target run: the write would halt it, and be lost. */
void upstream_loss_of_monitor(struct upstream_loss *loss, const char *reason)
{
    const struct upstream *upstream = loss->attach->upstream;
    snprintf(loss->qmp_reason, sizeof loss->qmp_reason, "%s", reason);
    bool doubted = run_state_is(&upstream->state, RUN_DOUBTED);
    if (run_state_attached(&upstream->state) && !loss->saving &&
        rsp_client_connected(upstream->stub.rsp) && !doubted &&
        run_control_state(upstream->run) == TARGET_STATE_HALTED)
        loss->saving = task_spawn(loss->loop, "save", save_task, loss) != NULL;
    if (!loss->saving || doubted) /* nobody else would end the doubt */
        leave_stub(loss);
}

static void reattach_task(void *arg)
{
    struct upstream_loss *loss = arg;
    struct upstream_connection *attach = loss->attach;
    bool told = false;
    while (!attach->called_off) {
        task_cond_wait(&loss->wakeup, REATTACH_EVERY);
        if (attach->called_off || run_state_attached(&attach->upstream->state))
            break;
        struct failure failure = {0};
        if (upstream_attach_try(attach, &failure) == TARGET_OK)
            break;
        if (attach->called_off)
            break;
        if (attach->undecided) { /* each try would halt the guest once more */
            log_error(ROOM, "cannot attach again, and not trying any more: %s", failure.text);
            break;
        }
        if (told)
            log_debug(ROOM, "cannot attach again: %s", failure.text);
        else
            log_warning(ROOM, "cannot attach again, trying every second: %s", failure.text);
        told = true;
    }
    loss->reattaching = false;
    task_cond_broadcast(&loss->wakeup);
}

void upstream_loss_of_stub(struct upstream_loss *loss, const char *reason)
{
    struct upstream_connection *attach = loss->attach;
    struct upstream *upstream = attach->upstream;
    if (upstream->state.before == RUN_ATTACHING)
        return; /* the attach under way fails by itself */
    upstream_attach_remember(attach);
    upstream->info.features = "";
    upstream->info.description = NULL;
    log_warning(ROOM, "the target is lost: %s", reason);
    ways_close(upstream->ways);
    if (upstream->qmp)
        qmp_disconnect(upstream->qmp, reason);
    if (upstream->listener.lost)
        upstream->listener.lost(upstream->listener.context, reason);
    run_control_lost(upstream->run, reason);
    if (attach->config.reattach && !attach->called_off && !loss->reattaching)
        loss->reattaching = task_spawn(loss->loop, "reattach", reattach_task, loss) != NULL;
}

void upstream_loss_call_off(struct upstream_loss *loss)
{
    loss->attach->called_off = true;
    task_cond_broadcast(&loss->wakeup);
    upstream_attach_call_off(loss->attach);
}

void upstream_loss_detach(struct upstream_loss *loss)
{
    struct upstream *upstream = loss->attach->upstream;
    loss->attach->called_off = true;
    task_cond_broadcast(&loss->wakeup);
    while (loss->reattaching)
        task_cond_wait(&loss->wakeup, -1);
    if (run_state_attached(&upstream->state))
        upstream_attach_restore(loss->attach);
    bool attached = run_state_attached(&upstream->state);
    ways_close(upstream->ways);
    rsp_client_close(upstream->stub.rsp);
    if (upstream->qmp)
        qmp_disconnect(upstream->qmp, "detached");
    run_control_quiesce(upstream->run);
    while (loss->saving)
        task_cond_wait(&loss->wakeup, -1);
    if (attached) {
        log_info(ROOM, "detached from %s", upstream->info.upstream);
        run_control_lost(upstream->run, "detached");
    }
}
