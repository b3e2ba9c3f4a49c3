/* Hides how the numbers of threads and processes are written. */
#include "stub/threads.h"

#include <inttypes.h>
#include <stdio.h>

static const char *number_format(char *text, size_t size, int64_t number)
{
    if (number < 0)
        snprintf(text, size, "-1");
    else
        snprintf(text, size, "%" PRIx64, (uint64_t)number);
    return text;
}

const char *thread_format(char *text, bool multiprocess, int64_t process, int64_t thread)
{
    char number[18], owner[18];

    number_format(number, sizeof number, thread);
    if (multiprocess)
        snprintf(text, THREAD_TEXT_SIZE, "p%s.%s", number_format(owner, sizeof owner, process),
                 number);
    else
        snprintf(text, THREAD_TEXT_SIZE, "%s", number);
    return text;
}
