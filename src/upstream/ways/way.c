/* What all ways have alike: the note, and the counts. */
#include "upstream/ways/way.h"

#include "base/failure.h"
#include "base/log.h"

#include <stdio.h>

#define ROOM "target"

void way_init(struct way *way, const struct way_ops *ops, const struct way_context *context)
{
    *way = (struct way){.ops = ops, .context = context};
}

void way_note(struct way *way, const char *note)
{
    snprintf(way->note, sizeof way->note, "%s", note);
}

enum target_error way_opened(struct way *way, enum ways_choice choice, enum target_error error,
                             struct failure *failure)
{
    if (error == TARGET_OK) {
        way_note(way, "");
        return TARGET_OK;
    }
    failure_complete(failure, error, target_error_text(error));
    way_note(way, failure->text);
    if (choice == WAYS_ON) {
        const struct failure why = *failure;
        return failure_set(failure, error, "--%s on cannot be had: %s", way->ops->name, why.text);
    }
    log_warning(ROOM, "no %s: %s", way->ops->name, failure->text);
    failure_clear(failure);
    return TARGET_OK;
}

void way_count(struct way *way, bool write, uint64_t bytes)
{
    way->calls++;
    *(write ? &way->written : &way->read) += bytes;
}

void way_count_spans(struct way *way, bool write, const struct target_span *spans, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += spans[i].done;
    way_count(way, write, bytes);
}
