/* A step that did not step. QEMU answers one now and then without having made it (a timer came due
 * before the processor's thread got to run): its stop reply is that of a step, and no register has
 * changed. Such a step is made again here, so that nobody above ever hears of it. */
#include "base/log.h"
#include "rsp/hex.h"
#include "upstream/link/rsp_inside.h"
#include "upstream/link/step_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Times that one is made again. A true `jmp .` changes nothing either, and loses nothing by it. */
#define AGAIN_MOST 3

static bool listed(const struct rsp_operation *list, const struct rsp_operation *operation)
{
    for (; list; list = list->next)
        if (list == operation)
            return true;
    return false;
}

/* Is an operation of a former step still under way? */
static bool under_way(const struct rsp_client *client)
{
    const struct rsp_step *step = &client->step;
    const struct rsp_operation *const own[] = {&step->select, &step->look, &step->repeat};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (client->resume == own[i] || listed(client->in_flight, own[i]) ||
            listed(client->dropped, own[i]))
            return true;
    return false;
}

static void look(struct rsp_step *step)
{
    step->due = RSP_STEP_SELECT;
    step->selected = true;
}

void rsp_step_begin(struct rsp_client *client, const struct rsp_operation *resume)
{
    struct rsp_step *step = &client->step;
    rsp_step_end(client);
    step->interrupted = false;
    if (resume->step_thread == 0 || under_way(client))
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

void rsp_step_end(struct rsp_client *client)
{
    struct rsp_step *step = &client->step;
    step->thread = 0;
    step->checking = false;
    step->due = RSP_STEP_NOTHING;
}

void rsp_step_free(struct rsp_client *client)
{
    rsp_step_end(client);
    buffer_free(&client->step.packet);
    buffer_free(&client->step.before);
    buffer_free(&client->step.stop);
}

static void tell_stop(struct rsp_client *client)
{
    rsp_step_end(client);
    if (client->listener.stopped)
        client->listener.stopped(client->listener.context, true,
                                 (const char *)buffer_bytes(&client->step.stop));
}

void rsp_step_refused(struct rsp_client *client)
{
    if (client->step.checking)
        tell_stop(client);
    else
        rsp_step_end(client);
}

/* The stub has told of the stop itself, or will end: nothing is left to do. */
static void on_repeated(struct rsp_operation *operation)
{
    (void)operation;
}

static void make_again(struct rsp_client *client)
{
    struct rsp_step *step = &client->step;
    step->again++;
    log_debug(ROOM, "the step of thread %" PRIx64 " was answered, and not made: again (%u)",
              step->thread, step->again);
    step->repeat.payload = buffer_bytes(&step->packet);
    step->repeat.length = step->packet.length;
    step->repeat.done = on_repeated;
    step->repeat.weight = 0;
    client->resume = &step->repeat;
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
    struct rsp_client *client = operation->context;
    struct rsp_step *step = &client->step;
    if (operation->error != TARGET_OK || step->thread == 0) {
        rsp_step_end(client);
        return;
    }
    bool known = step->selected && are_registers(operation->reply, operation->reply_length);
    if (!step->checking) {
        buffer_clear(&step->before);
        if (!known || !buffer_append(&step->before, operation->reply, operation->reply_length))
            rsp_step_end(client);
        return;
    }
    if (known && operation->reply_length == step->before.length &&
        memcmp(operation->reply, buffer_bytes(&step->before), step->before.length) == 0 &&
        !step->interrupted && step->again < AGAIN_MOST)
        make_again(client);
    else
        tell_stop(client);
}

static void on_selected(struct rsp_operation *operation)
{
    struct rsp_client *client = operation->context;
    struct rsp_step *step = &client->step;
    step->selected = operation->error == TARGET_OK && strcmp(operation->reply, "OK") == 0;
    if (step->selected)
        client->modes[RSP_MODE_THREAD] = step->select_thread;
}

static struct rsp_operation *request(struct rsp_client *client, struct rsp_operation *operation,
                                     const char *payload, void (*done)(struct rsp_operation *))
{
    *operation = (struct rsp_operation){.payload = payload,
                                        .length = strlen(payload),
                                        .kind = RSP_REQUEST,
                                        .done = done,
                                        .context = client};
    return operation;
}

struct rsp_operation *rsp_step_next(struct rsp_client *client)
{
    struct rsp_step *step = &client->step;
    if (step->due == RSP_STEP_SELECT) {
        step->due = RSP_STEP_LOOK;
        if (client->modes[RSP_MODE_THREAD] != step->thread) {
            client->modes[RSP_MODE_THREAD] = RSP_UNKNOWN;
            step->select_thread = step->thread;
            snprintf(step->words, sizeof step->words, "Hg%" PRIx64, step->thread);
            return request(client, &step->select, step->words, on_selected);
        }
    }
    if (step->due != RSP_STEP_LOOK)
        return NULL;
    step->due = RSP_STEP_NOTHING;
    return request(client, &step->look, "g", on_looked);
}

bool rsp_step_stopped(struct rsp_client *client, const char *reply)
{
    struct rsp_step *step = &client->step;
    buffer_clear(&step->stop);
    if (step->thread == 0 || step->interrupted || step->again >= AGAIN_MOST ||
        !step_text_ended(reply, step->thread) ||
        !buffer_append(&step->stop, reply, strlen(reply) + 1)) {
        rsp_step_end(client);
        return false;
    }
    step->checking = true;
    look(step);
    return true;
}
