/* The one run state that all clients share: who is told of a stop, and who has asked for it. */
#include "stub/front.h"

#include "base/failure.h"
#include "base/log.h"
#include "rsp/stop_reply.h"
#include "space/run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define ROOM "stub"

enum space_state front_state(const struct front *front)
{
    return session_state(front->session);
}

struct machine_info front_info(const struct front *front)
{
    return session_machine(front->session);
}

bool front_is_qemu(const struct front *front)
{
    return front_info(front).qemu;
}

static void wake_all(struct front *front)
{
    struct member *member;

    DL_FOREACH(front->members, member)
    {
        member->wake(member->owner);
    }
    task_cond_broadcast(&front->changed);
}

/* Stops */

void front_note_stop(struct front *front)
{
    const char *reply = session_stop_reply(front->session);

    buffer_clear(&front->stop);
    if (!buffer_append(&front->stop, reply, strlen(reply) + 1))
        buffer_free(&front->stop);
}

const char *front_stop(const struct front *front)
{
    return (const char *)buffer_bytes(&front->stop);
}

static void tell_all(struct front *front)
{
    front->stops++;
    front_note_stop(front);
    wake_all(front);
}

void front_publish(struct front *front)
{
    front_run_take(&front->seen, FRONT_TOLD);
    tell_all(front);
}

int64_t front_stop_thread(const struct front *front)
{
    struct stop stop;
    return stop_parse(&stop, front_stop(front)) && stop.thread > 0 ? stop.thread : 1;
}

void front_wait_settled(struct front *front)
{
    while (front->seen.now == FRONT_SETTLING)
        task_cond_wait(&front->changed, -1);
}

/* Is this stop one that nobody who is there has asked for: a breakpoint or watchpoint of a client
 * that is gone? */
static bool stop_is_orphans(struct front *front)
{
    struct stop stop;
    uint64_t pc;

    if (front_run_halt_wanted(&front->seen) || !stop_parse(&stop, front_stop(front)) ||
        stop.kind == 'W' || stop.kind == 'X' || stop.signal != 5)
        return false;
    if (stop.watch)
        return !breakpoints_watched(&front->breakpoints, stop.address, 0);
    if (!upstream_stub_read_pc(&front->upstream, front->session, front_stop_thread(front), &pc))
        return false;
    bool somebody = false, orphan = false;
    struct breakpoint *breakpoint, *next;
    HASH_ITER(hh, front->breakpoints.all, breakpoint, next)
    {
        if (breakpoint->key.type <= 1 && breakpoint->key.address == pc) {
            somebody = somebody || breakpoint->count > 0;
            orphan = orphan || breakpoint->count == 0;
        }
    }
    return orphan && !somebody && !front_run_is(&front->seen, FRONT_STEPPED);
}

static void remove_orphans(struct front *front)
{
    struct buffer reply = {0};
    const struct breakpoint *orphan;

    task_mutex_lock(&front->points);
    while ((orphan = breakpoints_orphan(&front->breakpoints)) != NULL) {
        struct breakpoint_key key = orphan->key;
        enum space_error error = upstream_stub_remove_point(front->session, &key, &reply);
        if (error == SPACE_GONE || error == SPACE_RUNNING)
            break; /* gone with the target, or kept for the next halt */
        if (error != SPACE_OK)
            log_warning(ROOM, "a breakpoint at 0x%" PRIx64 " of a client that is gone stays: %s",
                        key.address, space_error_text(error));
        breakpoints_removed(&front->breakpoints, &key);
    }
    task_mutex_unlock(&front->points);
    buffer_free(&reply);
}

/* What has to be put in order before anybody hears of a stop. */
static void settle(struct front *front)
{
    struct failure failure = {0};
    uint64_t runs = upstream_stub_runs(&front->upstream);

    front_note_stop(front);
    bool silent = breakpoints_orphan(&front->breakpoints) && stop_is_orphans(front);
    remove_orphans(front);
    if (upstream_stub_steps_oddly(&front->upstream))
        upstream_stub_step_bits(&front->upstream, front->session,
                                upstream_stub_step_default(&front->upstream, front->session));
    if (front_state(front) != SPACE_STATE_HALTED || upstream_stub_runs(&front->upstream) != runs)
        return; /* the next stop settles it, or it is lost */
    if (silent && !front_run_halt_wanted(&front->seen)) {
        log_debug(ROOM, "a stop at a breakpoint of a client that is gone: resumed");
        front_run_take(&front->seen, FRONT_RESUMES_AGAIN);
        enum space_error error = session_resume(front->session, &failure);
        front_run_take(&front->seen, FRONT_RESUME_OVER);
        if (error == SPACE_OK)
            return;
        log_warning(ROOM, "the target could not be resumed: %s",
                    failure.text[0] ? failure.text : space_error_text(error));
        if (front_state(front) != SPACE_STATE_HALTED || front->seen.now != FRONT_SETTLING)
            return;
    }
    front_publish(front);
}

static void settle_task(void *arg)
{
    struct front *front = arg;

    settle(front);
    front->tasks--;
    task_cond_broadcast(&front->changed);
}

