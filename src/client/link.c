/* Calls: which request an answer belongs to, what it says, and what came unasked. */
#include "client/link.h"

#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* An empty buffer larger than this is given back. */
#define BUFFER_KEPT ((size_t)256 * 1024)
/* The pages of a read's buffer of that size are had ready while the daemon works. */
#define SINK_PREPARED ((size_t)1024 * 1024)
/* Queued requests are sent when this many bytes have gathered; a body that is larger is sent from
 * where it is, not copied. */
#define GATHER_MOST ((size_t)64 * 1024)
#define BODY_COPIED ((size_t)16 * 1024)

void link_init(struct link *link, int fd)
{
    *link = (struct link){.silence = 120};
    channel_init(&link->channel, fd, link->message);
}

/* The response is no longer needed, where there is one. */
static void response_free(struct link *link)
{
    if (!link->answered)
        return;
    link->answered = false;
    channel_consume(&link->channel, link->held);
}

void link_free(struct link *link)
{
    response_free(link);
    channel_close(&link->channel);
    buffer_free(&link->request);
    buffer_free(&link->outgoing);
    pending_free(&link->pending);
    notices_free(&link->notices);
}

bool link_is_lost(const struct link *link)
{
    return link->channel.fd < 0;
}

void link_broken(struct link *link, const char *how)
{
    channel_lost(&link->channel, "the daemon does not speak the protocol: %s", how);
}

/* What came */

/* The answer to that queued call (NULL: to the one that is waited for) has come: a warning that was
 * heard before it is its own. */
static void warning_settle(struct link *link, struct link_queued *queued)
{
    char *heard = link->notices.warning;

    if (heard[0] == '\0')
        return;
    if (queued)
        queued->warning = strdup(heard);
    else
        memcpy(link->warning, heard, sizeof link->warning);
    heard[0] = '\0';
}

static void take_notification(struct link *link, const struct message *message)
{
    struct value text;

    if (!notices_take(&link->notices, message, &text))
        channel_lost(&link->channel, "the daemon closed the connection: %.*s",
                     text.bytes.size > 900 ? 900 : (int)text.bytes.size,
                     (const char *)text.bytes.at);
}

static void take_queued_answer(struct link *link, struct link_queued *queued,
                               const struct message *message)
{
    if (pending_answer(&link->pending, message))
        warning_settle(link, queued);
    else
        link_broken(link, "a response of the wrong shape");
}

/* Take the first whole message out of the input, where there is one: a notification is kept, the
 * response to the last request becomes link->response, that to a queued one its outcome. True when
 * one was taken and there may be more. */
static bool take_message(struct link *link)
{
    struct channel *channel = &link->channel;
    size_t size = channel_next(channel);
    struct message message;
    const char *fault;

    if (size == 0)
        return false;
    if (!message_decode(&message, buffer_bytes(&channel->input), size, &fault)) {
        link_broken(link, fault);
        return false;
    }
    struct link_queued *queued = pending_next(&link->pending);
    if (message.type == MESSAGE_NOTIFICATION) {
        take_notification(link, &message);
    } else if (message.type == MESSAGE_RESPONSE && link->awaited && message.id == link->id) {
        link->response = message;
        link->answered = true;
        link->awaited = false;
        link->held = size;
        warning_settle(link, NULL);
        return false;
    } else if (message.type == MESSAGE_RESPONSE && queued && queued->id == message.id) {
        take_queued_answer(link, queued, &message);
    } else {
        channel_lost(channel, "the daemon answered what was not asked");
    }
    if (!link_is_lost(link))
        channel_consume(channel, size);
    return !link_is_lost(link);
}

/* Where the bytes of that large result belong; NULL: nowhere yet. */
static uint8_t *bulk_place(const struct link *link, const struct outcome_bulk *bulk)
{
    const struct link_queued *queued = pending_next(&link->pending);

    if (link->awaited && bulk->id == link->id)
        return link->sink && bulk->size <= link->sink_most ? link->sink : NULL;
    return queued && queued->id == bulk->id && queued->expect == LINK_EXPECT_BIN &&
                   bulk->size <= queued->most
               ? queued->into
               : NULL;
}

