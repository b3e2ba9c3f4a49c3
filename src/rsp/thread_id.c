/* Hides how thread ids are written. */
#include "rsp/thread_id.h"

#include "base/hex.h"

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

bool thread_parse_one(uint64_t *id, const char **text, const char *end)
{
    const char *at = *text;
    uint64_t process;

    if (at < end && *at == 'p') {
        at++;
        if (!hex_number(&process, &at, end) || at == end || *at++ != '.')
            return false;
    }
    if (!hex_number(id, &at, end))
        return false;
    *text = at;
    return true;
}
