/* Hides how the text of a failure is made and kept. */
#include "base/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_clear(struct failure *failure)
{
    if (!failure)
        return;
    failure->code = 0;
    failure->text[0] = '\0';
}

int failure_set(struct failure *failure, int code, const char *format, ...)
{
    if (!failure)
        return code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return failure_recode(failure, code);
}

int failure_complete(struct failure *failure, int code, const char *text)
{
    if (failure && failure->text[0] == '\0')
        return failure_set(failure, code, "%s", text);
    return failure_recode(failure, code);
}

int failure_recode(struct failure *failure, int code)
{
    if (failure)
        failure->code = code;
    return code;
}
