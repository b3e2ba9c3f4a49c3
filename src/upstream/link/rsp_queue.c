/* Hides what may be sent to the stub now, and what has to go before it. */
#include "upstream/link/rsp_queue.h"

#include "base/clock.h"
#include "base/log.h"
#include "upstream/link/rsp_wire.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* With that weight in flight the stub has something to do for a few hundred microseconds: nobody
 * need wake for each answer. */
#define PACE_LEAST (8u * RSP_WEIGHT_FULL)
/* Bytes waiting for the socket beyond which no further request is framed. */
#define OUT_MOST ((size_t)256 * 1024)
/* Seconds without a reply after which the next request goes alone: were the target resumed behind
 * our back, the stub would swallow one request and every later reply would be taken for another's.
 */
#define ALONE_AFTER 0.05

static void on_again(void *context, struct rsp_operation *resume)
{
    struct rsp_queue *queue = context;
    rsp_run_ask(&queue->run, resume);
}

static void on_step_stopped(void *context, const char *reply)
{
    const struct rsp_queue *queue = context;
    if (queue->listener->stopped)
        queue->listener->stopped(queue->listener->context, true, reply);
}

void rsp_queue_init(struct rsp_queue *queue, struct rsp_wire *wire, struct run_state *state,
                    const struct rsp_listener *listener)
{
    struct rsp_step_events events = {
        .context = queue, .again = on_again, .stopped = on_step_stopped};
    *queue = (struct rsp_queue){.wire = wire, .listener = listener};
    rsp_run_init(&queue->run, state);
    rsp_step_init(&queue->step, &queue->modes, state, &events);
}

void rsp_queue_free(struct rsp_queue *queue)
{
    rsp_step_free(&queue->step);
}

void rsp_queue_begin(struct rsp_queue *queue)
{
    queue->spaces = false;
    queue->depth = 1;
    queue->limit = 396; /* what gdb takes for granted of a stub that does not say */
    rsp_run_begin(&queue->run);
    rsp_turns_begin(&queue->turns);
    rsp_modes_forget(&queue->modes, true);
}

/* Taking in */

/* The length on the wire between $ and #. */
static size_t wire_length(const struct rsp_operation *operation)
{
    size_t length = operation->length;
    const char *payload = operation->payload;
    for (size_t i = 0; operation->escape && i < operation->length; i++)
        length += payload[i] == '#' || payload[i] == '$' || payload[i] == '}' || payload[i] == '*';
    return length;
}

static bool step_owns_any(const struct rsp_step *step, const struct rsp_operation *list)
{
    for (; list; list = list->next)
        if (rsp_step_owns(step, list))
            return true;
    return false;
}

static void ask_resume(struct rsp_queue *queue, struct rsp_operation *resume)
{
    bool under_way = step_owns_any(&queue->step, queue->flight.first) ||
                     step_owns_any(&queue->step, queue->dropped);
    rsp_run_ask(&queue->run, resume);
    rsp_step_begin(&queue->step, resume, under_way);
}

enum target_error rsp_queue_add(struct rsp_queue *queue, struct rsp_operation *operation)
{
    if (wire_length(operation) > queue->limit)
        return TARGET_INVALID;
    if (operation->space == RSP_SPACE_PHYSICAL && !queue->spaces)
        return TARGET_UNSUPPORTED;
    operation->switching = NULL;
    operation->error = TARGET_OK;
    if (operation->kind == RSP_RESUME)
        ask_resume(queue, operation);
    else if (!rsp_turns_add(&queue->turns, operation))
        return TARGET_NO_MEMORY;
    return TARGET_OK;
}

/* Sending */

bool rsp_queue_owed(const struct rsp_queue *queue)
{
    return queue->flight.first || rsp_run_stop_owed(&queue->run);
}

void rsp_queue_watch(struct rsp_queue *queue)
{
    stream_owe(&queue->wire->stream, rsp_queue_owed(queue));
}

static void send_operation(struct rsp_queue *queue, struct rsp_operation *operation)
{
    if (!rsp_wire_frame(queue->wire, operation))
        return;
    rsp_flight_add(&queue->flight, operation);
    log_trace("target", "-> %.*s", operation->length < 80 ? (int)operation->length : 80,
              (const char *)operation->payload);
}

void rsp_queue_send_switch(struct rsp_queue *queue, enum rsp_mode_kind kind, uint64_t value)
{
    struct rsp_switch *switching = rsp_switch_new(&queue->modes, kind, value);
    if (!switching) {
        stream_fail(&queue->wire->stream, "out of memory");
        return;
    }
    rsp_modes_set(&queue->modes, kind, value);
    queue->held = !switching->proven;
    send_operation(queue, &switching->operation);
}

void rsp_queue_release(struct rsp_queue *queue)
{
    queue->held = false;
}

