#include "client/link.h"

#include "wire/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Bytes read at a time, and inside a large message. */
#define READ_SMALL ((size_t)64 * 1024)
#define READ_LARGE ((size_t)1024 * 1024)
/* An empty buffer larger than this is given back. */
#define BUFFER_KEPT ((size_t)256 * 1024)
/* Queued requests are sent when this many bytes have gathered; a body that is larger is sent from
 * where it is, not copied. */
#define GATHER_MOST ((size_t)64 * 1024)
#define BODY_COPIED ((size_t)16 * 1024)

/* The pages of a read's buffer of that size are had ready while the daemon works. */
#define SINK_PREPARED ((size_t)1024 * 1024)

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void link_init(struct link *link, int fd)
{
    *link = (struct link){.fd = fd, .silence = 120};
    frame_scanner_init(&link->scanner);
}

static void response_free(struct link *link)
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
    response_free(link);
    hang_up(link);
    for (size_t i = 0; i < link->queue_count; i++)
        free(link->queue[(link->queue_first + i) % link->queue_room].message);
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

/* Requests */

static int pack_write(void *data, const char *bytes, size_t length)
{
    struct link *link = data;

    if (buffer_append(&link->request, bytes, length))
        return 0;
    link->no_memory = true;
    return -1;
}

static int pack_write_outgoing(void *data, const char *bytes, size_t length)
{
    struct link *link = data;

    if (buffer_append(&link->outgoing, bytes, length))
        return 0;
    link->no_memory = true;
    return -1;
}

static msgpack_packer *begin(struct link *link, const char *method, uint32_t params,
                             msgpack_packer_write write)
{
    size_t length = strlen(method);

    response_free(link);
    if (link->fd >= 0)
        link->message[0] = '\0';
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

msgpack_packer *link_begin(struct link *link, const char *method, uint32_t params)
{
    link->sink = NULL;
    buffer_clear(&link->request);
    return begin(link, method, params, pack_write);
}

/* Notifications */

static void text_copy(char *to, size_t size, const msgpack_object *from)
{
    size_t length = from->via.str.size < size ? from->via.str.size : size - 1;

    if (length > 0) /* an empty one points nowhere */
        memcpy(to, from->via.str.ptr, length);
    to[length] = '\0';
}

/* [HRESULT, message], as errors and notifications carry it. */
static bool failure_read(const msgpack_object *object, HRESULT *hr, const msgpack_object **text)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 2)
        return false;
    const msgpack_object *values = object->via.array.ptr;
    if (values[0].type != MSGPACK_OBJECT_NEGATIVE_INTEGER || values[0].via.i64 < INT32_MIN ||
        values[1].type != MSGPACK_OBJECT_STR)
        return false;
    *hr = (HRESULT)values[0].via.i64;
    *text = &values[1];
    return true;
}

static void notified(struct link *link, const struct message *message)
{
    const msgpack_object *text;
    HRESULT hr;

    /* One of a later version is none of our business. */
    if (message->method.type != MSGPACK_OBJECT_STR || !failure_read(&message->params, &hr, &text))
        return;
    if (message_text_is(&message->method, WIRE_NOTIFY_ERROR)) {
        link_lost(link, "the daemon closed the connection: %.*s",
                  text->via.str.size > 900 ? 900 : (int)text->via.str.size,
                  text->via.str.size > 0 ? text->via.str.ptr : "");
        return;
    }
    if (!link->notifications)
        link->notifications = calloc(LINK_NOTIFICATIONS_MOST, sizeof *link->notifications);
    if (!link->notifications)
        return;
    if (link->count == LINK_NOTIFICATIONS_MOST) {
        link->first = (link->first + 1) % LINK_NOTIFICATIONS_MOST;
        link->count--;
    }
    struct spacebridge_notification *slot =
        &link->notifications[(link->first + link->count++) % LINK_NOTIFICATIONS_MOST];
    text_copy(slot->method, sizeof slot->method, &message->method);
    slot->hresult = hr;
    text_copy(slot->message, sizeof slot->message, text);
}

