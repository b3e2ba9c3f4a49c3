/* Hides whom we believe when it is asked whether the target runs. */
#include "upstream/run/run_control.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "rsp/stop_reply.h"
#include "upstream/link/qmp.h"
#include "upstream/link/step_text.h"
#include "upstream/run_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "target"

struct run_control {
    struct ev_loop *loop;
    struct stub *stub;
    struct qmp *qmp;
    struct run_listener listener;
    struct run_state *state;
    enum target_state told; /* what the listener heard last */
    uint64_t changes;       /* of what was told, whatever it changed to */
    char text[256];         /* why it is halted, or lost */
    struct buffer reply;    /* the same in the stub's words, whole, with its NUL */
    unsigned stop_signal;
    uint64_t stop_thread;
    /* RESUME events that our own resumes lead to: asked for, and come */
    uint64_t resumes, resume_events;
    struct task_cond changed, finished;
    bool checking, check_again; /* a task asks QMP whether the target runs */
    bool stopping;              /* a task asks QMP to stop it */
    bool shut_down; /* QEMU has told so; the halt that it leads to says no more than any other */
    bool ended;
    unsigned tasks;
};

struct run_control *run_control_new(struct ev_loop *loop, struct run_state *state,
                                    struct stub *stub, struct qmp *qmp,
                                    const struct run_listener *listener)
{
    struct run_control *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->loop = loop;
    run->stub = stub;
    run->qmp = qmp;
    run->listener = *listener;
    run->state = state;
    run->told = TARGET_STATE_LOST;
    return run;
}

void run_control_free(struct run_control *run)
{
    if (run)
        buffer_free(&run->reply);
    free(run);
}

/* A loss is one for the layers above once they were told of it, and of what it costs before that.
 */
enum target_state run_control_state(const struct run_control *run)
{
    return run->state->now == RUN_LOST ? run->told : run_state_told(run->state->now);
}

static bool is_lost(const struct run_control *run)
{
    return !run_state_attached(run->state);
}

static bool is_halted(const struct run_control *run)
{
    return !is_lost(run) && !run_state_runs(run->state);
}

/* Telling */

static void tell(struct run_control *run, enum target_state state, const char *text)
{
    run->told = state;
    run->changes++;
    snprintf(run->text, sizeof run->text, "%s", text);
    log_debug(ROOM, "the target is %s: %s",
              state == TARGET_STATE_RUNNING  ? "running"
              : state == TARGET_STATE_HALTED ? "halted"
                                             : "lost",
              text);
    if (run->listener.memory_changed)
        run->listener.memory_changed(run->listener.context);
    if (run->listener.state_changed)
        run->listener.state_changed(run->listener.context, state, run->text);
    task_cond_broadcast(&run->changed);
}

/* QEMU's words for what no resume of the stub's ends (gdb_continue, runstate_needs_reset), and for
 * a guest that sleeps. What waits for its disk, or has panicked, goes on. */
static bool is_asleep(const char *status)
{
    return strcmp(status, "shutdown") == 0 || strcmp(status, "internal-error") == 0 ||
           strcmp(status, "suspended") == 0;
}

/* A reset, or a stop that nobody asked for: what was asleep can be resumed. */
static void wake(struct run_control *run)
{
    if (run->state->now == RUN_ASLEEP)
        run_state_take(run->state, RUN_WOKEN);
}

/* What the monitor was to halt runs on. */
static void goes_on(struct run_control *run)
{
    if (run->state->now == RUN_HALTING && !run_state_is(run->state, RUN_HALT_SENT))
        run_state_take(run->state, RUN_GOES_ON);
}

/* Out of memory there is none. */
static void keep_reply(struct run_control *run, const char *reply)
{
    buffer_clear(&run->reply);
    if (!buffer_append(&run->reply, reply, strlen(reply) + 1))
        buffer_free(&run->reply);
}

