/* Running: vCont, c, s, C, S, bc, bs, vRun. */
#include "stub/run.h"

#include "base/failure.h"
#include "rsp/stop_reply.h"
#include "space/packets.h"
#include "space/run.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for a vCont of REQUEST_ACTIONS_MAX actions, ranges included. */
#define PAYLOAD_SIZE (REQUEST_ACTIONS_MAX * 72)

/* What goes upstream for a client's resume. */
struct resume {
    char payload[PAYLOAD_SIZE];
    size_t length;
    int64_t selected; /* Hc */
    bool steps;
    bool reverse; /* into the past: a breakpoint at hand is not in the way */
    bool whole;   /* everything is to go on, nothing steps */
};

/* Refuse a resume. The client waits for a stop, so that text for its user can come first. */
__attribute__((format(printf, 3, 4))) static void refuse(struct client *client, unsigned code,
                                                         const char *format, ...)
{
    char text[256], line[272];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(line, sizeof line, "%s\n", text);
    client_console(client, line);
    reply_error(client, code, "%s", text);
}

static void append(struct resume *resume, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void append(struct resume *resume, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(resume->payload + resume->length,
                           sizeof resume->payload - resume->length, format, arguments);
    va_end(arguments);
    if (length > 0)
        resume->length += (size_t)length;
}

/* The thread that an unnamed or "any" resume means. */
static int64_t resumed_thread(struct client *client)
{
    return client->resumed > 0 ? client->resumed : client_stop_thread(client);
}

/* c, s, C, S: in terms of vCont, everything goes on and the selected thread steps; QEMU's own s
 * does the same. Only with an address it has to be said in the old words. */
static void build_plain(struct client *client, const struct request_resume *asked,
                        struct resume *resume)
{
    const struct request_action *action = &asked->actions[0];
    bool step = action->action == 's' || action->action == 'S';
    int64_t thread = resumed_thread(client);

    resume->selected = thread;
    resume->steps = step;
    resume->whole = !step;
    if (asked->have_address) {
        append(resume, "%c", action->action);
        if (action->have_signal)
            append(resume, "%02x;", action->signal);
        append(resume, "%" PRIx64, asked->address);
        return;
    }
    append(resume, "vCont;%c", action->action);
    if (action->have_signal)
        append(resume, "%02x", action->signal);
    if (step || action->have_signal)
        append(resume, ":%" PRIx64 ";c", (uint64_t)thread);
}

/* False: a thread that is not there; the reply says so. */
static bool build_vcont(struct client *client, const struct request_resume *asked,
                        struct resume *resume)
{
    append(resume, "vCont");
    resume->whole = true;
    for (size_t i = 0; i < asked->count; i++) {
        const struct request_action *action = &asked->actions[i];
        int64_t thread = action->have_thread ? action->thread.thread : THREAD_ALL;
        if (action->action == 't') {
            refuse(client, ERROR_INVALID, "stopping single threads is not possible here");
            return false;
        }
        append(resume, ";%c", action->action);
        if (action->have_signal)
            append(resume, "%02x", action->signal);
        if (action->action == 'r')
            append(resume, "%" PRIx64 ",%" PRIx64, action->first, action->last);
        if (thread == THREAD_ANY)
            thread = resumed_thread(client);
        if (action->action != 'c' && action->action != 'C') {
            resume->steps = true;
            resume->whole = false;
        }
        if (thread == THREAD_ALL)
            return true; /* it leaves nothing to those behind it */
        if (!upstream_stub_has_thread(&client->front->upstream, client->session, thread)) {
            refuse(client, ERROR_INVALID, "there is no thread %" PRIx64, (uint64_t)thread);
            return false;
        }
        if (resume->steps && resume->selected == 0)
            resume->selected = thread;
        append(resume, ":%" PRIx64, (uint64_t)thread);
    }
    resume->whole = false; /* some threads only */
    return true;
}

/* Wait for a step that nobody asked for. */
static enum space_error wait_halted(struct client *client)
{
    struct front *front = client->front;
    char text[256];

    return session_wait_halted(client->session, front->config.timeout, text, sizeof text);
}

/* One step of the thread that stopped, to its end. failure says more where resuming failed. */
static enum space_error step_once(struct client *client, int64_t thread, struct failure *failure)
{
    struct front *front = client->front;
    char step[40];

    int length = snprintf(step, sizeof step, "vCont;s:%" PRIx64, (uint64_t)thread);
    front_run_take(&front->seen, FRONT_STEPS_OVER);
    enum space_error error =
        session_resume_packet(client->session, thread, step, (size_t)length, failure);
    if (error == SPACE_OK)
        error = wait_halted(client);
    if (error == SPACE_RUNNING && front_state(front) == SPACE_STATE_RUNNING) {
        /* It rests (hlt), and a step does not end before something wakes it. */
        session_halt(client->session);
        error = wait_halted(client);
    }
    front_run_take(&front->seen, FRONT_STEPPED_OVER);
    return error;
}

/* The target stands at a breakpoint that this client has not set: its debugger will not step over
 * it, and the target would stop there again without having moved. Take it out, step, put it back.
 * False: the reply is made (stopped: the step ended in a stop of its own, which is told). */
static bool step_over(struct client *client, bool *stopped)
{
    struct front *front = client->front;
    int64_t thread = front_stop_thread(front);
    struct breakpoint_key taken[4];
    size_t count = 0;
    struct buffer reply = {0};
    uint64_t pc;
    struct failure failure = {0};

    *stopped = false;
    if (!front_is_qemu(front) || breakpoints_count(&front->breakpoints) == 0 ||
        !upstream_stub_read_pc(&front->upstream, client->session, thread, &pc) ||
        !breakpoints_at(&front->breakpoints, pc, -1, 0) ||
        breakpoints_at(&front->breakpoints, pc, -1, client->member.number))
        return true;
    task_mutex_lock(&front->points);
    struct breakpoint *breakpoint, *next;
    HASH_ITER(hh, front->breakpoints.all, breakpoint, next)
    {
        if (breakpoint->key.address == pc && breakpoint->key.type <= 1 && count < 4)
            taken[count++] = breakpoint->key;
    }
    for (size_t i = 0; i < count; i++)
        upstream_stub_remove_point(client->session, &taken[i], &reply);
    enum space_error error = step_once(client, thread, &failure);
    for (size_t i = 0; i < count; i++) {
        enum space_error back = upstream_stub_insert_point(client->session, &taken[i], &reply);
        error = error == SPACE_OK ? back : error;
    }
    task_mutex_unlock(&front->points);
    buffer_free(&reply);
    if (error != SPACE_OK) {
        refuse(client, ERROR_GENERAL, "a breakpoint of another client cannot be stepped over: %s",
               failure.text[0] ? failure.text : space_error_text(error));
        return false;
    }
    /* Somebody wanted it halted meanwhile, or something else than the step has stopped it. */
    struct stop stop;
    *stopped = front_run_is(&front->seen, FRONT_HALT_ASKED) ||
               !stop_parse(&stop, session_stop_reply(front->session)) || stop.signal != 5 ||
               stop.watch || stop.kind == 'W' || stop.kind == 'X';
    return true;
}

/* With front->run held and the target halted. True: the client waits for a stop. */
static bool resume_now(struct client *client, const struct resume *resume)
{
    struct front *front = client->front;
    struct failure failure = {0};
    bool stopped = false;
    uint64_t stops = front->stops;

    if (resume->steps) {
        unsigned bits = upstream_stub_step_default(&front->upstream, client->session);
        enum space_error error = upstream_stub_step_bits(
            &front->upstream, client->session, client->step_bits_set ? client->step_bits : bits);
        if (error != SPACE_OK) {
            refuse(client, ERROR_GENERAL, "the way of stepping cannot be set: %s",
                   space_error_text(error));
            return false;
        }
    } else if (!resume->reverse && !step_over(client, &stopped)) {
        return false;
    }
    client->stops_seen = stops;
    if (stopped) {
        /* Since its breakpoints were put back others may have resumed it, or it may be lost: then
         * that is what the clients hear of. */
        if (front_run_allows(&front->seen, FRONT_TOLD))
            front_publish(front);
        return true;
    }
    front_run_take(&front->seen, resume->steps ? FRONT_STEPS : FRONT_RESUMES);
    enum space_error error = session_resume_packet(client->session, resume->selected,
                                                   resume->payload, resume->length, &failure);
    front_run_take(&front->seen, FRONT_RESUME_OVER);
    if (error == SPACE_OK)
        return true;
    refuse(client, error == SPACE_RUNNING ? ERROR_BUSY : ERROR_GENERAL,
           "the target could not be resumed: %s",
           failure.text[0] ? failure.text : space_error_text(error));
    return false;
}

static void resume(struct client *client, const struct resume *resume)
{
    struct front *front = client->front;

    task_mutex_lock(&front->run);
    front_wait_settled(front);
    switch (front_state(front)) {
    case SPACE_STATE_HALTED:
        client->waiting = resume_now(client, resume);
        break;
    case SPACE_STATE_RUNNING:
        if (resume->whole) {
            /* It goes on already: this client too hears of the next stop. */
            client->waiting = true;
            client->stops_seen = front->stops;
        } else {
            refuse(client, ERROR_BUSY,
                   "another client runs the target: it cannot be stepped before it stops");
        }
        break;
    case SPACE_STATE_LOST:
        refuse(client, ERROR_GONE, "the target is not there");
        break;
    }
    client->answered = client->waiting;
    task_mutex_unlock(&front->run);
}

void run_do_resume(struct client *client, const struct request *request)
{
    struct request_resume *asked = malloc(sizeof *asked);
    struct resume *wanted = calloc(1, sizeof *wanted);

    if (!asked || !wanted)
        reply_error(client, ERROR_GENERAL, "out of memory");
    else if (!request_resume(request, asked))
        reply_error(client, ERROR_INVALID, "this resume is malformed");
    else if (!asked->vcont) {
        build_plain(client, asked, wanted);
        resume(client, wanted);
    } else if (build_vcont(client, asked, wanted)) {
        resume(client, wanted);
    }
    free(asked);
    free(wanted);
}

void run_do_reverse(struct client *client, const struct request *request)
{
    struct stub_offer offer;
    struct resume wanted = {
        .selected = resumed_thread(client), .steps = request->text[1] == 's', .reverse = true};

    upstream_stub_offer(&client->front->upstream, &offer);
    /* A QEMU without a recording aborts when it is asked for this. */
    if (wanted.steps ? !offer.reverse_step : !offer.reverse_continue)
        return;
    append(&wanted, "%.2s", request->text);
    resume(client, &wanted);
}

void run_do_start(struct client *client, const struct request *request)
{
    struct resume wanted = {.selected = 0};

    if (front_is_qemu(client->front) || request->length >= sizeof wanted.payload)
        return;
    memcpy(wanted.payload, request->text, request->length);
    wanted.length = request->length;
    resume(client, &wanted);
}

void run_do_offer(struct client *client, const struct request *request)
{
    struct buffer reply = {0};

    if (!front_is_qemu(client->front) && front_state(client->front) == SPACE_STATE_HALTED &&
        session_packet(client->session, 0, request->text, request->length, &reply) == SPACE_OK)
        reply_bytes(client, buffer_bytes(&reply), reply.length);
    else
        reply_text(client, "vCont;c;C;s;S");
    buffer_free(&reply);
}