/* The outcome that a response tells: its HRESULT, with values on success (at least outs of them),
 * with text on failure. False when it is of the wrong shape. */
static bool outcome_read(const struct message *response, uint32_t outs, HRESULT *hr,
                         struct link_result *values, const msgpack_object **text)
{
    const msgpack_object *result = &response->result;

    if (response->error.type != MSGPACK_OBJECT_NIL)
        return failure_read(&response->error, hr, text);
    *text = NULL;
    if (result->type != MSGPACK_OBJECT_ARRAY || result->via.array.size < outs + 1 ||
        result->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        result->via.array.ptr[0].via.u64 > INT32_MAX)
        return false;
    *hr = (HRESULT)result->via.array.ptr[0].via.u64;
    *values = (struct link_result){.values = result->via.array.ptr + 1,
                                   .count = result->via.array.size - 1};
    return true;
}

/* The queue */

static struct link_queued *queue_at(const struct link *link, size_t index)
{
    return &link->queue[(link->queue_first + index) % link->queue_room];
}

/* Is this the response to the queued request whose turn it is? */
static bool queue_answers(const struct link *link, const struct message *message)
{
    return link->queue_answered < link->queue_count &&
           queue_at(link, link->queue_answered)->id == message->id;
}

/* Keep the outcome for whoever collects it. False when the response makes no sense. */
static bool queue_answered(struct link *link, const struct message *response)
{
    struct link_queued *queued = queue_at(link, link->queue_answered);
    struct link_result result;
    const msgpack_object *text, *value;

    if (!outcome_read(response, queued->expect == LINK_EXPECT_NOTHING ? 0 : 1, &queued->hr, &result,
                      &text))
        return false;
    if (text) {
        size_t length =
            text->via.str.size < LINK_MESSAGE_SIZE ? text->via.str.size : LINK_MESSAGE_SIZE - 1;
        queued->message = strndup(length > 0 ? text->via.str.ptr : "", length);
    } else if (queued->expect == LINK_EXPECT_NUMBER) {
        value = &result.values[0];
        if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 > queued->most)
            return false;
        queued->value = value->via.u64;
    } else if (queued->expect == LINK_EXPECT_BIN) {
        value = &result.values[0];
        if (value->type != MSGPACK_OBJECT_BIN || value->via.bin.size > queued->most)
            return false;
        if (value->via.bin.size > 0)
            memcpy(queued->into, value->via.bin.ptr, value->via.bin.size);
        queued->value = value->via.bin.size;
    }
    link->queue_answered++;
    return true;
}

/* Receiving */

/* Take the first whole message out of the input, where there is one: a notification is kept, the
 * response to the last request becomes link->response. True when one was taken and there may be
 * more. */
static bool take_message(struct link *link)
{
    struct message message;
    const char *fault;

    switch (frame_scan(&link->scanner, buffer_bytes(&link->input), link->input.length)) {
    case FRAME_INCOMPLETE:
        return false;
    case FRAME_BAD:
        link_lost(link, "the daemon does not speak the protocol: %s", link->scanner.fault);
        return false;
    case FRAME_COMPLETE:
        break;
    }
    size_t size = link->scanner.scanned;
    frame_scanner_init(&link->scanner);
    if (!message_decode(&message, buffer_bytes(&link->input), size, &fault)) {
        link_lost(link, "the daemon does not speak the protocol: %s", fault);
        return false;
    }
    if (message.type == MESSAGE_NOTIFICATION) {
        notified(link, &message);
    } else if (message.type == MESSAGE_RESPONSE && link->awaited && message.id == link->id) {
        message_move(&link->response, &message);
        link->answered = true;
        link->awaited = false;
        link->held = size;
        return false;
    } else if (message.type == MESSAGE_RESPONSE && queue_answers(link, &message)) {
        if (!queue_answered(link, &message))
            link_lost(link,
                      "the daemon does not speak the protocol: a response of the wrong shape");
    } else {
        link_lost(link, "the daemon answered what was not asked");
    }
    message_free(&message);
    if (link->fd >= 0)
        buffer_consume(&link->input, size);
    return link->fd >= 0;
}

