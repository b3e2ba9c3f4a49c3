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
static void warning_heard(struct notices *notices, const struct value *params)
{
    struct value text;

    if (params->kind == VALUE_ARRAY && value_at(params, 1, &text) && text.kind == VALUE_TEXT)
        value_text_copy(notices->warning, sizeof notices->warning, &text);
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

bool notices_take(struct notices *notices, const struct message *message, struct value *last_words)
{
    struct value text;
    HRESULT hr;

    if (value_text_is(&message->method, WIRE_NOTIFY_WARNING)) {
        warning_heard(notices, &message->params);
        return true;
    }
    /* One of a later version is none of our business. */
    if (message->method.kind != VALUE_TEXT || !outcome_failure_read(&message->params, &hr, &text))
        return true;
    if (value_text_is(&message->method, WIRE_NOTIFY_ERROR)) {
        *last_words = text;
        return false;
    }
    struct spacebridge_notification *slot = push(notices);
    if (slot) {
        value_text_copy(slot->method, sizeof slot->method, &message->method);
        slot->hresult = hr;
        value_text_copy(slot->message, sizeof slot->message, &text);
    }
    return true;
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
