/* How far a call on memory came, and what that makes of it. */
#include "space/call.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void call_begin(struct call *call, struct session *session, const char *name,
                       uint64_t offset, uint32_t size)
{
    memset(call, 0, sizeof(*call));
    call->session = session;
    call->name = name;
    call->offset = offset;
    call->asked = session->parts_of ? session->parts_of : size;
    /* The space ends at 2^64: cut there, the count will say so. */
    call->size = (size_t)bytes_clip(offset, size);
    session->message[0] = '\0';
}

void call_begin_read(struct call *call, struct session *session, const char *name, uint64_t offset,
                     uint32_t size)
{
    call_begin(call, session, name, offset, size);
    call->done_text = "read";
    call->fault = SB_ERROR_READ_FAULT;
}

void call_begin_write(struct call *call, struct session *session, const char *name, uint64_t offset,
                      uint32_t size)
{
    call_begin(call, session, name, offset, size);
    call->done_text = "written";
    call->fault = SB_ERROR_WRITE_FAULT;
}

void call_stop(struct call *call, enum target_error error, const char *format, ...)
{
    if (call->error || call->hr)
        return;
    call->error = error;
    if (!format) {
        snprintf(call->reason, sizeof(call->reason), "%s", target_error_text(error));
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->reason, sizeof(call->reason), format, arguments);
    va_end(arguments);
}

void call_refuse(struct call *call, HRESULT hr, const char *format, ...)
{
    if (call->error || call->hr)
        return;
    call->hr = hr;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->reason, sizeof(call->reason), format, arguments);
    va_end(arguments);
}

HRESULT call_finish(struct call *call, uint32_t *done)
{
    if (done)
        *done = (uint32_t)call->done;
    if (!call->hr && !call->error)
        return S_OK;
    snprintf(call->session->message, sizeof(call->session->message),
             "%s at 0x%" PRIx64 ": %s (%zu of %zu bytes %s)", call->name, call->offset + call->done,
             call->reason, call->done, call->asked, call->done_text);
    if (call->hr)
        return call->hr;
    return call->done ? S_OK : space_hresult(call->error, call->fault);
}
