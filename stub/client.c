/* What a client has said of itself, and the form in which it takes replies. */
#include "stub/client.h"

#include "base/hex.h"
#include "base/log.h"
#include "rsp/stop_reply.h"
#include "space/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "stub"

/* Characters of text in one O packet. */
#define CONSOLE_MOST ((size_t)2000)

static void wake(void *owner)
{
    const struct client *client = owner;

    if (client->link.wake)
        client->link.wake(client->link.context);
}

bool client_open(struct client *client, struct front *front, const char *name,
                 const struct client_link *link)
{
    *client = (struct client){.front = front, .link = *link};
    snprintf(client->name, sizeof client->name, "%s", name);
    client->session = session_open(front->space, name, front->config.policy, NULL);
    if (!client->session)
        return false;
    client->member = (struct member){.owner = client, .wake = wake, .name = client->name};
    front_join(front, &client->member);
    return true;
}

void client_close(struct client *client)
{
    client->waiting = false;
    client->link = (struct client_link){0};
    client_detach(client, false);
    front_leave(client->front, &client->member);
    session_close(client->session);
    buffer_free(&client->reply);
    buffer_free(&client->threads);
    free(client->thread_ids);
}

static const char *state_text(const struct front *front)
{
    switch (front_state(front)) {
    case SPACE_STATE_RUNNING:
        return "runs";
    case SPACE_STATE_HALTED:
        return "is halted";
    case SPACE_STATE_LOST:
        break;
    }
    return "is not there";
}

void client_attach(struct client *client)
{
    if (front_attach(client->front, &client->member))
        log_info(ROOM, "%s: %s (%s) has attached, the target %s", client->name,
                 client_kind_text(client->features.kind), client->peer, state_text(client->front));
}

void client_detach(struct client *client, bool resume)
{
    if (front_detach(client->front, &client->member, resume))
        log_info(ROOM, "%s: has detached, %zu attached, the target %s", client->name,
                 client->front->attached, state_text(client->front));
}

/* Replies */

static void out_of_memory(struct client *client)
{
    log_error(ROOM, "%s: out of memory for a reply", client->name);
    client->ending = true;
}

static void send_packet(struct client *client, const void *payload, size_t length)
{
    if (client->link.send)
        client->link.send(client->link.context, payload, length);
}

void reply_text(struct client *client, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        length = (int)sizeof text - 1;
    reply_bytes(client, text, (size_t)length);
}

void reply_bytes(struct client *client, const void *bytes, size_t length)
{
    if (!buffer_append(&client->reply, bytes, length))
        out_of_memory(client);
}

void reply_hex(struct client *client, const void *bytes, size_t length)
{
    uint8_t *room = buffer_reserve(&client->reply, 2 * length);

    if (!room) {
        out_of_memory(client);
        return;
    }
    hex_encode((char *)room, bytes, length);
    buffer_commit(&client->reply, 2 * length);
}

void reply_ok(struct client *client)
{
    buffer_clear(&client->reply);
    reply_text(client, "OK");
}

void reply_error(struct client *client, unsigned code, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_clear(&client->reply);
    log_debug(ROOM, "%s: refused: %s", client->name, text);
    if (client->features.error_message && code != ERROR_FAULT) {
        reply_text(client, "E.%s", text);
        return;
    }
    reply_text(client, "E%02x", code);
    if (client->error_strings) {
        reply_text(client, ";");
        reply_hex(client, text, strlen(text));
    }
}

void reply_space_error(struct client *client, enum space_error error, const char *message)
{
    unsigned code = ERROR_GENERAL;

    switch (error) {
    case SPACE_FAULT:
        code = ERROR_FAULT;
        break;
    case SPACE_RUNNING:
        code = ERROR_BUSY;
        break;
    case SPACE_INVALID:
        code = ERROR_INVALID;
        break;
    case SPACE_GONE:
        code = ERROR_GONE;
        break;
    default:
        break;
    }
    reply_error(client, code, "%s", message && *message ? message : space_error_text(error));
}

