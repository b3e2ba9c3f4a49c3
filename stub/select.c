/* Threads: which there are, what they are called, and which one a client means. On QEMU they are
 * the processors. */
#include "base/hex.h"
#include "stub/handlers.h"
#include "stub/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids in one reply of qfThreadInfo. */
#define IDS_AT_ONCE 512

static bool exists(struct client *client, int64_t thread)
{
    /* While it runs a gdbserver cannot be asked; the client learns it with its next request. */
    if (!front_is_qemu(client->front) && front_state(client->front) != TARGET_STATE_HALTED)
        return front_state(client->front) == TARGET_STATE_RUNNING;
    return front_has_thread(client->front, client_id(client), thread);
}

void select_do_select(struct client *client, const struct request *request)
{
    struct thread_id id;
    char what;

    if (!request_select(request, &what, &id)) {
        reply_error(client, ERROR_INVALID, "H is followed by g or c and a thread");
        return;
    }
    if (id.thread > 0 && !exists(client, id.thread)) {
        reply_error(client, ERROR_INVALID, "there is no thread %" PRIx64, (uint64_t)id.thread);
        return;
    }
    if (what == 'g')
        client->general = id.thread;
    else
        client->resumed = id.thread;
    reply_ok(client);
}

void select_do_alive(struct client *client, const struct request *request)
{
    const char *at = request->text + 1, *end = request->text + request->length;
    struct thread_id id;

    if (!thread_parse(&id, &at, end) || at != end)
        reply_error(client, ERROR_INVALID, "T is followed by a thread");
    else if (id.thread > 0 && exists(client, id.thread))
        reply_ok(client);
    else
        reply_error(client, ERROR_INVALID, "there is no such thread");
}

static void reply_id(struct client *client, int64_t thread)
{
    char text[THREAD_TEXT_SIZE];

    reply_text(client, "%s",
               thread_format(text, client->features.multiprocess,
                             front_process(client->front, client_id(client)), thread));
}

void select_do_current(struct client *client, const struct request *request)
{
    (void)request;
    reply_text(client, "QC");
    reply_id(client, client_thread(client, NULL));
}

static void say_ids(struct client *client)
{
    if (client->thread_next >= client->thread_count) {
        reply_text(client, "l");
        return;
    }
    for (size_t i = 0; i < IDS_AT_ONCE && client->thread_next < client->thread_count; i++) {
        reply_text(client, "%c", i ? ',' : 'm');
        reply_id(client, client->thread_ids[client->thread_next++]);
    }
}

void select_do_first(struct client *client, const struct request *request)
{
    (void)request;
    free(client->thread_ids);
    client->thread_next = 0;
    enum target_error error =
        front_threads(client->front, client_id(client), &client->thread_ids, &client->thread_count);
    if (error == TARGET_OK)
        say_ids(client);
    else
        reply_target_error(client, error, NULL);
}

void select_do_next(struct client *client, const struct request *request)
{
    (void)request;
    say_ids(client);
}

void select_extra(struct client *client, int64_t thread, char *text, size_t size)
{
    struct buffer reply = {0};
    char payload[48];
    size_t length = 0;

    snprintf(payload, sizeof payload, "qThreadExtraInfo,%" PRIx64, (uint64_t)thread);
    if (front_state(client->front) == TARGET_STATE_HALTED &&
        front_ask(client->front, client_id(client), 0, payload, strlen(payload), &reply) ==
            TARGET_OK &&
        reply.length / 2 < size &&
        hex_decode((uint8_t *)text, (const char *)buffer_bytes(&reply), reply.length))
        length = reply.length / 2;
    text[length] = '\0';
    if (length == 0 && front_is_qemu(client->front))
        snprintf(text, size, "CPU#%" PRId64, thread - 1);
    buffer_free(&reply);
}

void select_do_extra(struct client *client, const struct request *request)
{
    const char *at = request->text + strlen("qThreadExtraInfo,");
    const char *end = request->text + request->length;
    struct thread_id id;
    char text[128];

    if (!thread_parse(&id, &at, end) || at != end || id.thread <= 0 || !exists(client, id.thread)) {
        reply_error(client, ERROR_INVALID, "there is no such thread");
        return;
    }
    select_extra(client, id.thread, text, sizeof text);
    reply_hex(client, text, strlen(text));
}

void select_do_attached(struct client *client, const struct request *request)
{
    (void)request;
    /* It was there before: a debugger that is closed detaches, and does not kill what others use.
     */
    reply_text(client, "1");
}
