/* What every file of src/space needs of a session: see core.h. */
#include "space/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
    if (target->run->state(target) != TARGET_STATE_RUNNING)
        return false;
    const struct target_info *info = target->about->info(target);
    return is_virtual ? info->live_virtual : info->live_physical;
}

enum target_error session_memory_ready(const struct session *session, bool is_virtual)
{
    return session_live(session, is_virtual) ? TARGET_OK : session_ready(session);
}

enum target_error session_ready(const struct session *session)
{
    struct target *target = session->space->target;
    switch (target->run->state(target)) {
    case TARGET_STATE_HALTED:
        return TARGET_OK;
    case TARGET_STATE_RUNNING:
        return TARGET_RUNNING;
    case TARGET_STATE_LOST:
        break;
    }
    return TARGET_GONE;
}

void session_hold(struct session *session)
{
    session->users++;
}

void session_release(struct session *session)
{
    if (!--session->users && session->closed)
        free(session);
}

enum cache_policy session_policy(const struct session *session)
{
    return session->copies.view.size < VIEW_LINE_SIZE ? CACHE_OFF : session->policy;
}

void session_wait_behind(struct session *session)
{
    while (session->behind)
        task_cond_wait(&session->behind_ended, -1);
}
