#include "client/link.h"

#include "wire/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_MOST ((size_t)256 * 1024)
/* An empty buffer larger than this is given back. */
#define BUFFER_KEPT ((size_t)256 * 1024)

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
}

void link_free(struct link *link)
{
    response_free(link);
    hang_up(link);
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

msgpack_packer *link_begin(struct link *link, const char *method, uint32_t params)
{
    size_t length = strlen(method);

    response_free(link);
    if (link->fd >= 0)
        link->message[0] = '\0';
    link->no_memory = false;
    buffer_clear(&link->request);
    msgpack_packer_init(&link->packer, link, pack_write);
    msgpack_pack_array(&link->packer, 4);
    msgpack_pack_int(&link->packer, MESSAGE_REQUEST);
    msgpack_pack_uint32(&link->packer, ++link->id);
    msgpack_pack_str(&link->packer, length);
    msgpack_pack_str_body(&link->packer, method, length);
    msgpack_pack_array(&link->packer, params);
    return &link->packer;
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
    } else if (message.type == MESSAGE_RESPONSE && message.id == link->id && !link->answered) {
        link->response = message;
        link->answered = true;
        link->held = size;
        return false;
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
    ssize_t count = buffer_read_fd(&link->input, link->fd, READ_MOST);

    if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    if (count == 0)
        link_lost(link, "the daemon closed the connection");
    else
        link_lost(link, "the connection was lost: %s", strerror(errno));
    return false;
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

/* Send what is left of request and body. False: lost, or nothing could be sent now. */
static bool send_some(struct link *link, const uint8_t *body, size_t size, size_t *sent)
{
    size_t head = link->request.length;
    struct iovec parts[2];
    int count = 0;

    if (*sent < head)
        parts[count++] = (struct iovec){.iov_base = (void *)(buffer_bytes(&link->request) + *sent),
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

/* Send the request, and receive meanwhile: a daemon that has something to say must not have to wait
 * for us while we wait for it. */
static void send_request(struct link *link, const void *body, size_t size, double allowed)
{
    size_t sent = 0;

    while (link->fd >= 0 && sent < link->request.length + size) {
        if (send_some(link, body, size, &sent) || link->fd < 0)
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
        while (take_message(link))
            ;
        if (link->fd < 0 || link->answered)
            return;
        if (wait_ready(link, POLLIN, allowed < 0 ? -1 : now() + allowed) == 0)
            silent(link);
        else
            receive(link);
    }
}

/* The outcome that a response tells. */
static HRESULT outcome(struct link *link, uint32_t outs, struct link_result *result)
{
    const struct message *response = &link->response;
    const msgpack_object *values = response->result.via.array.ptr, *text;
    HRESULT hr;

    if (response->error.type != MSGPACK_OBJECT_NIL) {
        if (failure_read(&response->error, &hr, &text)) {
            text_copy(link->message, sizeof link->message, text);
            return hr;
        }
    } else if (response->result.type == MSGPACK_OBJECT_ARRAY &&
               response->result.via.array.size >= outs + 1 &&
               values[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
               values[0].via.u64 <= INT32_MAX) {
        *result = (struct link_result){.values = values + 1,
                                       .count = response->result.via.array.size - 1};
        return (HRESULT)values[0].via.u64;
    }
    link_lost(link, "the daemon does not speak the protocol: a response of the wrong shape");
    return E_UNEXPECTED;
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
    send_request(link, body, size, link->silence);
    wait_response(link, allowed);
    if (link->request.capacity > BUFFER_KEPT)
        buffer_free(&link->request);
    return link->fd < 0 ? E_UNEXPECTED : outcome(link, outs, result);
}

bool link_notification(struct link *link, double timeout,
                       struct spacebridge_notification *notification)
{
    double deadline = timeout < 0 ? -1 : now() + timeout;

    response_free(link);
    while (link->fd >= 0 && link->count == 0) {
        if (take_message(link))
            continue;
        if (link->answered) {
            response_free(link);
            link_lost(link, "the daemon answered what was not asked");
        } else if (link->fd >= 0) {
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
