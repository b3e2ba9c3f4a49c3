/* A stop reply taken apart, and told anew for one client. */
#include "stub/stop.h"

#include "rsp/hex.h"
#include "stub/threads.h"

#include <string.h>

static int byte_at(const char *text)
{
    int high = hex_digit((unsigned char)text[0]);
    int low = high < 0 ? -1 : hex_digit((unsigned char)text[1]);
    return low < 0 ? -1 : high * 16 + low;
}

/* The next NAME:VALUE; of a T reply. */
struct field {
    const char *name, *value, *end; /* end: of the value */
    size_t name_length;
};

static bool next_field(struct field *field, const char **at)
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

static bool named(const struct field *field, const char *name)
{
    return field->name_length == strlen(name) && memcmp(field->name, name, field->name_length) == 0;
}

static bool is_watch(const struct field *field)
{
    return named(field, "watch") || named(field, "rwatch") || named(field, "awatch");
}

bool stop_parse(struct stop *stop, const char *reply)
{
    const char *at;
    struct field field;

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
    for (at = reply + 3; next_field(&field, &at);) {
        const char *value = field.value;
        struct thread_id id;
        if (named(&field, "thread") && thread_parse(&id, &value, field.end))
            stop->thread = id.thread;
        else if (is_watch(&field) && hex_number(&stop->address, &value, field.end))
            stop->watch = true;
        else if (named(&field, "swbreak"))
            stop->swbreak = true;
        else if (named(&field, "hwbreak"))
            stop->hwbreak = true;
    }
    return true;
}

bool stop_write(struct buffer *out, const char *reply, const struct stop_view *view)
{
    struct stop stop;
    struct field field;
    char text[THREAD_TEXT_SIZE];
    bool good;

    if (!stop_parse(&stop, reply))
        return false;
    if (stop.kind == 'W' || stop.kind == 'X') {
        good = buffer_append(out, reply, 3);
        if (view->multiprocess)
            good = good && buffer_printf(out, ";process:%llx", (unsigned long long)view->process);
        return good;
    }
    good = buffer_printf(out, "T%02x", stop.signal);
    /* S has no fields */
    for (const char *at = reply + 3; stop.kind == 'T' && next_field(&field, &at);) {
        if (named(&field, "thread") || named(&field, "threads") ||
            (is_watch(&field) && view->hide_watch) || (named(&field, "core") && view->nobodys))
            continue;
        if ((named(&field, "swbreak") || named(&field, "hwbreak")) &&
            (view->hide_breaks || view->swbreak || view->hwbreak))
            continue;
        good = good && buffer_append(out, field.name, (size_t)(field.end - field.name)) &&
               buffer_append_byte(out, ';');
    }
    if (view->swbreak)
        good = good && buffer_printf(out, "swbreak:;");
    if (view->hwbreak)
        good = good && buffer_printf(out, "hwbreak:;");
    int64_t thread = stop.thread > 0 && !view->nobodys ? stop.thread : view->thread;
    if (thread > 0)
        good =
            good && buffer_printf(out, "thread:%s;",
                                  thread_format(text, view->multiprocess, view->process, thread));
    if (view->threads)
        good = good && buffer_printf(out, "threads:%s;", view->threads);
    return good;
}