/* "T05thread:02;…" in words. All of it is untrusted. */
static void describe_stop(struct run_control *run, const char *reply, char *text, size_t size)
{
    struct stop stop;
    char where[48] = "";
    keep_reply(run, reply);
    stop_parse(&stop, reply);
    run->stop_signal = stop.signal;
    run->stop_thread = stop.thread > 0 ? (uint64_t)stop.thread : 0;
    if (run->stop_thread != 0)
        snprintf(where, sizeof where, " in thread %" PRIu64, run->stop_thread);
    for (unsigned i = 0; i < run->stub->processors && run->stop_thread != 0; i++)
        if (run->stub->threads[i] == run->stop_thread)
            snprintf(where, sizeof where, " on processor %u", i);
    const char *why = stop.watch                     ? "a watchpoint"
                      : stop.swbreak || stop.hwbreak ? "a breakpoint"
                      : stop.signal == 5             ? "a breakpoint or a step"
                      : stop.signal == 2             ? "an interrupt"
                                                     : NULL;
    if (why)
        snprintf(text, size, "halted by %s%s", why, where);
    else
        snprintf(text, size, "halted by signal %u%s", stop.signal, where);
}

void run_control_attached(struct run_control *run, const char *reply)
{
    char ignored[sizeof run->text];
    run->ended = run->shut_down = false;
    run_state_take(run->state, is_asleep(run->stub->status) ? RUN_FOUND_ASLEEP : RUN_FOUND_HALTED);
    run->resumes = run->resume_events = 0;
    describe_stop(run, reply, ignored, sizeof ignored);
    tell(run, TARGET_STATE_HALTED, "halted when it was attached");
}

void run_control_lost(struct run_control *run, const char *reason)
{
    keep_reply(run, rsp_client_exit(run->stub->rsp));
    if (run->told != TARGET_STATE_LOST)
        tell(run, TARGET_STATE_LOST, reason);
}

void run_control_resumed(struct run_control *run)
{
    run->resumes++;
    if (run->told == TARGET_STATE_RUNNING) { /* a step that is made again */
        run->changes++;
        return;
    }
    tell(run, TARGET_STATE_RUNNING, "resumed");
}

void run_control_refused(struct run_control *run, const char *reply)
{
    char text[128];
    run->resumes--;
    snprintf(text, sizeof text, "the stub refused to resume the target (%.40s)",
             reply[0] ? reply : "empty reply");
    tell(run, TARGET_STATE_HALTED, text);
}

void run_control_stopped(struct run_control *run, bool running, const char *reply)
{
    char text[sizeof run->text];
    (void)
        running; /* when it was thought to be halted it must have run in between: all is new too */
    wake(run);
    describe_stop(run, reply, text, sizeof text);
    tell(run, TARGET_STATE_HALTED, text);
}

/* Tasks of its own */

static bool spawn(struct run_control *run, const char *name, task_fn *fn)
{
    if (run->ended || !task_spawn(run->loop, name, fn, run))
        return false;
    run->tasks++;
    return true;
}

static void task_over(struct run_control *run)
{
    if (--run->tasks == 0)
        task_cond_broadcast(&run->finished);
}

/* The target runs though we did not resume it. */
static void adopt_running(struct run_control *run)
{
    if (rsp_client_busy(run->stub->rsp)) {
        rsp_client_fail_resumed(run->stub->rsp);
        return;
    }
    rsp_client_set_running(run->stub->rsp, true);
    tell(run, TARGET_STATE_RUNNING, "resumed by another");
}

static void adopt_halted(struct run_control *run, const char *status)
{
    char text[128], reply[32] = "S02";
    run->stop_signal = 0;
    if (run->stub->threads[0] != 0)
        snprintf(reply, sizeof reply, "T02thread:%02" PRIx64 ";", run->stub->threads[0]);
    keep_reply(run, reply);
    snprintf(text, sizeof text, "halted by another or by itself (%.60s)", status);
    rsp_client_set_running(run->stub->rsp, false);
    if (is_asleep(status))
        run_state_take(run->state, RUN_SEEN_ASLEEP);
    tell(run, TARGET_STATE_HALTED, text);
}

/* A resume that was asked for and waits for the doubt to be over: nothing of it was sent. */
static bool held_by_doubt(const struct run_control *run)
{
    return run->state->now == RUN_RESUMING && run_state_is(run->state, RUN_DOUBTED) &&
           !run_state_is(run->state, RUN_LOOKING);
}

