/* The connection, from its beginning to its end, and calls that wait for their response. */
#include "client/link_internal.h"

#include "base/clock.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* An empty buffer larger than this is given back. */
#define BUFFER_KEPT ((size_t)256 * 1024)

/* The pages of a read's buffer of that size are had ready while the daemon works. */
#define SINK_PREPARED ((size_t)1024 * 1024)

void link_init(struct link *link, int fd)
{
    *link = (struct link){.fd = fd, .silence = 120};
    frame_scanner_init(&link->scanner);
}

void link_response_free(struct link *link)
{
    if (!link->answered)
        return;
    message_free(&link->response);
    link->answered = false;
    buffer_consume(&link->input, link->held);
    if (link->input.length == 0 && link->input.capacity > BUFFER_KEPT)
        buffer_free(&link->input);
}

static void hang_up(struct link *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
    buffer_free(&link->input);
    buffer_free(&link->request);
    buffer_free(&link->outgoing);
}

void link_free(struct link *link)
{
    link_response_free(link);
    hang_up(link);
    for (size_t i = 0; i < link->queue_count; i++) {
        free(link_queue_at(link, i)->message);
        free(link_queue_at(link, i)->warning);
    }
    free(link->queue);
    free(link->notifications);
    link->notifications = NULL;
}

/* The first reason counts. */
void link_lost(struct link *link, const char *format, ...)
{
    va_list arguments;

    if (link->fd < 0)
        return;
    va_start(arguments, format);
    vsnprintf(link->message, sizeof link->message, format, arguments);
    va_end(arguments);
    hang_up(link);
}

msgpack_packer *link_request_begin(struct link *link, const char *method, uint32_t params,
                                   msgpack_packer_write write)
{
    size_t length = strlen(method);

    link_response_free(link);
    if (link->fd >= 0)
        link->message[0] = '\0';
    link->warning[0] = '\0';
    link->no_memory = false;
    msgpack_packer_init(&link->packer, link, write);
    msgpack_pack_array(&link->packer, 4);
    msgpack_pack_int(&link->packer, MESSAGE_REQUEST);
    msgpack_pack_uint32(&link->packer, ++link->id);
    msgpack_pack_str(&link->packer, length);
    msgpack_pack_str_body(&link->packer, method, length);
    msgpack_pack_array(&link->packer, params);
    return &link->packer;
}

void link_sink(struct link *link, void *into, size_t most)
{
    link->sink = into;
    link->sink_most = most;
}

static int pack_write(void *data, const char *bytes, size_t length)
{
    struct link *link = data;

    if (buffer_append(&link->request, bytes, length))
        return 0;
    link->no_memory = true;
    return -1;
}

msgpack_packer *link_begin(struct link *link, const char *method, uint32_t params)
{
    link->sink = NULL;
    buffer_clear(&link->request);
    return link_request_begin(link, method, params, pack_write);
}

static HRESULT outcome(struct link *link, uint32_t outs, struct link_result *result)
{
    const msgpack_object *text;
    HRESULT hr;

    if (link_outcome_read(&link->response, outs, &hr, result, &text)) {
        if (text)
            link_text_copy(link->message, sizeof link->message, text);
        return hr;
    }
    link_lost(link, "the daemon does not speak the protocol: a response of the wrong shape");
    return E_UNEXPECTED;
}

/* While the daemon works: the pages of a large buffer that were never written take longer to come
 * than the bytes do. What is there already is not touched. */
static void sink_prepare(const struct link *link)
{
#ifdef MADV_POPULATE_WRITE
    const uintptr_t page = 4096;
    uintptr_t first = ((uintptr_t)link->sink + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)link->sink + link->sink_most) & ~(page - 1);
    if (link->sink && link->sink_most >= SINK_PREPARED && end > first && link->fd >= 0)
        madvise((void *)first, end - first, MADV_POPULATE_WRITE);
#else
    (void)link;
#endif
}

static void wait_response(struct link *link, double allowed)
{
    while (link->fd >= 0) {
        while (link_take_message(link) || link_take_bulk(link, allowed))
            ;
        if (link->fd < 0 || !link->awaited)
            return;
        if (link_wait_ready(link, POLLIN, allowed < 0 ? -1 : clock_now() + allowed) == 0)
            link_silent(link);
        else
            link_receive(link);
    }
}

HRESULT link_call(struct link *link, const void *body, size_t size, double extra, uint32_t outs,
                  struct link_result *result)
{
    double allowed = link->silence < 0 || extra < 0 ? -1 : link->silence + extra;

    if (link->fd < 0)
        return E_UNEXPECTED;
    if (link->no_memory) {
        snprintf(link->message, sizeof link->message, "out of memory");
        return E_OUTOFMEMORY;
    }
    link_queue_send(link);
    link->sunk.type = MSGPACK_OBJECT_NIL;
    link->awaited = true;
    link_send_all(link, &link->request, body, size, link->silence);
    sink_prepare(link);
    wait_response(link, allowed);
    link->awaited = false;
    if (link->sunk.type == MSGPACK_OBJECT_BIN && link->fd >= 0) {
        *result = (struct link_result){.values = &link->sunk, .count = 1};
        return link->sunk_hr;
    }
    if (link->request.capacity > BUFFER_KEPT)
        buffer_free(&link->request);
    return link->fd < 0 ? E_UNEXPECTED : outcome(link, outs, result);
}