static void halted(struct front *front)
{
    /* The way of stepping also when nobody is left: other connections step, too. */
    bool unsettled =
        breakpoints_orphan(&front->breakpoints) || upstream_stub_steps_oddly(&front->upstream);

    front_run_take(&front->seen, FRONT_SEES_HALT);
    if (front_run_is(&front->seen, FRONT_STEPPING_OVER)) {
        task_cond_broadcast(&front->changed);
        return;
    }
    if (unsettled && front->loop) {
        front_run_take(&front->seen, FRONT_UNSETTLED);
        front->tasks++;
        if (task_spawn(front->loop, "stub-settle", settle_task, front))
            return;
        front->tasks--;
    }
    front_publish(front);
}

static void state_changed(void *context, enum space_state state, const char *text)
{
    struct front *front = context;
    enum front_run_now before = front->seen.now;

    switch (state) {
    case SPACE_STATE_RUNNING:
        upstream_stub_ran(&front->upstream);
        front_run_take(&front->seen, FRONT_SEES_RUN);
        if (before == FRONT_SETTLING) /* somebody resumed it before that was done: no stop */
            task_cond_broadcast(&front->changed);
        break;
    case SPACE_STATE_HALTED:
        if (before == FRONT_LOST)
            front->leave_running = false;
        halted(front);
        break;
    case SPACE_STATE_LOST:
        log_debug(ROOM, "the target is lost: %s", text);
        front_run_take(&front->seen, FRONT_SEES_LOSS);
        front->losses++;
        upstream_stub_ran(&front->upstream);
        breakpoints_clear(&front->breakpoints);
        tell_all(front);
        upstream_stub_forget(&front->upstream);
        break;
    }
}

/* The front itself */

static enum front_run_now found(enum space_state state)
{
    return state == SPACE_STATE_RUNNING  ? FRONT_RUNNING
           : state == SPACE_STATE_HALTED ? FRONT_HALTED
                                         : FRONT_LOST;
}

bool front_init(struct front *front, struct ev_loop *loop, struct space *space,
                const struct front_config *config)
{
    *front = (struct front){.loop = loop, .space = space, .config = *config};
    struct session_listener listener = {.context = front, .state_changed = state_changed};
    front->session = session_open(space, "stub", CACHE_OFF, &listener);
    upstream_stub_init(&front->upstream, front->session);
    if (front->session)
        front->seen.now = found(front_state(front));
    return front->session != NULL;
}

void front_end(struct front *front)
{
    while (front->tasks > 0)
        task_cond_wait(&front->changed, -1);
    if (front->session)
        session_close(front->session);
    front->session = NULL;
    breakpoints_clear(&front->breakpoints);
    upstream_stub_forget(&front->upstream);
    buffer_free(&front->stop);
}

/* Clients */

/* Halt a target that runs, and wait for it. */
static bool halt(struct front *front)
{
    char text[256] = "";

    if (front_state(front) != SPACE_STATE_RUNNING)
        return front_state(front) == SPACE_STATE_HALTED;
    front_run_take(&front->seen, FRONT_HALTS);
    enum space_error error = session_halt(front->session);
    if (error == SPACE_OK)
        error = session_wait_halted(front->session, front->config.timeout, text, sizeof text);
    front_wait_settled(front);
    front_run_take(&front->seen, FRONT_HALT_OVER);
    if (error != SPACE_OK)
        log_warning(ROOM, "the target could not be halted: %s", space_error_text(error));
    return error == SPACE_OK;
}

void front_join(struct front *front, struct member *member)
{
    do
        front->last_number++;
    while (front->last_number == 0);
    member->number = front->last_number;
    DL_APPEND(front->members, member);
}

void front_leave(struct front *front, struct member *member)
{
    DL_DELETE(front->members, member);
}

bool front_attach(struct front *front, struct member *member)
{
    if (member->attached)
        return false;
    task_mutex_lock(&front->run);
    if (front->attached++ == 0) {
        front->leave_running = front_state(front) == SPACE_STATE_RUNNING;
        front_run_take(&front->seen, FRONT_FIRST_CLIENT);
    }
    member->attached = true;
    member->losses_seen = front->losses;
    if (front->config.attach_halt)
        halt(front);
    task_mutex_unlock(&front->run);
    return true;
}

/* Take out what only this client wanted; what cannot be taken out now becomes an orphan. */
static void remove_breakpoints(struct front *front, const struct member *member)
{
    breakpoints_abandon(&front->breakpoints, member->number);
    if (front_state(front) == SPACE_STATE_HALTED)
        remove_orphans(front);
}

/* The last client has left. */
static void restore(struct front *front, const struct member *member, bool resume)
{
    struct failure failure = {0};

    if (resume || (front->leave_running && front_run_is(&front->seen, FRONT_HALT_OURS))) {
        if (front_state(front) != SPACE_STATE_HALTED)
            return;
        enum space_error error = session_resume(front->session, &failure);
        if (error != SPACE_OK)
            log_warning(ROOM, "%s: the target could not be resumed: %s", member->name,
                        failure.text[0] ? failure.text : space_error_text(error));
    } else if (!front->leave_running && front_run_is(&front->seen, FRONT_RUN_OURS) &&
               front_state(front) == SPACE_STATE_RUNNING) {
        halt(front);
        remove_orphans(front);
    }
}

bool front_detach(struct front *front, struct member *member, bool resume)
{
    if (!member->attached)
        return false;
    task_mutex_lock(&front->run);
    front_wait_settled(front);
    member->attached = false;
    front->attached--;
    remove_breakpoints(front, member);
    if (front->attached == 0)
        restore(front, member, resume);
    task_mutex_unlock(&front->run);
    return true;
}
