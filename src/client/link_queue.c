/* The queue: requests whose responses are collected later. */
#include "client/link_internal.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Queued requests are sent when this many bytes have gathered; a body that is larger is sent from
 * where it is, not copied. */
#define GATHER_MOST ((size_t)64 * 1024)
#define BODY_COPIED ((size_t)16 * 1024)

struct link_queued *link_queue_at(const struct link *link, size_t index)
{
    return &link->queue[(link->queue_first + index) % link->queue_room];
}

bool link_queue_answers(const struct link *link, const struct message *message)
{
    return link->queue_answered < link->queue_count &&
           link_queue_at(link, link->queue_answered)->id == message->id;
}

bool link_queue_answer(struct link *link, const struct message *response)
{
    struct link_queued *queued = link_queue_at(link, link->queue_answered);
    struct link_result result;
    const msgpack_object *text, *value;

    if (!link_outcome_read(response, queued->expect == LINK_EXPECT_NOTHING ? 0 : 1, &queued->hr,
                           &result, &text))
        return false;
    if (text) {
        size_t length =
            text->via.str.size < LINK_MESSAGE_SIZE ? text->via.str.size : LINK_MESSAGE_SIZE - 1;
        queued->message = strndup(length > 0 ? text->via.str.ptr : "", length);
    } else if (queued->expect == LINK_EXPECT_NUMBER) {
        value = &result.values[0];
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 > queued->most)
            return false;
        queued->value = value->via.u64;
    } else if (queued->expect == LINK_EXPECT_BIN) {
        value = &result.values[0];
        if (value->type != MSGPACK_OBJECT_BIN || value->via.bin.size > queued->most)
            return false;
        if (value->via.bin.size > 0)
            memcpy(queued->into, value->via.bin.ptr, value->via.bin.size);
        queued->value = value->via.bin.size;
    }
    link_warning_settle(link, queued);
    link->queue_answered++;
    return true;
}

HRESULT link_queue_send(struct link *link)
{
    if (link->outgoing.length > 0)
        link_send_all(link, &link->outgoing, NULL, 0, link->silence);
    buffer_clear(&link->outgoing);
    return link->fd < 0 ? E_UNEXPECTED : S_OK;
}

static int pack_write(void *data, const char *bytes, size_t length)
{
    struct link *link = data;

    if (buffer_append(&link->outgoing, bytes, length))
        return 0;
    link->no_memory = true;
    return -1;
}

msgpack_packer *link_queue_begin(struct link *link, const char *method, uint32_t params)
{
    return link_request_begin(link, method, params, pack_write);
}

static bool queue_push(struct link *link, const struct link_queued *queued)
{
    if (link->queue_count == link->queue_room) {
        size_t room = link->queue_room > 0 ? link->queue_room * 2 : 64;
        struct link_queued *queue = calloc(room, sizeof *queue);
        if (!queue)
            return false;
        for (size_t i = 0; i < link->queue_count; i++)
            queue[i] = *link_queue_at(link, i);
        free(link->queue);
        link->queue = queue;
        link->queue_room = room;
        link->queue_first = 0;
    }
    link->queue_count++;
    *link_queue_at(link, link->queue_count - 1) = *queued;
    return true;
}

/* Take in what has arrived, without waiting. */
static void receive_arrived(struct link *link)
{
    if (link->fd >= 0 && link->queue_answered < link->queue_count && link_receive(link))
        while (link_take_message(link))
            ;
}

HRESULT link_queue_end(struct link *link, const void *body, size_t size,
                       const struct link_queued *expect, uint64_t *ticket)
{
    struct link_queued queued = {.ticket = link->ticket + 1,
                                 .id = link->id,
                                 .expect = expect->expect,
                                 .most = expect->most,
                                 .into = expect->into};

    if (link->fd < 0) {
        buffer_free(&link->outgoing);
        return E_UNEXPECTED;
    }
    if (!link->no_memory && size <= BODY_COPIED && !buffer_append(&link->outgoing, body, size))
        link->no_memory = true;
    if (link->no_memory || !queue_push(link, &queued)) {
        /* Half a request among whole ones cannot be taken back. */
        link_lost(link, "out of memory");
        return E_OUTOFMEMORY;
    }
    link->ticket++;
    if (ticket)
        *ticket = queued.ticket;
    if (size > BODY_COPIED) {
        link_send_all(link, &link->outgoing, body, size, link->silence);
        buffer_clear(&link->outgoing);
        receive_arrived(link);
    } else if (link->outgoing.length >= GATHER_MOST) {
        link_queue_send(link);
        receive_arrived(link);
    }
    return link->fd < 0 ? E_UNEXPECTED : S_OK;
}

bool link_queue_collect(struct link *link, struct link_queued *outcome)
{
    link_response_free(link);
    if (link->fd >= 0)
        link->message[0] = '\0';
    link->warning[0] = '\0';
    if (link->queue_count == 0)
        return false;
    if (link->queue_answered == 0)
        link_queue_send(link);
    while (link->fd >= 0 && link->queue_answered == 0) {
        while (link_take_message(link) || link_take_bulk(link, link->silence))
            ;
        if (link->fd < 0 || link->queue_answered > 0)
            break;
        if (link_wait_ready(link, POLLIN, link->silence < 0 ? -1 : clock_now() + link->silence) ==
            0)
            link_silent(link);
        else
            link_receive(link);
    }
    *outcome = *link_queue_at(link, 0);
    if (link->queue_answered > 0) {
        link->queue_answered--;
        snprintf(link->message, sizeof link->message, "%s",
                 outcome->message ? outcome->message : "");
    } else {
        outcome->hr = E_UNEXPECTED; /* lost; link->message says how */
    }
    snprintf(link->warning, sizeof link->warning, "%s", outcome->warning ? outcome->warning : "");
    free(outcome->message);
    free(outcome->warning);
    outcome->message = outcome->warning = NULL;
    link->queue_first = (link->queue_first + 1) % link->queue_room;
    link->queue_count--;
    return true;
}
