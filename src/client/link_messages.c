/* What responses and notifications say. */
#include "client/link_internal.h"

#include "base/clock.h"
#include "wire/protocol.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

void link_text_copy(char *to, size_t size, const msgpack_object *from)
{
    size_t length = from->via.str.size < size ? from->via.str.size : size - 1;

    if (length > 0) /* an empty one points nowhere */
        memcpy(to, from->via.str.ptr, length);
    to[length] = '\0';
}

/* [HRESULT, message], as errors and notifications carry it. */
static bool failure_read(const msgpack_object *object, HRESULT *hr, const msgpack_object **text)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 2)
        return false;
    const msgpack_object *values = object->via.array.ptr;
    if (values[0].type != MSGPACK_OBJECT_NEGATIVE_INTEGER || values[0].via.i64 < INT32_MIN ||
        values[1].type != MSGPACK_OBJECT_STR)
        return false;
    *hr = (HRESULT)values[0].via.i64;
    *text = &values[1];
    return true;
}

bool link_outcome_read(const struct message *response, uint32_t outs, HRESULT *hr,
                       struct link_result *values, const msgpack_object **text)
{
    const msgpack_object *result = &response->result;

    if (response->error.type != MSGPACK_OBJECT_NIL)
        return failure_read(&response->error, hr, text);
    *text = NULL;
    if (result->type != MSGPACK_OBJECT_ARRAY || result->via.array.size < outs + 1 ||
        result->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        result->via.array.ptr[0].via.u64 > INT32_MAX)
        return false;
    *hr = (HRESULT)result->via.array.ptr[0].via.u64;
    *values = (struct link_result){.values = result->via.array.ptr + 1,
                                   .count = result->via.array.size - 1};
    return true;
}

/* [method, text]: the daemon says it right before the answer that it is about. */
static void warning_heard(struct link *link, const msgpack_object *params)
{
    if (params->type == MSGPACK_OBJECT_ARRAY && params->via.array.size >= 2 &&
        params->via.array.ptr[1].type == MSGPACK_OBJECT_STR)
        link_text_copy(link->heard, sizeof link->heard, &params->via.array.ptr[1]);
}

void link_warning_settle(struct link *link, struct link_queued *queued)
{
    if (link->heard[0] == '\0')
        return;
    if (queued)
        queued->warning = strdup(link->heard);
    else
        memcpy(link->warning, link->heard, sizeof link->warning);
    link->heard[0] = '\0';
}

void link_notified(struct link *link, const struct message *message)
{
    const msgpack_object *text;
    HRESULT hr;

    if (message_text_is(&message->method, WIRE_NOTIFY_WARNING)) {
        warning_heard(link, &message->params);
        return;
    }
    /* One of a later version is none of our business. */
    if (message->method.type != MSGPACK_OBJECT_STR || !failure_read(&message->params, &hr, &text))
        return;
    if (message_text_is(&message->method, WIRE_NOTIFY_ERROR)) {
        link_lost(link, "the daemon closed the connection: %.*s",
                  text->via.str.size > 900 ? 900 : (int)text->via.str.size,
                  text->via.str.size > 0 ? text->via.str.ptr : "");
        return;
    }
    if (!link->notifications)
        link->notifications = calloc(LINK_NOTIFICATIONS_MOST, sizeof *link->notifications);
    if (!link->notifications)
        return;
    if (link->count == LINK_NOTIFICATIONS_MOST) {
        link->first = (link->first + 1) % LINK_NOTIFICATIONS_MOST;
        link->count--;
    }
    struct spacebridge_notification *slot =
        &link->notifications[(link->first + link->count++) % LINK_NOTIFICATIONS_MOST];
    link_text_copy(slot->method, sizeof slot->method, &message->method);
    slot->hresult = hr;
    link_text_copy(slot->message, sizeof slot->message, text);
}

bool link_notification(struct link *link, double timeout,
                       struct spacebridge_notification *notification)
{
    double deadline = timeout < 0 ? -1 : clock_now() + timeout;

    link_response_free(link);
    link_queue_send(link);
    while (link->fd >= 0 && link->count == 0) {
        if (link_take_message(link))
            continue;
        if (link->fd >= 0) {
            if (link_wait_ready(link, POLLIN, deadline) == 0)
                break;
            link_receive(link);
        }
    }
    if (link->count == 0)
        return false;
    *notification = link->notifications[link->first];
    link->first = (link->first + 1) % LINK_NOTIFICATIONS_MOST;
    link->count--;
    return true;
}
