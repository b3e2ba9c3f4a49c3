/* Hides the ring, and what a result must be to be that of its request. */
#include "client/pending.h"

#include "client/message_size.h"
#include "client/outcome.h"

#include <stdlib.h>
#include <string.h>

/* The request of that index, less than count; the oldest has index 0. */
static struct link_queued *at(const struct pending *pending, size_t index)
{
    return &pending->ring[(pending->first + index) % pending->room];
}

void pending_free(struct pending *pending)
{
    for (size_t i = 0; i < pending->count; i++) {
        free(at(pending, i)->message);
        free(at(pending, i)->warning);
    }
    free(pending->ring);
    *pending = (struct pending){0};
}

bool pending_push(struct pending *pending, const struct link_queued *queued)
{
    if (pending->count == pending->room) {
        size_t room = pending->room > 0 ? pending->room * 2 : 64;
        struct link_queued *ring = calloc(room, sizeof *ring);
        if (!ring)
            return false;
        for (size_t i = 0; i < pending->count; i++)
            ring[i] = *at(pending, i);
        free(pending->ring);
        pending->ring = ring;
        pending->room = room;
        pending->first = 0;
    }
    pending->count++;
    *at(pending, pending->count - 1) = *queued;
    return true;
}

struct link_queued *pending_next(const struct pending *pending)
{
    return pending->answered < pending->count ? at(pending, pending->answered) : NULL;
}

/* What a success has to say. */
static bool take_value(struct link_queued *queued, const struct value *value)
{
    if (queued->expect == LINK_EXPECT_NUMBER) {
        if (value->kind != VALUE_UNSIGNED || value->number > queued->most)
            return false;
        queued->value = value->number;
    } else if (queued->expect == LINK_EXPECT_BIN) {
        if (value->kind != VALUE_BIN || value->bytes.size > queued->most)
            return false;
        if (value->bytes.size > 0)
            memcpy(queued->into, value->bytes.at, value->bytes.size);
        queued->value = value->bytes.size;
    }
    return true;
}

bool pending_answer(struct pending *pending, const struct message *response)
{
    struct link_queued *queued = at(pending, pending->answered);
    struct link_result result;
    struct value text;

    if (!outcome_read(response, queued->expect == LINK_EXPECT_NOTHING ? 0 : 1, &queued->hr, &result,
                      &text))
        return false;
    if (text.kind == VALUE_TEXT) {
        size_t length =
            text.bytes.size < CLIENT_MESSAGE_SIZE ? text.bytes.size : CLIENT_MESSAGE_SIZE - 1;
        queued->message = strndup((const char *)text.bytes.at, length);
    } else if (!take_value(queued, &result.values[0])) {
        return false;
    }
    pending->answered++;
    return true;
}

void pending_answer_bin(struct pending *pending, HRESULT hr, size_t size)
{
    struct link_queued *queued = at(pending, pending->answered++);

    queued->hr = hr;
    queued->value = size;
}

struct link_queued pending_pop(struct pending *pending, bool *answered)
{
    struct link_queued oldest = *at(pending, 0);

    *answered = pending->answered > 0;
    if (*answered)
        pending->answered--;
    pending->first = (pending->first + 1) % pending->room;
    pending->count--;
    return oldest;
}