/* Receive a large bin that has begun to come right into its place, to its end, where it has one;
 * the daemon may be silent for allowed seconds (< 0: for ever). True: one has come. */
static bool take_bulk(struct link *link, double allowed)
{
    struct channel *channel = &link->channel;
    struct outcome_bulk bulk;

    if (link_is_lost(link) || !channel_large_begun(channel) ||
        !outcome_bulk_begins(&bulk, buffer_bytes(&channel->input), channel->input.length,
                             &channel->scanner))
        return false;
    uint8_t *into = bulk_place(link, &bulk);
    bool awaited = link->awaited && bulk.id == link->id;
    if (!into || !channel_receive_into(channel, bulk.head, into, bulk.size, allowed))
        return false;
    if (awaited) {
        link->sunk =
            (struct value){.kind = VALUE_BIN, .bytes = {.at = into, .size = (uint32_t)bulk.size}};
        link->sunk_hr = bulk.hr;
        link->awaited = false;
        warning_settle(link, NULL);
    } else {
        struct link_queued *queued = pending_next(&link->pending);
        pending_answer_bin(&link->pending, bulk.hr, bulk.size);
        warning_settle(link, queued);
    }
    return true;
}

/* Of channel_send. An answer to what is being sent is dropped. */
static bool arrived(void *context)
{
    struct link *link = context;

    while (take_message(link))
        ;
    bool early = link->answered;
    response_free(link);
    return early;
}

static void send_all(struct link *link, const struct buffer *first, const void *body, size_t size)
{
    channel_send(&link->channel, first, body, size, link->silence, arrived, link);
}

/* Making a request */

/* A clean slate for what the next call has to say. */
static void forget_last(struct link *link)
{
    response_free(link);
    if (!link_is_lost(link))
        link->message[0] = '\0';
    link->warning[0] = '\0';
}

/* Begin a request that is packed onto that buffer. */
static struct pack *request_begin(struct link *link, const char *method, uint32_t params,
                                  struct buffer *onto)
{
    struct pack *pack = &link->pack;

    forget_last(link);
    *pack = (struct pack){.out = onto};
    pack_array(pack, 4);
    pack_unsigned(pack, MESSAGE_REQUEST);
    pack_unsigned(pack, ++link->id);
    pack_text(pack, method);
    pack_array(pack, params);
    return pack;
}

/* Calls that wait for their response */

struct pack *link_begin(struct link *link, const char *method, uint32_t params)
{
    link->sink = NULL;
    buffer_clear(&link->request);
    return request_begin(link, method, params, &link->request);
}

void link_sink(struct link *link, void *into, size_t most)
{
    link->sink = into;
    link->sink_most = most;
}

static HRESULT outcome(struct link *link, uint32_t outs, struct link_result *result)
{
    struct value text;
    HRESULT hr;

    if (outcome_read(&link->response, outs, &hr, result, &text)) {
        if (text.kind == VALUE_TEXT)
            value_text_copy(link->message, sizeof link->message, &text);
        return hr;
    }
    link_broken(link, "a response of the wrong shape");
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
    if (link->sink && link->sink_most >= SINK_PREPARED && end > first && !link_is_lost(link))
        madvise((void *)first, end - first, MADV_POPULATE_WRITE);
#else
    (void)link;
#endif
}

static void wait_response(struct link *link, double allowed)
{
    while (!link_is_lost(link)) {
        while (take_message(link) || take_bulk(link, allowed))
            ;
        if (link_is_lost(link) || !link->awaited)
            return;
        channel_wait_receive(&link->channel, allowed);
    }
}

HRESULT link_call(struct link *link, const void *body, size_t size, double extra, uint32_t outs,
                  struct link_result *result)
{
    double allowed = link->silence < 0 || extra < 0 ? -1 : link->silence + extra;

