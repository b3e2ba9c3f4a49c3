#include "space/internal.h"

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

HRESULT session_fail(struct session *session, HRESULT hr, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(session->message, sizeof(session->message), format, arguments);
    va_end(arguments);
    return hr;
}

HRESULT space_hresult(enum target_error error, HRESULT fault)
{
    switch (error) {
    case TARGET_OK:
        return S_OK;
    case TARGET_FAULT:
        return fault;
    case TARGET_RUNNING:
    case TARGET_GONE:
        return E_UNEXPECTED;
    case TARGET_UNSUPPORTED:
        return E_NOTIMPL;
    case TARGET_INVALID:
        return E_INVALIDARG;
    case TARGET_NO_MEMORY:
        return E_OUTOFMEMORY;
    case TARGET_FAILED:
    case TARGET_CANCELLED:
        break;
    }
    return E_FAIL;
}

bool session_live(const struct session *session, bool is_virtual)
{
    struct target *target = session->space->target;
    if (target->ops->state(target) != TARGET_STATE_RUNNING)
        return false;
    const struct target_info *info = target->ops->info(target);
    return is_virtual ? info->live_virtual : info->live_physical;
}

enum target_error session_memory_ready(const struct session *session, bool is_virtual)
{
    return session_live(session, is_virtual) ? TARGET_OK : session_ready(session);
}

enum target_error session_ready(const struct session *session)
{
    struct target *target = session->space->target;
    switch (target->ops->state(target)) {
    case TARGET_STATE_HALTED:
        return TARGET_OK;
    case TARGET_STATE_RUNNING:
        return TARGET_RUNNING;
    case TARGET_STATE_LOST:
        break;
    }
    return TARGET_GONE;
}