/* Read what is there. False when the connection is lost. */
static bool receive(struct link *link)
{
    bool large = link->scanner.payload > READ_SMALL;
    ssize_t count = buffer_read_fd(&link->input, link->fd, large ? READ_LARGE : READ_SMALL);

    if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    if (count == 0)
        link_lost(link, "the daemon closed the connection");
    else
        link_lost(link, "the connection was lost: %s", strerror(errno));
    return false;
}

/* What the daemon writes before the bytes of a large bin result: array, response, id, no error,
 * array, HRESULT, bin 32. Anything else goes the ordinary way. */
#define BULK_HEAD 15u

static uint32_t big_endian32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Is a large result that has just begun to come the one that has a sink? Its place, and how long it
 * is. */
static uint8_t *bulk_begins(const struct link *link, size_t *length)
{
    static const uint8_t before[] = {0x94, MESSAGE_RESPONSE, 0xce}, after[] = {0xc0, 0x92};
    const uint8_t *bytes = buffer_bytes(&link->input);

    if (link->scanner.payload <= READ_SMALL || link->input.length < BULK_HEAD ||
        memcmp(bytes, before, sizeof before) != 0 || memcmp(bytes + 7, after, sizeof after) != 0 ||
        bytes[9] > 0x7f || bytes[10] != 0xc6)
        return NULL;
    uint32_t id = big_endian32(bytes + 3);
    *length = big_endian32(bytes + 11);
    if (link->scanner.owed > 0 ||
        link->scanner.scanned + link->scanner.payload != BULK_HEAD + *length)
        return NULL;
    if (link->awaited && id == link->id)
        return link->sink && *length <= link->sink_most ? link->sink : NULL;
    if (link->queue_answered < link->queue_count) {
        const struct link_queued *queued = queue_at(link, link->queue_answered);
        if (queued->id == id && queued->expect == LINK_EXPECT_BIN && *length <= queued->most)
            return queued->into;
    }
    return NULL;
}

/* Wait for the socket, until deadline (< 0: for ever). The events, 0 when time is over. */
static int wait_ready(struct link *link, short events, double deadline)
{
    for (;;) {
        struct pollfd ready = {.fd = link->fd, .events = events};
        int milliseconds = -1;
        if (deadline >= 0) {
            double left = deadline - now();
            milliseconds = left <= 0 ? 0 : left > 1e6 ? 1000000000 : (int)(left * 1000) + 1;
        }
        int count = poll(&ready, 1, milliseconds);
        if (count > 0)
            return ready.revents;
        if (count == 0 && deadline >= 0 && now() >= deadline)
            return 0;
        if (count < 0 && errno != EINTR) {
            link_lost(link, "poll: %s", strerror(errno));
            return 0;
        }
    }
}

/* Nothing came for too long. */
static void silent(struct link *link)
{
    link_lost(link, "the daemon has been silent for too long");
}

