/* Resuming, in our words or in those of a client, and waiting for the stop. */
#include "upstream/upstream_run.h"

#include "base/failure.h"
#include "upstream/run/run_control.h"
#include "upstream/upstream.h"
#include "upstream/upstream_kind.h"
#include "upstream/ways/ways.h"

/* A caller that always has something more to write does not keep the others from resuming. */
#define FLUSHES_MOST 1000

enum target_error upstream_flush_for_resume(struct upstream *upstream, target_client client,
                                            struct failure *failure)
{
    const struct target_listener *listener = &upstream->listener;
    failure_clear(failure);
    bool wrote = true;
    for (int i = 0; wrote; i++) {
        enum target_state state = run_control_state(upstream->run);
        if (state != TARGET_STATE_HALTED)
            return state == TARGET_STATE_LOST ? TARGET_GONE : TARGET_RUNNING;
        wrote = false;
        if (listener->before_resume &&
            !listener->before_resume(listener->context, client, &wrote, failure))
            return TARGET_FAILED;
        /* What goes past the stub's queue does not wait in it for the resume. */
        if (ways_drain(upstream->ways))
            wrote = true;
        if (wrote && i == FLUSHES_MOST)
            return failure_set(failure, TARGET_FAILED, "other connections write without a pause");
    }
    return TARGET_OK;
}

static enum target_error resume(struct target *target, target_client client,
                                enum target_resume kind, unsigned cpu, struct failure *failure)
{
    struct upstream *upstream = upstream_of(target);
    ways_hold(upstream->ways);
    enum target_error error = upstream_flush_for_resume(upstream, client, failure);
    if (error == TARGET_OK)
        error = run_control_resume(upstream->run, client, kind, cpu, failure);
    ways_release(upstream->ways);
    return error;
}

static enum target_error resume_packet(struct target *target, target_client client, uint64_t thread,
                                       const void *payload, size_t length, struct failure *failure)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK &&
        !upstream->kind->resume_allowed(upstream->info.features, payload, length))
        error = TARGET_INVALID;
    if (error != TARGET_OK)
        return error;
    ways_hold(upstream->ways);
    error = upstream_flush_for_resume(upstream, client, failure);
    if (error == TARGET_OK)
        error = run_control_resume_packet(upstream->run, client, thread, payload, length, failure);
    ways_release(upstream->ways);
    return error;
}

static const char *stop_reply(struct target *target)
{
    return run_control_stop_reply(upstream_of(target)->run);
}

static enum target_error interrupt(struct target *target, target_client client)
{
    (void)client;
    return run_control_interrupt(upstream_of(target)->run);
}

static enum target_error wait_for_halt(struct target *target, target_client client, double timeout,
                                       const bool *cancel, char *text, size_t size)
{
    (void)client;
    return run_control_wait(upstream_of(target)->run, timeout, cancel, text, size);
}

static void cancel_wait(struct target *target)
{
    run_control_wait_cancel(upstream_of(target)->run);
}

static enum target_state state(struct target *target)
{
    return run_control_state(upstream_of(target)->run);
}

const struct target_run upstream_run = {
    .state = state,
    .resume = resume,
    .interrupt = interrupt,
    .wait = wait_for_halt,
    .wait_cancel = cancel_wait,
    .resume_packet = resume_packet,
    .stop_reply = stop_reply,
};