/* Compare what QEMU says with what we think. False: ask again. */
static bool check_once(struct run_control *run)
{
    uint64_t changes = run->changes;
    uint64_t resumes = run->resumes;
    /* QEMU may take the question before a resume that it has not acknowledged. */
    bool resuming = rsp_client_resuming(run->stub->rsp);
    json_t *result = NULL;
    if (qmp_execute(run->qmp, "query-status", NULL, &result, NULL) != TARGET_OK)
        return true;
    bool answered = json_is_boolean(json_object_get(result, "running"));
    bool running = json_is_true(json_object_get(result, "running"));
    const char *word = json_string_value(json_object_get(result, "status"));
    char status[64];
    snprintf(status, sizeof status, "%s", word ? word : "?");
    json_decref(result);
    /* The events of all that was resumed before the question have come before the answer. */
    if (run->resume_events < resumes)
        run->resume_events = resumes;
    /* A stop reply that QEMU sent before the answer tells more. */
    if (run_state_runs(run->state) && !running)
        rsp_client_poll(run->stub->rsp);
    if (run->changes != changes)
        return is_lost(run);
    if (answered && running && held_by_doubt(run)) {
        adopt_running(run);
        return true;
    }
    if (!answered || is_lost(run) || rsp_client_resuming(run->stub->rsp))
        return true; /* a resume under way is checked by itself when it was taken */
    if (resuming)
        return false;
    if (running && is_halted(run))
        adopt_running(run);
    else if (running && !run->stopping)
        goes_on(run);
    else if (!running && !is_halted(run))
        adopt_halted(run, status);
    else if (!running && is_asleep(status) && run->state->now == RUN_HALTED)
        run_state_take(run->state, RUN_SEEN_ASLEEP);
    return true;
}

static void check_task(void *arg)
{
    struct run_control *run = arg;
    while (run->check_again && !run->ended) {
        run->check_again = false;
        if (!check_once(run))
            run->check_again = true;
    }
    run->checking = false;
    if (qmp_connected(run->qmp)) /* else nobody has answered, and the stub is left in doubt */
        rsp_client_doubt(run->stub->rsp, false);
    task_over(run);
}

static void check(struct run_control *run)
{
    if (!run->qmp || is_lost(run))
        return;
    run->check_again = true;
    if (!run->checking)
        run->checking = spawn(run, "run-check", check_task);
}

static void stop_task(void *arg)
{
    struct run_control *run = arg;
    struct failure failure = {0};
    if (qmp_execute(run->qmp, "stop", NULL, NULL, &failure) == TARGET_OK) {
        check(run);
    } else {
        log_warning(ROOM, "the target cannot be halted: %s", failure.text);
        goes_on(run);
    }
    run->stopping = false;
    task_over(run);
}

void run_control_event(struct run_control *run, const char *name)
{
    if (is_lost(run))
        return;
    if (strcmp(name, "RESUME") == 0) {
        bool expected = run->resume_events < run->resumes;
        if (expected)
            run->resume_events++;
        else if (rsp_client_busy(run->stub->rsp))
            rsp_client_fail_resumed(run->stub->rsp);
        if (!expected && is_halted(run)) {
            check(run);
            rsp_client_doubt(run->stub->rsp, run->checking);
        }
    } else if (strcmp(name, "STOP") == 0) {
        if (run->shut_down || (!is_halted(run) && !rsp_client_resuming(run->stub->rsp)))
            check(run);
        run->shut_down = false;
    } else if (strcmp(name, "SHUTDOWN") == 0) {
        run->shut_down = true;
    } else if (strcmp(name, "SUSPEND") == 0) {
        check(run); /* it sleeps without a stop */
    } else if (strcmp(name, "RESET") == 0) {
        run->changes++;
        wake(run);
        if (run->listener.memory_changed)
            run->listener.memory_changed(run->listener.context);
    }
}

/* Resume */

/* The packet for it: vCont where the stub has it, else c and s. */
static void resume_packet(struct run_control *run, struct rsp_operation *operation,
                          enum target_resume kind, unsigned cpu, char *payload, size_t size)
{
    const struct stub *stub = run->stub;
    uint64_t thread = stub->threads[cpu];
    /* A process gets the signal that it was stopped by, unless it was stopped for us. */
    unsigned pass = run->stop_signal;
    if (stub->qemu || pass == 0 || pass == 2 || pass == 5 || pass == 17 || run->stop_thread == 0)
        pass = 0;
    if (kind == TARGET_RESUME_STEP) {
        /* QEMU takes the step flag off a processor only when it is the one that Hc names. */
        operation->continue_thread = thread;
        if (stub->vcont)
            snprintf(payload, size, "vCont;s:%" PRIx64, thread);
        else
            snprintf(payload, size, "s");
    } else if (stub->vcont && pass) {
        snprintf(payload, size, "vCont;C%02x:%" PRIx64 ";c", pass, run->stop_thread);
    } else {
        snprintf(payload, size, stub->vcont ? "vCont;c" : "c");
    }
    operation->payload = payload;
    operation->length = strlen(payload);
}