void client_console(struct client *client, const char *text)
{
    struct buffer packet = {0};

    for (size_t left = strlen(text); left > 0;) {
        size_t part = left < CONSOLE_MOST ? left : CONSOLE_MOST;
        uint8_t *room = buffer_reserve(&packet, 1 + 2 * part);
        if (!room)
            break;
        room[0] = 'O';
        hex_encode((char *)room + 1, (const uint8_t *)text, part);
        send_packet(client, room, 1 + 2 * part);
        text += part;
        left -= part;
        if (left > 0 && client->link.drain)
            client->link.drain(client->link.context);
        if (client->gone)
            break;
    }
    buffer_free(&packet);
}

/* Requests */

void reply_begin(struct client *client)
{
    buffer_clear(&client->reply);
    client->answered = false;
}

void reply_finish(struct client *client)
{
    if (!client->answered)
        send_packet(client, buffer_bytes(&client->reply), client->reply.length);
    if (client->reply.capacity > FEATURES_PACKET_SIZE / 4)
        buffer_free(&client->reply);
}

void client_too_long(struct client *client)
{
    reply_begin(client);
    reply_error(client, ERROR_INVALID, "the packet is longer than the PacketSize of 0x%zx",
                FEATURES_PACKET_SIZE);
    reply_finish(client);
}

void client_interrupt(struct client *client)
{
    struct front *front = client->front;

    bool running = front_state(front) == SPACE_STATE_RUNNING;

    /* A halt that is not settled may turn out to be nobody's, and end before anybody hears of it:
     * not when somebody wants the target halted. */
    if (!client->member.attached || (!running && front->seen.now != FRONT_SETTLING))
        return; /* it crossed the stop on its way */
    if (!client->waiting) {
        client->waiting = true;
        client->stops_seen = front->stops;
    }
    front_run_take(&front->seen, FRONT_ASKED_TO_HALT);
    if (running)
        session_halt(client->session);
}

bool client_stop_due(const struct client *client)
{
    return client->waiting && client->front->stops != client->stops_seen &&
           client->front->seen.now != FRONT_SETTLING;
}

bool client_lost_target(const struct client *client)
{
    return client->member.attached && client->member.losses_seen != client->front->losses;
}

/* Who asks for memory or registers, in a way the upstream understands */

/* Only a step, a breakpoint and a watchpoint are a processor's own: SIGTRAP, and since the first
 * client has come. */
bool client_stop_is_nobodys(const struct client *client)
{
    const struct front *front = client->front;
    struct stop stop;

    return front_is_qemu(front) &&
           (front->stops == 0 || !stop_parse(&stop, front_stop(front)) || stop.signal != 5);
}

int64_t client_stop_thread(struct client *client)
{
    struct front *front = client->front;
    int64_t own = client->general > 0 ? client->general : client->resumed;

    if (!client_stop_is_nobodys(client))
        return front_stop_thread(front);
    if (client->told > 0 && client->told_stops == front->stops)
        own = client->told;
    return own > 0 && upstream_stub_has_thread(&front->upstream, client->session, own) ? own : 1;
}

int64_t client_thread(struct client *client, const struct thread_id *suffix)
{
    if (suffix && suffix->thread > 0)
        return suffix->thread;
    if (client->general > 0)
        return client->general;
    return client_stop_thread(client);
}

bool client_select_processor(struct client *client)
{
    uint32_t processor =
        upstream_stub_processor(&client->front->upstream, client_thread(client, NULL));
    HRESULT hr = session_set_current_processor(client->session, processor);

    if (SUCCEEDED(hr))
        return true;
    reply_error(client, front_state(client->front) == SPACE_STATE_LOST ? ERROR_GONE : ERROR_GENERAL,
                "%s", session_message(client->session));
    return false;
}

bool client_sees_running(const struct client *client)
{
    return !client->front->config.attach_halt && client->features.modern &&
           !client->thread_suffix && front_is_qemu(client->front) &&
           front_state(client->front) == SPACE_STATE_RUNNING;
}

bool client_needs_halt(struct client *client, const char *what)
{
    front_wait_settled(client->front);
    switch (front_state(client->front)) {
    case SPACE_STATE_HALTED:
        return true;
    case SPACE_STATE_RUNNING:
        reply_error(client, ERROR_BUSY, "%s needs the target halted, and another client runs it",
                    what);
        return false;
    case SPACE_STATE_LOST:
        break;
    }
    reply_error(client, ERROR_GONE, "%s: the target is not there", what);
    return false;
}
