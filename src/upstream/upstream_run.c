/* Resuming, in our words or in those of a client, and waiting for the stop. */
#include "upstream/upstream_internal.h"

#include <stdio.h>
#include <string.h>

/* A caller that always has something more to write does not keep the others from resuming. */
#define FLUSHES_MOST 1000

enum target_error upstream_flush_for_resume(struct upstream *upstream, target_client client,
                                            char *message, size_t size)
{
    const struct target_listener *listener = &upstream->listener;
    if (size > 0)
        message[0] = 0;
    bool wrote = true;
    for (int i = 0; wrote; i++) {
        enum target_state state = run_control_state(upstream->run);
        if (state != TARGET_STATE_HALTED)
            return state == TARGET_STATE_LOST ? TARGET_GONE : TARGET_RUNNING;
        wrote = false;
        if (listener->before_resume &&
            !listener->before_resume(listener->context, client, &wrote, message, size))
            return TARGET_FAILED;
        /* What goes past the stub's queue does not wait in it for the resume. */
        if (ways_drain(upstream->ways))
            wrote = true;
        if (wrote && i == FLUSHES_MOST) {
            snprintf(message, size, "other connections write without a pause");
            return TARGET_FAILED;
        }
    }
    return TARGET_OK;
}

enum target_error upstream_resume(struct target *target, target_client client,
                                  enum target_resume kind, unsigned cpu, char *message, size_t size)
{
    struct upstream *upstream = upstream_of(target);
    ways_hold(upstream->ways);
    enum target_error error = upstream_flush_for_resume(upstream, client, message, size);
    if (error == TARGET_OK)
        error = run_control_resume(upstream->run, client, kind, cpu, message, size);
    ways_release(upstream->ways);
    return error;
}

static bool starts_with(const char *payload, size_t length, const char *start)
{
    return length >= strlen(start) && memcmp(payload, start, strlen(start)) == 0;
}

/* Requests that resume the target, and leave the connection usable. */
static bool resume_allowed(const struct upstream *upstream, const char *payload, size_t length)
{
    if (starts_with(payload, length, "vCont;"))
        return true;
    if (starts_with(payload, length, "vRun;"))
        return !upstream->stub.qemu;
    /* A QEMU that does not record aborts on these. */
    if (length == 2 && memcmp(payload, "bc", 2) == 0)
        return strstr(upstream->info.features, "ReverseContinue+") != NULL;
    if (length == 2 && memcmp(payload, "bs", 2) == 0)
        return strstr(upstream->info.features, "ReverseStep+") != NULL;
    if (length == 1 && payload[0] == 'k') /* a QEMU is ended by its monitor */
        return !upstream->stub.qemu;
    return length > 0 && memchr("cCsS", payload[0], 4) != NULL;
}

enum target_error upstream_resume_packet(struct target *target, target_client client,
                                         uint64_t thread, const void *payload, size_t length,
                                         char *message, size_t message_size)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && !resume_allowed(upstream, payload, length))
        error = TARGET_INVALID;
    if (error != TARGET_OK)
        return error;
    ways_hold(upstream->ways);
    error = upstream_flush_for_resume(upstream, client, message, message_size);
    if (error == TARGET_OK)
        error = run_control_resume_packet(upstream->run, client, thread, payload, length, message,
                                          message_size);
    ways_release(upstream->ways);
    return error;
}

void upstream_stop_reply(struct target *target, char *reply, size_t size)
{
    run_control_stop_reply(upstream_of(target)->run, reply, size);
}

enum target_error upstream_interrupt(struct target *target, target_client client)
{
    (void)client;
    return run_control_interrupt(upstream_of(target)->run);
}

enum target_error upstream_wait(struct target *target, target_client client, double timeout,
                                const bool *cancel, char *text, size_t size)
{
    (void)client;
    return run_control_wait(upstream_of(target)->run, timeout, cancel, text, size);
}

void upstream_wait_cancel(struct target *target)
{
    run_control_wait_cancel(upstream_of(target)->run);
}
