#include "stub/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

bool thread_list_rewrite(char *out, size_t size, const char *list, bool multiprocess,
                         int64_t process)
{
    const char *end = list + strlen(list);
    size_t length = 0;
    char text[THREAD_TEXT_SIZE];

    if (*list != 'm')
        return false;
    for (char separator = 'm'; list < end; separator = ',') {
        struct thread_id id;
        if (*list++ != separator || !thread_parse(&id, &list, end))
            return false;
        int written = snprintf(out + length, size - length, "%c%s", separator,
                               thread_format(text, multiprocess, process, id.thread));
        if (written < 0 || (size_t)written >= size - length)
            return false;
        length += (size_t)written;
    }
    return length > 0;
}