/* The resume goes alone, and the target runs from here on. */
static void send_resume(struct rsp_queue *queue)
{
    send_operation(queue, queue->run.resume);
    if (queue->wire->stream.failing)
        return;
    rsp_run_sent(&queue->run, queue->wire->acks);
    rsp_modes_forget(&queue->modes, false);
    if (queue->listener->resumed)
        queue->listener->resumed(queue->listener->context);
}

static unsigned depth_now(const struct rsp_queue *queue)
{
    if (queue->depth > 1 && clock_now() - queue->last_reply > ALONE_AFTER)
        return 1;
    return queue->depth;
}

/* The first in the queue, behind all of them what a step has to know, behind that the resume.
 * False: nothing is left, or the resume has to wait. */
static bool send_next(struct rsp_queue *queue)
{
    struct rsp_operation *operation = rsp_turns_front(&queue->turns);
    bool queued = operation != NULL;
    if (!operation)
        operation = rsp_step_next(&queue->step);
    if (!operation)
        operation = queue->run.resume;
    if (!operation)
        return false;
    uint64_t value;
    enum rsp_mode_kind kind = rsp_modes_needed(&queue->modes, operation, queue->spaces, &value);
    if (kind != RSP_MODE_KINDS) {
        rsp_queue_send_switch(queue, kind, value);
    } else if (operation == queue->run.resume) {
        if (queue->flight.first)
            return false;
        send_resume(queue);
    } else {
        if (queued)
            rsp_turns_pop(&queue->turns);
        send_operation(queue, operation);
    }
    return true;
}

void rsp_queue_pump(struct rsp_queue *queue)
{
    const struct rsp_wire *wire = queue->wire;
    while (rsp_wire_live(wire) && !rsp_run_moving(&queue->run) && !queue->held &&
           !rsp_run_doubted(&queue->run) && rsp_flight_room(&queue->flight, depth_now(queue)) &&
           wire->stream.out.length < OUT_MOST)
        if (!send_next(queue))
            break;
    rsp_queue_watch(queue);
    stream_pace(&queue->wire->stream, queue->flight.first != NULL,
                queue->flight.weight >= PACE_LEAST);
}

void rsp_queue_send_interrupt(struct rsp_queue *queue)
{
    rsp_run_interrupt_sent(&queue->run);
    rsp_wire_append_byte(queue->wire, 0x03);
    rsp_queue_watch(queue);
}

/* Outcomes */

void rsp_queue_answered(struct rsp_queue *queue, struct rsp_operation *operation)
{
    queue->last_reply = clock_now();
    rsp_flight_remove(&queue->flight, operation);
}

void rsp_queue_halted(struct rsp_queue *queue, enum run_input input)
{
    rsp_run_halted(&queue->run, input);
    rsp_modes_forget(&queue->modes, false);
}

void rsp_queue_finish_resume(struct rsp_queue *queue, enum target_error error, const char *reply)
{
    struct rsp_operation *operation = queue->run.resume;
    if (!operation)
        return;
    rsp_run_forget_resume(&queue->run);
    rsp_flight_remove(&queue->flight, operation);
    operation->error = error;
    operation->reply = reply;
    operation->reply_length = strlen(reply);
    operation->done(operation);
}

static void drop_one(struct rsp_queue *queue, struct rsp_operation *operation,
                     enum target_error error)
{
    operation->error = error;
    DL_APPEND(queue->dropped, operation);
}

void rsp_queue_refuse_front(struct rsp_queue *queue, enum target_error error)
{
    struct rsp_operation *operation = rsp_turns_front(&queue->turns);
    if (operation) {
        rsp_turns_pop(&queue->turns);
    } else {
        operation = queue->run.resume;
        rsp_run_forget_resume(&queue->run);
        if (operation && !run_state_is(queue->run.state, RUN_LOOKING))
            rsp_run_halted(&queue->run, RUN_CALLED_OFF);
        rsp_step_refused(&queue->step);
    }
    if (operation)
        drop_one(queue, operation, error);
}

void rsp_queue_drop(struct rsp_queue *queue, enum target_error error)
{
    struct rsp_operation *resume = queue->run.resume;
    bool in_flight = rsp_run_in_flight(&queue->run);
    rsp_flight_drop(&queue->flight, error, &queue->dropped);
    rsp_turns_drop(&queue->turns, error, &queue->dropped);
    rsp_run_forget_resume(&queue->run);
    if (resume && !in_flight)
        drop_one(queue, resume, error);
    rsp_step_end(&queue->step);
    queue->held = false;
}

void rsp_queue_tell_dropped(struct rsp_queue *queue)
{
    while (queue->dropped) {
        struct rsp_operation *operation = queue->dropped;
        DL_DELETE(queue->dropped, operation);
        operation->reply = "";
        operation->reply_length = 0;
        if (operation->switching)
            free(operation->switching);
        else
            operation->done(operation);
    }
}
