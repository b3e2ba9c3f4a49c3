/* Hides how stop replies are written. */
#include "rsp/stop_reply.h"

#include "base/hex.h"
#include "rsp/thread_id.h"

#include <string.h>

static int byte_at(const char *text)
{
    int high = hex_digit((unsigned char)text[0]);
    int low = high < 0 ? -1 : hex_digit((unsigned char)text[1]);
    return low < 0 ? -1 : high * 16 + low;
}

bool stop_field_next(struct stop_field *field, const char **at)
{
    const char *colon;

    while (**at == ';')
        (*at)++;
    if (!**at)
        return false;
    field->name = *at;
    field->end = *at + strcspn(*at, ";");
    colon = memchr(*at, ':', (size_t)(field->end - *at));
    field->name_length = (size_t)((colon ? colon : field->end) - *at);
    field->value = colon ? colon + 1 : field->end;
    *at = field->end;
    return true;
}

bool stop_field_is(const struct stop_field *field, const char *name)
{
    return field->name_length == strlen(name) && memcmp(field->name, name, field->name_length) == 0;
}

bool stop_field_is_watch(const struct stop_field *field)
{
    return stop_field_is(field, "watch") || stop_field_is(field, "rwatch") ||
           stop_field_is(field, "awatch");
}

bool stop_parse(struct stop *stop, const char *reply)
{
    const char *at;
    struct stop_field field;

    *stop = (struct stop){.thread = THREAD_ANY};
    if (!*reply || !strchr("TSWX", *reply))
        return false;
    int signal = byte_at(reply + 1);
    if (signal < 0)
        return false;
    stop->kind = *reply;
    stop->signal = (unsigned)signal;
    if (*reply != 'T')
        return true;
    for (at = reply + 3; stop_field_next(&field, &at);) {
        const char *value = field.value;
        struct thread_id id;
        if (stop_field_is(&field, "thread") && thread_parse(&id, &value, field.end))
            stop->thread = id.thread;
        else if (stop_field_is_watch(&field) && hex_number(&stop->address, &value, field.end))
            stop->watch = true;
        else if (stop_field_is(&field, "swbreak"))
            stop->swbreak = true;
        else if (stop_field_is(&field, "hwbreak"))
            stop->hwbreak = true;
    }
    return true;
}
