/* Hides how it is seen that a step was not made. */
#include "upstream/link/rsp_step.h"

#include "base/hex.h"
#include "base/log.h"
#include "upstream/link/rsp_modes.h"
#include "upstream/link/step_text.h"
#include "upstream/run_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Times that one is made again. A true `jmp .` changes nothing either, and loses nothing by it. */
#define AGAIN_MOST 3

void rsp_step_init(struct rsp_step *step, struct rsp_modes *modes, struct run_state *state,
                   const struct rsp_step_events *events)
{
    *step = (struct rsp_step){.modes = modes, .state = state, .events = *events};
}

bool rsp_step_owns(const struct rsp_step *step, const struct rsp_operation *operation)
{
    return operation == &step->select || operation == &step->look || operation == &step->repeat;
}

static void look(struct rsp_step *step)
{
    step->due = RSP_STEP_SELECT;
    step->selected = true;
}

void rsp_step_begin(struct rsp_step *step, const struct rsp_operation *resume, bool under_way)
{
    rsp_step_end(step);
    if (resume->step_thread == 0 || under_way)
        return;
    buffer_clear(&step->packet);
    if (!buffer_append(&step->packet, resume->payload, resume->length))
        return;
    step->thread = resume->step_thread;
    step->repeat = (struct rsp_operation){.kind = RSP_RESUME,
                                          .escape = resume->escape,
                                          .client = resume->client,
                                          .continue_thread = resume->continue_thread,
                                          .space = resume->space};
    step->again = 0;
    look(step);
}

void rsp_step_end(struct rsp_step *step)
{
    step->thread = 0;
    step->due = RSP_STEP_NOTHING;
}

void rsp_step_free(struct rsp_step *step)
{
    rsp_step_end(step);
    buffer_free(&step->packet);
    buffer_free(&step->before);
    buffer_free(&step->stop);
}

static bool is_looking(const struct rsp_step *step)
{
    return run_state_is(step->state, RUN_LOOKING);
}

static void tell_stop(struct rsp_step *step)
{
    rsp_step_end(step);
    run_state_take(step->state, RUN_STEP_MADE);
    step->events.stopped(step->events.context, (const char *)buffer_bytes(&step->stop));
}

void rsp_step_refused(struct rsp_step *step)
{
    if (is_looking(step))
        tell_stop(step);
    else
        rsp_step_end(step);
}

/* The stub has told of the stop itself, or will end: nothing is left to do. */
static void on_repeated(struct rsp_operation *operation)
{
    (void)operation;
}

static void make_again(struct rsp_step *step)
{
    step->again++;
    log_debug("target", "the step of thread %" PRIx64 " was answered, and not made: again (%u)",
              step->thread, step->again);
    step->repeat.payload = buffer_bytes(&step->packet);
    step->repeat.length = step->packet.length;
    step->repeat.done = on_repeated;
    step->repeat.weight = 0;
    step->events.again(step->events.context, &step->repeat);
}

/* Hexadecimal, or x for what is not there: no error. */
static bool are_registers(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (hex_digit((uint8_t)text[i]) < 0 && text[i] != 'x')
            return false;
    return length > 0 && length % 2 == 0;
}

static void on_looked(struct rsp_operation *operation)
{
    struct rsp_step *step = operation->context;
    if (operation->error != TARGET_OK || step->thread == 0) {
        rsp_step_end(step);
        return;
    }
    bool known = step->selected && are_registers(operation->reply, operation->reply_length);
    if (!is_looking(step)) {
        buffer_clear(&step->before);
        if (!known || !buffer_append(&step->before, operation->reply, operation->reply_length))
            rsp_step_end(step);
        return;
    }
    if (known && operation->reply_length == step->before.length &&
        memcmp(operation->reply, buffer_bytes(&step->before), step->before.length) == 0 &&
        !run_state_is(step->state, RUN_HALT_WANTED) && step->again < AGAIN_MOST)
        make_again(step);
    else
        tell_stop(step);
}

static void on_selected(struct rsp_operation *operation)
{
    struct rsp_step *step = operation->context;
    step->selected = operation->error == TARGET_OK && strcmp(operation->reply, "OK") == 0;
    if (step->selected)
        rsp_modes_set(step->modes, RSP_MODE_THREAD, step->select_thread);
}

static struct rsp_operation *request(struct rsp_step *step, struct rsp_operation *operation,
                                     const char *payload, void (*done)(struct rsp_operation *))
{
    *operation = (struct rsp_operation){.payload = payload,
                                        .length = strlen(payload),
                                        .kind = RSP_REQUEST,
                                        .done = done,
                                        .context = step};
    return operation;
}

struct rsp_operation *rsp_step_next(struct rsp_step *step)
{
    if (step->due == RSP_STEP_SELECT) {
        step->due = RSP_STEP_LOOK;
        if (!rsp_modes_stand(step->modes, RSP_MODE_THREAD, step->thread)) {
            rsp_modes_set(step->modes, RSP_MODE_THREAD, RSP_UNKNOWN);
            step->select_thread = step->thread;
            snprintf(step->words, sizeof step->words, "Hg%" PRIx64, step->thread);
            return request(step, &step->select, step->words, on_selected);
        }
    }
    if (step->due != RSP_STEP_LOOK)
        return NULL;
    step->due = RSP_STEP_NOTHING;
    return request(step, &step->look, "g", on_looked);
}

bool rsp_step_stopped(struct rsp_step *step, const char *reply)
{
    buffer_clear(&step->stop);
    if (step->thread == 0 || !run_state_allows(step->state, RUN_STEP_ANSWERED) ||
        run_state_is(step->state, RUN_HALT_WANTED) || step->again >= AGAIN_MOST ||
        !step_text_ended(reply, step->thread) ||
        !buffer_append(&step->stop, reply, strlen(reply) + 1)) {
        rsp_step_end(step);
        return false;
    }
    look(step);
    return true;
}
