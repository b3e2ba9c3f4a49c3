/* How a stop is told: to a client that waits for one, and to one that asks. */
#include "stub/report.h"

#include "space/run.h"
#include "stub/stop.h"
#include "stub/threads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* lldb wants to hear of all threads. */
static char *thread_list(struct client *client)
{
    struct buffer text = {0};
    int64_t *ids;
    size_t count;
    bool good =
        upstream_stub_threads(&client->front->upstream, client->session, &ids, &count) == SPACE_OK;

    for (size_t i = 0; i < count && good; i++)
        good = buffer_printf(&text, "%s%" PRIx64, i ? "," : "", (uint64_t)ids[i]);
    good = good && count > 0 && buffer_append_byte(&text, 0);
    free(ids);
    if (!good)
        buffer_free(&text);
    return (char *)text.data;
}

/* Is the stop at a breakpoint that this client has set? Of others' it must not hear: a debugger
 * goes on by itself from a breakpoint that is not its own. */
static void name_breakpoint(struct client *client, const struct stop *stop, struct stop_view *view)
{
    struct breakpoints *all = &client->front->breakpoints;
    uint64_t pc;

    if (stop->signal != 5 || stop->watch ||
        (!client->features.swbreak && !client->features.hwbreak))
        return;
    if (!front_is_qemu(client->front)) { /* it says itself that it was one, not whose */
        if (stop->swbreak || stop->hwbreak)
            view->hide_breaks = view->hide_breaks ||
                                breakpoints_held(all, client->member.number) == 0 ||
                                (front_state(client->front) == SPACE_STATE_HALTED &&
                                 upstream_stub_read_pc(&client->front->upstream, client->session,
                                                       front_stop_thread(client->front), &pc) &&
                                 !breakpoints_at(all, pc, -1, client->member.number));
        return;
    }
    if (breakpoints_held(all, client->member.number) == 0 ||
        front_state(client->front) != SPACE_STATE_HALTED ||
        !upstream_stub_read_pc(&client->front->upstream, client->session,
                               stop->thread > 0 ? stop->thread : 1, &pc))
        return;
    if (client->features.swbreak && breakpoints_at(all, pc, 0, client->member.number))
        view->swbreak = true;
    else if (client->features.hwbreak && breakpoints_at(all, pc, 1, client->member.number))
        view->hwbreak = true;
}

/* Append the last stop, as this client needs to hear it, to the reply. */
static void tell_stop(struct client *client)
{
    struct front *front = client->front;
    struct stop stop;
    char *threads = NULL;

    if (!stop_parse(&stop, front_stop(front))) {
        reply_error(client, ERROR_GONE, "the target is not there");
        return;
    }
    char *text = strdup(front_stop(front)); /* there may be another one while this suspends */
    if (!text) {
        client->ending = true;
        return;
    }
    struct stop_view view = {
        .multiprocess = client->features.multiprocess,
        .process = upstream_stub_process(&front->upstream, client->session),
        .thread = client_stop_thread(client),
        .nobodys = client_stop_is_nobodys(client),
        .hide_watch = stop.watch && !breakpoints_watched(&front->breakpoints, stop.address,
                                                         client->member.number),
        .hide_breaks = !client->features.swbreak,
    };
    name_breakpoint(client, &stop, &view);
    if (client->list_threads && (stop.kind == 'T' || stop.kind == 'S'))
        view.threads = threads = thread_list(client);
    if (!stop_write(&client->reply, text, &view))
        client->ending = true;
    free(threads);
    free(text);
    /* From here on it looks at the thread that stopped, as with any stub. */
    if (stop.kind == 'T' || stop.kind == 'S') {
        client->general = client->told = view.thread;
        client->told_stops = front->stops;
        client->resumed = THREAD_ANY;
    }
}

void report_stop(struct client *client)
{
    struct front *front = client->front;
    struct stop stop;

    client->waiting = false;
    buffer_clear(&client->reply);
    if (front->seen.now == FRONT_LOST &&
        (!stop_parse(&stop, front_stop(front)) || (stop.kind != 'W' && stop.kind != 'X'))) {
        client->ending = true; /* as if it had been connected to the target itself */
        return;
    }
    tell_stop(client);
    if (client->link.send)
        client->link.send(client->link.context, buffer_bytes(&client->reply), client->reply.length);
}

void report_do_status(struct client *client, const struct request *request)
{
    struct front *front = client->front;
    (void)request;

    front_wait_settled(front);
    switch (front_state(front)) {
    case SPACE_STATE_HALTED:
        if (front->stops == 0) /* halted since before the first client came */
            front_note_stop(front);
        tell_stop(client);
        break;
    case SPACE_STATE_RUNNING:
        if (client_sees_running(client)) {
            char text[THREAD_TEXT_SIZE];
            reply_text(client, "T00thread:%s;",
                       thread_format(text, client->features.multiprocess,
                                     upstream_stub_process(&front->upstream, client->session), 1));
            break;
        }
        /* There is no way to say "it runs" but to be silent until it stops. */
        client->waiting = client->answered = true;
        client->stops_seen = front->stops;
        break;
    case SPACE_STATE_LOST:
        reply_error(client, ERROR_GONE, "the target is not there");
        break;
    }
}
