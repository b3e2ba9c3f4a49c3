/* Runs of a transfer: which lie together, and what became of them. */
#include "upstream/ways/spans.h"

void spans_begin(struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].done = 0;
        runs[i].error = TARGET_CANCELLED;
    }
}

void spans_settle(struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].done = runs[i].length;
        runs[i].error = TARGET_OK;
    }
}

size_t spans_together(const struct target_span *runs, size_t count, size_t *length)
{
    const bool done = runs[0].error == TARGET_OK;
    size_t some = 1;
    *length = runs[0].length;
    while (some < count && runs[some].address == runs[0].address + *length &&
           runs[some].bytes == runs[0].bytes + *length && (runs[some].error == TARGET_OK) == done) {
        *length += runs[some].length;
        some++;
    }
    return some;
}

enum target_error spans_first_error(const struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (runs[i].error != TARGET_OK)
            return runs[i].error;
    return TARGET_OK;
}
