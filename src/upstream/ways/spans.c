/* Spans of a transfer: which lie together, and what became of them. */
#include "upstream/ways/spans.h"

void spans_begin(struct target_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        spans[i].done = 0;
        spans[i].error = TARGET_CANCELLED;
    }
}

void spans_settle(struct target_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        spans[i].done = spans[i].length;
        spans[i].error = TARGET_OK;
    }
}

size_t spans_together(const struct target_span *spans, size_t count, size_t *length)
{
    const bool done = spans[0].error == TARGET_OK;
    size_t some = 1;
    *length = spans[0].length;
    while (some < count && spans[some].address == spans[0].address + *length &&
           spans[some].bytes == spans[0].bytes + *length &&
           (spans[some].error == TARGET_OK) == done) {
        *length += spans[some].length;
        some++;
    }
    return some;
}

enum target_error spans_first_error(const struct target_span *spans, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (spans[i].error != TARGET_OK)
            return spans[i].error;
    return TARGET_OK;
}
