/* Hides the ring of notifications and which of them mean something here. */
#include "client/notices.h"

#include "client/outcome.h"
#include "wire/protocol.h"

#include <stdlib.h>

void notices_free(struct notices *notices)
{
    free(notices->kept);
    notices->kept = NULL;
}

/* [method, text]: the daemon says it right before the answer that it is about. */
static void warning_heard(struct notices *notices, const msgpack_object *params)
{
    if (params->type == MSGPACK_OBJECT_ARRAY && params->via.array.size >= 2 &&
        params->via.array.ptr[1].type == MSGPACK_OBJECT_STR)
        outcome_text_copy(notices->warning, sizeof notices->warning, &params->via.array.ptr[1]);
}

/* The place for one more; NULL: no memory. */
static struct spacebridge_notification *push(struct notices *notices)
{
    if (!notices->kept)
        notices->kept = calloc(NOTICES_MOST, sizeof *notices->kept);
    if (!notices->kept)
        return NULL;
    if (notices->count == NOTICES_MOST) {
        notices->first = (notices->first + 1) % NOTICES_MOST;
        notices->count--;
    }
    return &notices->kept[(notices->first + notices->count++) % NOTICES_MOST];
}

const msgpack_object *notices_take(struct notices *notices, const struct message *message)
{
    const msgpack_object *text;
    HRESULT hr;

    if (message_text_is(&message->method, WIRE_NOTIFY_WARNING)) {
        warning_heard(notices, &message->params);
        return NULL;
    }
    /* One of a later version is none of our business. */
    if (message->method.type != MSGPACK_OBJECT_STR ||
        !outcome_failure_read(&message->params, &hr, &text))
        return NULL;
    if (message_text_is(&message->method, WIRE_NOTIFY_ERROR))
        return text;
    struct spacebridge_notification *slot = push(notices);
    if (slot) {
        outcome_text_copy(slot->method, sizeof slot->method, &message->method);
        slot->hresult = hr;
        outcome_text_copy(slot->message, sizeof slot->message, text);
    }
    return NULL;
}

bool notices_pop(struct notices *notices, struct spacebridge_notification *notification)
{
    if (notices->count == 0)
        return false;
    *notification = notices->kept[notices->first];
    notices->first = (notices->first + 1) % NOTICES_MOST;
    notices->count--;
    return true;
}
