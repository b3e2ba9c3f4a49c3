#include "base/clock.h"
#include "base/log.h"
#include "rsp/hex.h"
#include "upstream/link/rsp_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* Bytes waiting for the socket beyond which no further request is framed. */
#define OUT_MOST ((size_t)256 * 1024)
/* Seconds without a reply after which the next request goes alone: were the target resumed behind
 * our back, the stub would swallow one request and every later reply would be taken for another's.
 */
#define ALONE_AFTER 0.05

/* Modes */

void rsp_mode_forget(struct rsp_client *client, bool space_too)
{
    for (int kind = 0; kind < RSP_MODE_KINDS; kind++)
        if (kind != RSP_MODE_SPACE || space_too)
            client->modes[kind] = RSP_UNKNOWN;
    client->proof_count = 0;
}

void rsp_client_forget_modes(struct rsp_client *client)
{
    rsp_mode_forget(client, false);
}

static bool mode_proven(const struct rsp_client *client, enum rsp_mode_kind kind, uint64_t value)
{
    for (unsigned i = 0; i < client->proof_count && i < RSP_PROVEN_MOST; i++)
        if (client->proofs[i].kind == kind && client->proofs[i].value == value)
            return true;
    return false;
}

void rsp_mode_prove(struct rsp_client *client, enum rsp_mode_kind kind, uint64_t value)
{
    if (!mode_proven(client, kind, value))
        client->proofs[client->proof_count++ % RSP_PROVEN_MOST] =
            (struct rsp_proof){.kind = kind, .value = value};
}

/* The switch that must come before the operation; RSP_MODE_KINDS when there is none. */
static enum rsp_mode_kind mode_needed(const struct rsp_client *client,
                                      const struct rsp_operation *operation, uint64_t *value)
{
    const uint64_t *modes = client->modes;
    *value = operation->space == RSP_SPACE_PHYSICAL;
    if (operation->space != RSP_SPACE_ANY && client->spaces && modes[RSP_MODE_SPACE] != *value)
        return RSP_MODE_SPACE;
    *value = operation->thread;
    if (*value != 0 && modes[RSP_MODE_THREAD] != *value)
        return RSP_MODE_THREAD;
    *value = operation->continue_thread;
    if (*value != 0 && modes[RSP_MODE_CONTINUE_THREAD] != *value)
        return RSP_MODE_CONTINUE_THREAD;
    *value = operation->monitor_cpu;
    if (*value != 0 && modes[RSP_MODE_MONITOR_CPU] != *value)
        return RSP_MODE_MONITOR_CPU;
    return RSP_MODE_KINDS;
}

static struct rsp_mode *mode_new(struct rsp_client *client, enum rsp_mode_kind kind, uint64_t value)
{
    struct rsp_mode *mode = calloc(1, sizeof *mode);
    if (!mode)
        return NULL;
    mode->kind = kind;
    mode->value = value;
    mode->proven = mode_proven(client, kind, value);
    struct rsp_operation *operation = &mode->operation;
    operation->kind = RSP_REQUEST;
    operation->mode = mode;
    operation->payload = mode->payload;
    switch (kind) {
    case RSP_MODE_SPACE:
        snprintf(mode->payload, sizeof mode->payload, "Qqemu.PhyMemMode:%" PRIu64, value);
        break;
    case RSP_MODE_THREAD:
        snprintf(mode->payload, sizeof mode->payload, "Hg%" PRIx64, value);
        break;
    case RSP_MODE_CONTINUE_THREAD:
        snprintf(mode->payload, sizeof mode->payload, "Hc%" PRIx64, value);
        break;
    default: {
        char command[32];
        int length = snprintf(command, sizeof command, "cpu %" PRIu64, value - 1);
        size_t prefix = strlen("qRcmd,");
        memcpy(mode->payload, "qRcmd,", prefix);
        hex_encode(mode->payload + prefix, (const uint8_t *)command, (size_t)length);
        operation->kind = RSP_COMMAND;
    }
    }
    operation->length = strlen(mode->payload);
    return mode;
}

/* Take turns */

struct rsp_turn *rsp_turn_find(struct rsp_client *client, target_client who)
{
    struct rsp_turn *turn;
    DL_SEARCH_SCALAR(client->turns, turn, client, who);
    return turn;
}

/* The operation whose turn it is; it stays in the queue. */
static struct rsp_operation *turn_front(struct rsp_client *client)
{
    if (!client->turns)
        return NULL;
    if (client->quantum_left == 0 && client->turns->next) {
        struct rsp_turn *turn = client->turns;
        DL_DELETE(client->turns, turn);
        DL_APPEND(client->turns, turn);
    }
    if (client->quantum_left == 0)
        client->quantum_left = RSP_QUANTUM;
    return client->turns->operations;
}

static void turn_pop(struct rsp_client *client)
{
    struct rsp_turn *turn = client->turns;
    struct rsp_operation *operation = turn->operations;
    DL_DELETE(turn->operations, operation);
    client->quantum_left--;
    if (!turn->operations) {
        DL_DELETE(client->turns, turn);
        free(turn);
        client->quantum_left = RSP_QUANTUM;
    }
}