    if (link_is_lost(link))
        return E_UNEXPECTED;
    if (link->pack.no_memory) {
        snprintf(link->message, sizeof link->message, "out of memory");
        return E_OUTOFMEMORY;
    }
    link_queue_send(link);
    link->sunk.kind = VALUE_NIL;
    link->awaited = true;
    send_all(link, &link->request, body, size);
    sink_prepare(link);
    wait_response(link, allowed);
    link->awaited = false;
    if (link->sunk.kind == VALUE_BIN && !link_is_lost(link)) {
        *result = (struct link_result){.values = {link->sunk}};
        return link->sunk_hr;
    }
    if (link->request.capacity > BUFFER_KEPT)
        buffer_free(&link->request);
    return link_is_lost(link) ? E_UNEXPECTED : outcome(link, outs, result);
}

/* Calls whose outcomes are collected later */

HRESULT link_queue_send(struct link *link)
{
    if (link->outgoing.length > 0)
        send_all(link, &link->outgoing, NULL, 0);
    buffer_clear(&link->outgoing);
    return link_is_lost(link) ? E_UNEXPECTED : S_OK;
}

struct pack *link_queue_begin(struct link *link, const char *method, uint32_t params)
{
    return request_begin(link, method, params, &link->outgoing);
}

/* Take in what has arrived, without waiting. */
static void receive_arrived(struct link *link)
{
    if (!link_is_lost(link) && pending_next(&link->pending) && channel_receive(&link->channel))
        while (take_message(link))
            ;
}

HRESULT link_queue_end(struct link *link, const void *body, size_t size,
                       const struct link_queued *expect, uint64_t *ticket)
{
    struct link_queued queued = {.ticket = link->ticket + 1,
                                 .id = link->id,
                                 .expect = expect->expect,
                                 .most = expect->most,
                                 .into = expect->into};

    if (link_is_lost(link)) {
        buffer_free(&link->outgoing);
        return E_UNEXPECTED;
    }
    if (!link->pack.no_memory && size <= BODY_COPIED && !buffer_append(&link->outgoing, body, size))
        link->pack.no_memory = true;
    if (link->pack.no_memory || !pending_push(&link->pending, &queued)) {
        /* Half a request among whole ones cannot be taken back. */
        channel_lost(&link->channel, "out of memory");
        return E_OUTOFMEMORY;
    }
    link->ticket++;
    if (ticket)
        *ticket = queued.ticket;
    if (size > BODY_COPIED) {
        send_all(link, &link->outgoing, body, size);
        buffer_clear(&link->outgoing);
        receive_arrived(link);
    } else if (link->outgoing.length >= GATHER_MOST) {
        link_queue_send(link);
        receive_arrived(link);
    }
    return link_is_lost(link) ? E_UNEXPECTED : S_OK;
}

bool link_queue_collect(struct link *link, struct link_queued *outcome_of)
{
    struct pending *pending = &link->pending;
    bool answered;

    forget_last(link);
    if (pending->count == 0)
        return false;
    if (pending->answered == 0)
        link_queue_send(link);
    while (!link_is_lost(link) && pending->answered == 0) {
        while (take_message(link) || take_bulk(link, link->silence))
            ;
        if (link_is_lost(link) || pending->answered > 0)
            break;
        channel_wait_receive(&link->channel, link->silence);
    }
    *outcome_of = pending_pop(pending, &answered);
    if (answered)
        snprintf(link->message, sizeof link->message, "%s",
                 outcome_of->message ? outcome_of->message : "");
    else
        outcome_of->hr = E_UNEXPECTED; /* lost; link->message says how */
    snprintf(link->warning, sizeof link->warning, "%s",
             outcome_of->warning ? outcome_of->warning : "");
    free(outcome_of->message);
    free(outcome_of->warning);
    outcome_of->message = outcome_of->warning = NULL;
    return true;
}

/* What comes unasked */

bool link_notification(struct link *link, double timeout,
                       struct spacebridge_notification *notification)
{
    double deadline = timeout < 0 ? -1 : clock_now() + timeout;

    response_free(link);
    link_queue_send(link);
    while (!link_is_lost(link) && link->notices.count == 0) {
        if (take_message(link))
            continue;
        if (!link_is_lost(link)) {
            if (channel_wait_ready(&link->channel, POLLIN, deadline) == 0)
                break;
            channel_receive(&link->channel);
        }
    }
    return notices_pop(&link->notices, notification);
}
