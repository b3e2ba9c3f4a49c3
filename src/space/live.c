/* Reading virtual memory of a running target through its monitor, past the view. */
#include "space/call.h"
#include "space/core.h"
#include "space/session.h"

#include <string.h>

/* The connection reads its own writes: dirty bytes win over what the target has. */
static void overlay(struct session *session, uint64_t address, uint8_t *bytes, size_t length)
{
    const struct view_line *line = view_find(&session->copies.view, address & TARGET_PAGE_MASK);
    size_t start = (size_t)(address & ~TARGET_PAGE_MASK), end = start + length, offset, count;

    for (size_t at = start; line && view_next_dirty(line, at, end, &offset, &count);
         at = offset + count)
        memcpy(bytes + (offset - start), line->bytes + offset, count);
}

static enum target_error read_spans(struct session *session, struct target_span *span, size_t count)
{
    struct target *target = session->space->target;

    if (!target->memory->read_live)
        return TARGET_RUNNING;
    return target->memory->read_live(target, session->client, session->cpu, span, count);
}

HRESULT session_read_live(struct session *session, uint64_t offset, void *buffer, uint32_t size,
                          uint32_t *done)
{
    struct call call;
    struct target_span span[16];

    call_begin_read(&call, session, "ReadVirtual", offset, size);
    task_mutex_lock(&session->mutex);
    while (call.done < call.size && !call.error) {
        uint8_t *to = (uint8_t *)buffer + call.done;
        size_t count = 0, planned = 0;
        for (; count < sizeof span / sizeof *span && call.done + planned < call.size; count++) {
            uint64_t address = call.offset + call.done + planned;
            size_t length = TARGET_PAGE_SIZE - (size_t)(address & ~TARGET_PAGE_MASK);
            if (length > call.size - call.done - planned)
                length = call.size - call.done - planned;
            span[count] =
                (struct target_span){.address = address, .bytes = to + planned, .length = length};
            planned += length;
        }
        enum target_error error = read_spans(session, span, count);
        if (error == TARGET_RUNNING || error == TARGET_GONE || error == TARGET_INVALID)
            call_stop(&call, error, NULL);
        for (size_t i = 0; i < count && !call.error; i++) {
            overlay(session, span[i].address, span[i].bytes, span[i].done);
            call.done += span[i].done;
            if (span[i].done < span[i].length)
                call_stop(&call, span[i].error ? span[i].error : TARGET_FAULT, NULL);
        }
    }
    task_mutex_unlock(&session->mutex);
    return call_finish(&call, done);
}