/* Receive such a result to its end. True: one has come. */
static bool take_bulk(struct link *link, double allowed)
{
    size_t length = 0, have;
    uint8_t *into = link->fd >= 0 ? bulk_begins(link, &length) : NULL;

    if (!into)
        return false;
    HRESULT hr = buffer_bytes(&link->input)[9];
    bool awaited = link->awaited && big_endian32(buffer_bytes(&link->input) + 3) == link->id;
    have = link->input.length - BULK_HEAD; /* less than all: the message is incomplete */
    memcpy(into, buffer_bytes(&link->input) + BULK_HEAD, have);
    buffer_clear(&link->input);
    frame_scanner_init(&link->scanner);
    while (have < length) {
        ssize_t count = recv(link->fd, into + have, length - have, MSG_DONTWAIT);
        if (count > 0) {
            have += (size_t)count;
        } else if (count == 0) {
            link_lost(link, "the daemon closed the connection");
            return false;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (wait_ready(link, POLLIN, allowed < 0 ? -1 : now() + allowed) == 0)
                silent(link);
        } else if (errno != EINTR) {
            link_lost(link, "the connection was lost: %s", strerror(errno));
        }
        if (link->fd < 0)
            return false;
    }
    if (awaited) {
        link->sunk = (msgpack_object){.type = MSGPACK_OBJECT_BIN,
                                      .via.bin = {.ptr = (char *)into, .size = (uint32_t)length}};
        link->sunk_hr = hr;
        link->awaited = false;
    } else {
        struct link_queued *queued = queue_at(link, link->queue_answered++);
        queued->hr = hr;
        queued->value = length;
    }
    return true;
}

/* Sending failed: what the daemon said before it closed is worth more than the errno. */
static void last_words(struct link *link, int error)
{
    double deadline = now() + 1;

    while (link->fd >= 0 && wait_ready(link, POLLIN, deadline) != 0) {
        if (!receive(link))
            break;
        while (take_message(link))
            ;
        response_free(link);
    }
    link_lost(link, "the connection was lost: %s", strerror(error));
}

/* Send what is left of first and body. False: lost, or nothing could be sent now. */
static bool send_some(struct link *link, const struct buffer *first, const uint8_t *body,
                      size_t size, size_t *sent)
{
    size_t head = first->length;
    struct iovec parts[2];
    int count = 0;

    if (*sent < head)
        parts[count++] = (struct iovec){.iov_base = (void *)(buffer_bytes(first) + *sent),
                                        .iov_len = head - *sent};
    size_t of_body = *sent > head ? *sent - head : 0;
    if (of_body < size)
        parts[count++] =
            (struct iovec){.iov_base = (void *)(body + of_body), .iov_len = size - of_body};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    ssize_t done = sendmsg(link->fd, &message, MSG_NOSIGNAL);
    if (done >= 0) {
        *sent += (size_t)done;
        return true;
    }
    if (errno != EAGAIN && errno != EINTR)
        last_words(link, errno);
    return false;
}

/* Send first and body, and receive meanwhile: a daemon that has something to say must not have to
 * wait for us while we wait for it. */
static void send_all(struct link *link, const struct buffer *first, const void *body, size_t size,
                     double allowed)
{
    size_t sent = 0;

    while (link->fd >= 0 && sent < first->length + size) {
        if (send_some(link, first, body, size, &sent) || link->fd < 0)
            continue;
        int ready = wait_ready(link, POLLIN | POLLOUT, allowed < 0 ? -1 : now() + allowed);
        if (ready == 0)
            silent(link);
        else if ((ready & POLLIN) && receive(link))
            while (take_message(link))
                ;
        if (link->answered) {
            response_free(link);
            link_lost(link, "the daemon answered what was not asked");
        }
    }
}

static void wait_response(struct link *link, double allowed)
{
    while (link->fd >= 0) {
        while (take_message(link) || take_bulk(link, allowed))
            ;
        if (link->fd < 0 || !link->awaited)
            return;
        if (wait_ready(link, POLLIN, allowed < 0 ? -1 : now() + allowed) == 0)
            silent(link);
        else
            receive(link);
    }
}

HRESULT link_queue_send(struct link *link)
{
    if (link->outgoing.length > 0)
        send_all(link, &link->outgoing, NULL, 0, link->silence);
    buffer_clear(&link->outgoing);
    return link->fd < 0 ? E_UNEXPECTED : S_OK;
}

