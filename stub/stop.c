/* Hides which fields of a stop reply a client gets, and in what form. */
#include "stub/stop.h"

#include "stub/threads.h"

#include <string.h>

bool stop_write(struct buffer *out, const char *reply, const struct stop_view *view)
{
    struct stop stop;
    struct stop_field field;
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
    for (const char *at = reply + 3; stop.kind == 'T' && stop_field_next(&field, &at);) {
        if (stop_field_is(&field, "thread") || stop_field_is(&field, "threads") ||
            (stop_field_is_watch(&field) && view->hide_watch) ||
            (stop_field_is(&field, "core") && view->nobodys))
            continue;
        if ((stop_field_is(&field, "swbreak") || stop_field_is(&field, "hwbreak")) &&
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