static enum target_error resume(struct run_control *run, struct rsp_operation *operation,
                                struct failure *failure)
{
    struct buffer reply = {0};
    const struct stub *stub = run->stub;
    operation->kind = RSP_RESUME;
    operation->space = RSP_SPACE_VIRTUAL;
    if (stub->qemu)
        operation->step_thread =
            step_text_thread(operation->payload, operation->length, operation->continue_thread,
                             stub->processors == 1 ? stub->threads[0] : 0);
    enum target_error error = rsp_client_call(run->stub->rsp, operation, &reply);
    if (error == TARGET_FAILED || error == TARGET_UNSUPPORTED)
        failure_set(failure, error, "the stub refused '%.*s'",
                    operation->length < 60 ? (int)operation->length : 60,
                    (const char *)operation->payload);
    buffer_free(&reply);
    /* Who waits has taken it for running since it was asked for. */
    if (error != TARGET_OK)
        task_cond_broadcast(&run->changed);
    /* A guest that was shut down, or has crashed, cannot be resumed, and the stub does not say so.
     */
    if (error == TARGET_OK)
        check(run);
    return error;
}

static enum target_error may_resume(const struct run_control *run)
{
    return is_lost(run) ? TARGET_GONE : is_halted(run) ? TARGET_OK : TARGET_RUNNING;
}

enum target_error run_control_resume(struct run_control *run, target_client client,
                                     enum target_resume kind, unsigned cpu, struct failure *failure)
{
    enum target_error error = may_resume(run);
    if (error == TARGET_OK && cpu >= run->stub->processors)
        error = TARGET_INVALID;
    if (error != TARGET_OK)
        return error;
    char payload[80];
    struct rsp_operation operation = {.client = client};
    resume_packet(run, &operation, kind, cpu, payload, sizeof payload);
    return resume(run, &operation, failure);
}

enum target_error run_control_resume_packet(struct run_control *run, target_client client,
                                            uint64_t thread, const void *payload, size_t length,
                                            struct failure *failure)
{
    enum target_error error = may_resume(run);
    if (error != TARGET_OK)
        return error;
    struct rsp_operation operation = {.payload = payload,
                                      .length = length,
                                      .escape = true,
                                      .client = client,
                                      .continue_thread = thread};
    return resume(run, &operation, failure);
}

const char *run_control_stop_reply(const struct run_control *run)
{
    return (const char *)buffer_bytes(&run->reply);
}

enum target_error run_control_interrupt(struct run_control *run)
{
    if (is_lost(run))
        return TARGET_GONE;
    if (is_halted(run)) {
        rsp_client_interrupt(run->stub->rsp); /* a resume that is about to be sent */
        return TARGET_OK;
    }
    /* QEMU may swallow the byte when it was resumed by its monitor. */
    if (!run_state_is(run->state, RUN_OURS) && run->qmp && qmp_connected(run->qmp)) {
        if (!run->stopping)
            run->stopping = spawn(run, "run-stop", stop_task);
        if (run->stopping) {
            run_state_take(run->state, RUN_MONITOR_HALTS);
            return TARGET_OK;
        }
    }
    rsp_client_interrupt(run->stub->rsp);
    return TARGET_OK;
}

/* Waiting */

enum target_error run_control_wait(struct run_control *run, double timeout, const bool *cancel,
                                   char *text, size_t size)
{
    double until = clock_now() + timeout;
    for (;;) {
        enum target_state state = run_control_state(run);
        if (state == TARGET_STATE_HALTED) {
            snprintf(text, size, "%s", run->text);
            return TARGET_OK;
        }
        if (state == TARGET_STATE_LOST)
            return TARGET_GONE;
        if (cancel && *cancel)
            return TARGET_CANCELLED;
        double left = timeout < 0 ? -1 : until - clock_now();
        if (timeout >= 0 && left <= 0)
            return TARGET_RUNNING;
        task_cond_wait(&run->changed, left);
    }
}

void run_control_wait_cancel(struct run_control *run)
{
    task_cond_broadcast(&run->changed);
}

void run_control_quiesce(struct run_control *run)
{
    run->ended = true;
    while (run->tasks > 0)
        task_cond_wait(&run->finished, -1);
}
