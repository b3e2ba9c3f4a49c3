/* What runs and stops the target. */
#include "space/run.h"

#include "base/failure.h"
#include "space/convert.h"
#include "space/core.h"
#include "space/session.h"

#include <inttypes.h>
#include <string.h>

HRESULT session_get_execution_status(struct session *session, uint32_t *status)
{
    struct target *target = session->space->target;

    session->message[0] = '\0';
    switch (target->run->state(target)) {
    case TARGET_STATE_RUNNING:
        *status = DEBUG_STATUS_GO;
        return S_OK;
    case TARGET_STATE_HALTED:
        *status = DEBUG_STATUS_BREAK;
        return S_OK;
    case TARGET_STATE_LOST:
        break;
    }
    return session_fail(session, E_UNEXPECTED, "GetExecutionStatus: %s",
                        target_error_text(TARGET_GONE));
}

/* Pass on what became of a resume. After one that failed nothing is about to go out. */
static enum target_error resume_result(struct session *session, enum target_error error)
{
    if (error)
        session->space->kept_clean = false;
    return error;
}

HRESULT session_set_execution_status(struct session *session, uint32_t status)
{
    struct target *target = session->space->target;
    struct failure failure = {0};
    enum target_resume how = TARGET_RESUME_GO;

    session->message[0] = '\0';
    if (status == DEBUG_STATUS_STEP_INTO)
        how = TARGET_RESUME_STEP;
    else if (status != DEBUG_STATUS_GO)
        return session_fail(session, E_INVALIDARG,
                            "SetExecutionStatus: the status is %" PRIu32
                            ", it must be DEBUG_STATUS_GO (1) or DEBUG_STATUS_STEP_INTO (5)",
                            status);
    enum target_error error = session_ready(session);
    if (!error)
        error = target->run->resume(target, session->client, how, session->cpu, &failure);
    if (resume_result(session, error))
        return session_fail(session, space_hresult(error, E_FAIL), "SetExecutionStatus: %s",
                            failure.text[0] ? failure.text : target_error_text(error));
    return S_OK;
}

HRESULT session_interrupt(struct session *session)
{
    struct target *target = session->space->target;
    enum target_error error = TARGET_GONE;

    if (target->run->state(target) != TARGET_STATE_LOST)
        error = target->run->interrupt(target, session->client);
    if (error)
        return session_fail(session, space_hresult(error, E_FAIL), "SetInterrupt: %s",
                            target_error_text(error));
    return S_OK;
}

HRESULT session_wait_for_event(struct session *session, uint32_t timeout_ms, char *text,
                               size_t size)
{
    struct target *target = session->space->target;
    double timeout = timeout_ms == UINT32_MAX ? -1.0 : timeout_ms / 1000.0;
    enum target_error error = TARGET_CANCELLED;

    session->message[0] = '\0';
    if (size)
        text[0] = '\0';
    if (!session->cancelled)
        error =
            target->run->wait(target, session->client, timeout, &session->cancelled, text, size);
    switch (error) {
    case TARGET_OK:
        return S_OK;
    case TARGET_RUNNING:
        return S_FALSE;
    default:
        return session_fail(session, space_hresult(error, E_FAIL), "WaitForEvent: %s",
                            target_error_text(error));
    }
}

void session_cancel(struct session *session)
{
    struct target *target = session->space->target;
    session->cancelled = true;
    target->run->wait_cancel(target);
}

/* --- as a debugger needs it --- */

enum space_state session_state(const struct session *session)
{
    struct target *target = session->space->target;
    return space_state_of(target->run->state(target));
}

enum space_error session_resume(struct session *session, struct failure *failure)
{
    struct target *target = session->space->target;
    enum target_error error =
        target->run->resume(target, session->client, TARGET_RESUME_GO, 0, failure);
    return failure_recode(failure, space_error_of(resume_result(session, error)));
}

enum space_error session_resume_packet(struct session *session, int64_t thread, const void *payload,
                                       size_t length, struct failure *failure)
{
    struct target *target = session->space->target;
    enum target_error error = target->run->resume_packet(
        target, session->client, thread > 0 ? (uint64_t)thread : 0, payload, length, failure);
    return failure_recode(failure, space_error_of(resume_result(session, error)));
}

enum space_error session_halt(struct session *session)
{
    struct target *target = session->space->target;
    return space_error_of(target->run->interrupt(target, session->client));
}

enum space_error session_wait_halted(struct session *session, double timeout, char *text,
                                     size_t size)
{
    struct target *target = session->space->target;
    return space_error_of(target->run->wait(target, session->client, timeout, NULL, text, size));
}

const char *session_stop_reply(const struct session *session)
{
    struct target *target = session->space->target;
    return target->run->stop_reply(target);
}