/* The operation that a switch was made for will never be sent. */
void rsp_refuse_front(struct rsp_client *client, enum target_error error)
{
    struct rsp_operation *operation = turn_front(client);
    if (operation) {
        turn_pop(client);
    } else {
        operation = client->resume;
        client->resume = NULL;
        client->interrupt_wanted = false;
        rsp_step_refused(client);
    }
    if (operation) {
        operation->error = error;
        DL_APPEND(client->dropped, operation);
    }
}

/* Sending */

/* An answer is owed to us: keep watch. */
void rsp_watch(struct rsp_client *client)
{
    bool owed = client->in_flight || (client->running && client->interrupt_sent);
    if (!owed) {
        ev_timer_stop(client->loop, &client->silence);
    } else if (!ev_is_active(&client->silence)) {
        ev_now_update(client->loop);
        client->last_heard = clock_now();
        ev_timer_set(&client->silence, client->timeout, 0.);
        ev_timer_start(client->loop, &client->silence);
    }
}

bool rsp_frame(struct rsp_client *client, const struct rsp_operation *operation)
{
    if (operation->shorten
            ? packet_frame_rle(&client->out, operation->payload, operation->length)
            : packet_frame(&client->out, operation->payload, operation->length, operation->escape))
        return true;
    rsp_client_fail(client, "out of memory");
    return false;
}

static void send_operation(struct rsp_client *client, struct rsp_operation *operation)
{
    if (!rsp_frame(client, operation))
        return;
    operation->acked = false;
    DL_APPEND(client->in_flight, operation);
    client->in_flight_count++;
    if (operation->weight == 0)
        operation->weight = RSP_WEIGHT_FULL;
    client->in_flight_weight += operation->weight;
    if (client->in_flight_count == 1)
        client->retries = 0;
    log_trace(ROOM, "-> %.*s", operation->length < 80 ? (int)operation->length : 80,
              (const char *)operation->payload);
}

void rsp_send_mode(struct rsp_client *client, enum rsp_mode_kind kind, uint64_t value)
{
    struct rsp_mode *mode = mode_new(client, kind, value);
    if (!mode) {
        rsp_client_fail(client, "out of memory");
        return;
    }
    client->modes[kind] = value;
    client->held = !mode->proven;
    send_operation(client, &mode->operation);
}

/* The resume goes alone, and the target runs from here on. */
static void send_resume(struct rsp_client *client)
{
    send_operation(client, client->resume);
    if (client->failing)
        return;
    client->running = client->resumed = client->resume_sent = true;
    client->interrupt_sent = client->taken = client->step.checking = false;
    if (!client->acks) {
        client->taken = true;
        rsp_fail_later(client);
    }
    client->tolerated = 0;
    rsp_mode_forget(client, false);
    if (client->listener.resumed)
        client->listener.resumed(client->listener.context);
}

static unsigned depth_now(const struct rsp_client *client)
{
    if (client->depth > 1 && clock_now() - client->last_reply > ALONE_AFTER)
        return 1;
    return client->depth;
}

/* May one more be in flight? What a stub has to take in and to keep is counted: 16 short requests
 * are less than one of full size, and too few to keep a stub busy that answers each in 2 us. */
static bool room_for_more(const struct rsp_client *client)
{
    unsigned depth = depth_now(client);
    return depth == 1 ? client->in_flight_count == 0
                      : client->in_flight_weight < depth * RSP_WEIGHT_FULL;
}

/* The first in the queue, behind all of them what a step has to know, behind that the resume.
 * False: nothing is left, or the resume has to wait. */
static bool send_next(struct rsp_client *client)
{
    struct rsp_operation *operation = turn_front(client);
    bool queued = operation != NULL;
    if (!operation)
        operation = rsp_step_next(client);
    if (!operation)
        operation = client->resume;
    if (!operation)
        return false;
    uint64_t value;
    enum rsp_mode_kind kind = mode_needed(client, operation, &value);
    if (kind != RSP_MODE_KINDS) {
        rsp_send_mode(client, kind, value);
    } else if (operation == client->resume) {
        if (client->in_flight)
            return false;
        send_resume(client);
    } else {
        if (queued)
            turn_pop(client);
        send_operation(client, operation);
    }
    return true;
}

/* Send what may be sent. */
void rsp_pump(struct rsp_client *client)
{
    while (client->fd >= 0 && !client->failing && !client->running && !client->held &&
           !client->doubted && room_for_more(client) && client->out.length < OUT_MOST) {
        if (!send_next(client))
            break;
    }
    rsp_watch(client);
    bool much = client->in_flight_weight >= RSP_PACE_LEAST;
    paced_reader_pace(&client->reading, much);
    if (client->in_flight && !much)
        busy_poll_expect(client->busy_poll);
}

void rsp_flush_out(struct rsp_client *client)
{
    while (client->fd >= 0 && client->out.length > 0) {
        ssize_t count = buffer_write_fd(&client->out, client->fd);
        if (count >= 0 || errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            ev_io_start(client->loop, &client->writing);
            return;
        }
        rsp_client_fail(client, "cannot write: %s", strerror(errno));
        break;
    }
    ev_io_stop(client->loop, &client->writing);
}

void rsp_append_byte(struct rsp_client *client, char byte)
{
    if (!buffer_append_byte(&client->out, (uint8_t)byte))
        rsp_client_fail(client, "out of memory");
}

void rsp_send_interrupt(struct rsp_client *client)
{
    client->interrupt_wanted = false;
    client->interrupt_sent = true;
    rsp_append_byte(client, 0x03);
    rsp_watch(client);
}