static HRESULT outcome(struct link *link, uint32_t outs, struct link_result *result)
{
    const msgpack_object *text;
    HRESULT hr;

    if (outcome_read(&link->response, outs, &hr, result, &text)) {
        if (text)
            text_copy(link->message, sizeof link->message, text);
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
    send_all(link, &link->request, body, size, link->silence);
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

/* Queueing */

msgpack_packer *link_queue_begin(struct link *link, const char *method, uint32_t params)
{
    return begin(link, method, params, pack_write_outgoing);
}

static bool queue_push(struct link *link, const struct link_queued *queued)
{
    if (link->queue_count == link->queue_room) {
        size_t room = link->queue_room > 0 ? link->queue_room * 2 : 64;
        struct link_queued *queue = calloc(room, sizeof *queue);
        if (!queue)
            return false;
        for (size_t i = 0; i < link->queue_count; i++)
            queue[i] = *queue_at(link, i);
        free(link->queue);
        link->queue = queue;
        link->queue_room = room;
        link->queue_first = 0;
    }
    link->queue_count++;
    *queue_at(link, link->queue_count - 1) = *queued;
    return true;
}

/* Take in what has arrived, without waiting. */
static void receive_arrived(struct link *link)
{
    if (link->fd >= 0 && link->queue_answered < link->queue_count && receive(link))
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

    if (link->fd < 0) {
        buffer_free(&link->outgoing);
        return E_UNEXPECTED;
    }
    if (!link->no_memory && size <= BODY_COPIED && !buffer_append(&link->outgoing, body, size))
        link->no_memory = true;
    if (link->no_memory || !queue_push(link, &queued)) {
        /* Half a request among whole ones cannot be taken back. */
        link_lost(link, "out of memory");
        return E_OUTOFMEMORY;
    }
    link->ticket++;
    if (ticket)
        *ticket = queued.ticket;
    if (size > BODY_COPIED) {
        send_all(link, &link->outgoing, body, size, link->silence);
        buffer_clear(&link->outgoing);
        receive_arrived(link);
    } else if (link->outgoing.length >= GATHER_MOST) {
        link_queue_send(link);
        receive_arrived(link);
    }
    return link->fd < 0 ? E_UNEXPECTED : S_OK;
}

bool link_queue_collect(struct link *link, struct link_queued *outcome)
{
    response_free(link);
    if (link->fd >= 0)
        link->message[0] = '\0';
    if (link->queue_count == 0)
        return false;
    if (link->queue_answered == 0)
        link_queue_send(link);
    while (link->fd >= 0 && link->queue_answered == 0) {
        while (take_message(link) || take_bulk(link, link->silence))
            ;
        if (link->fd < 0 || link->queue_answered > 0)
            break;
        if (wait_ready(link, POLLIN, link->silence < 0 ? -1 : now() + link->silence) == 0)
            silent(link);
        else
            receive(link);
    }
    *outcome = *queue_at(link, 0);
    if (link->queue_answered > 0) {
        link->queue_answered--;
        snprintf(link->message, sizeof link->message, "%s",
                 outcome->message ? outcome->message : "");
    } else {
        outcome->hr = E_UNEXPECTED; /* lost; link->message says how */
    }
    free(outcome->message);
    outcome->message = NULL;
    link->queue_first = (link->queue_first + 1) % link->queue_room;
    link->queue_count--;
    return true;
}

bool link_notification(struct link *link, double timeout,
                       struct spacebridge_notification *notification)
{
    double deadline = timeout < 0 ? -1 : now() + timeout;

    response_free(link);
    link_queue_send(link);
    while (link->fd >= 0 && link->count == 0) {
        if (take_message(link))
            continue;
        if (link->fd >= 0) {
            if (wait_ready(link, POLLIN, deadline) == 0)
                break;
            receive(link);
        }
    }
    if (link->count == 0)
        return false;
    *notification = link->notifications[link->first];
    link->first = (link->first + 1) % LINK_NOTIFICATIONS_MOST;
    link->count--;
    return true;
}
