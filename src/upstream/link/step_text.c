/* Hides how packets and stop replies spell a step. */
#include "upstream/link/step_text.h"

#include "base/hex.h"
#include "rsp/stop_reply.h"
#include "rsp/thread_id.h"

#include <string.h>

struct action {
    bool step;
    bool named; /* a thread, in whatever form */
    uint64_t thread;
};

/* One action of a vCont: c, s, C05, S05, and :THREAD; whom a c means is all the same. False:
 * something else, or a step of who knows whom. */
static bool action_parse(struct action *action, const char *at, const char *end)
{
    *action = (struct action){0};
    if (at == end || !memchr("cCsS", *at, 4))
        return false;
    bool signal = *at == 'C' || *at == 'S';
    action->step = *at == 's' || *at == 'S';
    at++;
    if (signal && (end - at < 2 || hex_digit((uint8_t)at[0]) < 0 || hex_digit((uint8_t)at[1]) < 0))
        return false;
    at += signal ? 2 : 0;
    action->named = at < end;
    if (at == end)
        return true;
    if (*at++ != ':')
        return false;
    return !action->step || (thread_parse_one(&action->thread, &at, end) && at == end);
}

static uint64_t vcont_thread(const char *at, const char *end, uint64_t only)
{
    uint64_t thread = 0;
    unsigned steps = 0;
    while (at < end) {
        const char *next = memchr(at, ';', (size_t)(end - at));
        const char *stop = next ? next : end;
        struct action action;
        if (!action_parse(&action, at, stop))
            return 0;
        if (action.step) {
            steps++;
            thread = action.named ? action.thread : only;
        }
        at = next ? next + 1 : end;
    }
    return steps == 1 ? thread : 0;
}

uint64_t step_text_thread(const char *payload, size_t length, uint64_t selected, uint64_t only)
{
    static const char vcont[] = "vCont;";
    const size_t prefix = sizeof vcont - 1;
    if (length >= prefix && memcmp(payload, vcont, prefix) == 0)
        return vcont_thread(payload + prefix, payload + length, only);
    struct action action;
    if (!action_parse(&action, payload, payload + length) || !action.step || action.named)
        return 0;
    return selected ? selected : only;
}

bool step_text_ended(const char *reply, uint64_t thread)
{
    bool named = false;
    struct stop_field field;
    if (strncmp(reply, "T05", 3) != 0)
        return false;
    for (const char *at = reply + 3; stop_field_next(&field, &at);) {
        uint64_t id;
        const char *value = field.value;
        if (field.name[field.name_length] != ':')
            return false;
        if (stop_field_is(&field, "core"))
            continue;
        named = stop_field_is(&field, "thread") && thread_parse_one(&id, &value, field.end) &&
                value == field.end && id == thread;
        if (!named)
            return false;
    }
    return named;
}
