/* Numbers of threads and processes, in their many spellings. */
#include "stub/threads.h"

#include "rsp/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_MOST ((uint64_t)INT64_MAX / 2)

static bool number_parse(int64_t *number, const char **text, const char *end)
{
    const char *at = *text;
    uint64_t value;

    if (end - at >= 2 && at[0] == '-' && at[1] == '1') {
        *number = THREAD_ALL;
        *text = at + 2;
        return true;
    }
    while (end - at > 1 && at[0] == '0' && hex_digit((unsigned char)at[1]) >= 0)
        at++; /* any number of leading zeros */
    if (!hex_number(&value, &at, end) || value > NUMBER_MOST)
        return false;
    *number = (int64_t)value;
    *text = at;
    return true;
}

bool thread_parse(struct thread_id *id, const char **text, const char *end)
{
    const char *at = *text;
    struct thread_id found = {THREAD_ANY, THREAD_ANY};

    if (at < end && *at == 'p') {
        at++;
        if (!number_parse(&found.process, &at, end))
            return false;
        if (at < end && *at == '.') {
            at++;
            if (!number_parse(&found.thread, &at, end))
                return false;
        } else {
            found.thread = THREAD_ALL;
        }
    } else if (!number_parse(&found.thread, &at, end)) {
        return false;
    }
    *id = found;
    *text = at;
    return true;
}

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
