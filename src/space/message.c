/* The sentences that a session keeps until they are asked for. */
#include "space/message.h"

#include "space/core.h"

#include <stdarg.h>
#include <stdio.h>

void session_warn(struct session *session, const char *format, ...)
{
    va_list arguments;

    if (session->warned)
        return;
    session->warned = true;
    va_start(arguments, format);
    vsnprintf(session->warning, sizeof(session->warning), format, arguments);
    va_end(arguments);
}

const char *session_take_warning(struct session *session)
{
    bool warned = session->warned;

    session->warned = false;
    return warned ? session->warning : NULL;
}

const char *session_message(const struct session *session)
{
    return session->message;
}
