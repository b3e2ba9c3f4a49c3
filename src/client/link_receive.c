/* Receiving: messages, and large results straight into the memory that they are for. */
#include "client/link_internal.h"

#include "base/bytes.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Bytes read at a time, and inside a large message. */
#define READ_SMALL ((size_t)64 * 1024)
#define READ_LARGE ((size_t)1024 * 1024)

int link_wait_ready(struct link *link, short events, double deadline)
{
    for (;;) {
        struct pollfd ready = {.fd = link->fd, .events = events};
        int milliseconds = -1;
        if (deadline >= 0) {
            double left = deadline - clock_now();
            milliseconds = left <= 0 ? 0 : left > 1e6 ? 1000000000 : (int)(left * 1000) + 1;
        }
        int count = poll(&ready, 1, milliseconds);
        if (count > 0)
            return ready.revents;
        if (count == 0 && deadline >= 0 && clock_now() >= deadline)
            return 0;
        if (count < 0 && errno != EINTR) {
            link_lost(link, "poll: %s", strerror(errno));
            return 0;
        }
    }
}

void link_silent(struct link *link)
{
    link_lost(link, "the daemon has been silent for too long");
}

bool link_receive(struct link *link)
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

bool link_take_message(struct link *link)
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
        link_notified(link, &message);
    } else if (message.type == MESSAGE_RESPONSE && link->awaited && message.id == link->id) {
        message_move(&link->response, &message);
        link->answered = true;
        link->awaited = false;
        link->held = size;
        link_warning_settle(link, NULL);
        return false;
    } else if (message.type == MESSAGE_RESPONSE && link_queue_answers(link, &message)) {
        if (!link_queue_answer(link, &message))
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

/* What the daemon writes before the bytes of a large bin result: array, response, id, no error,
 * array, HRESULT, bin 32. Anything else goes the ordinary way. */
#define BULK_HEAD 15u

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
    uint32_t id = (uint32_t)bytes_load(bytes + 3, 4, true);
    *length = (uint32_t)bytes_load(bytes + 11, 4, true);
    if (link->scanner.owed > 0 ||
        link->scanner.scanned + link->scanner.payload != BULK_HEAD + *length)
        return NULL;
    if (link->awaited && id == link->id)
        return link->sink && *length <= link->sink_most ? link->sink : NULL;
    if (link->queue_answered < link->queue_count) {
        const struct link_queued *queued = link_queue_at(link, link->queue_answered);
        if (queued->id == id && queued->expect == LINK_EXPECT_BIN && *length <= queued->most)
            return queued->into;
    }
    return NULL;
}

bool link_take_bulk(struct link *link, double allowed)
{
    size_t length = 0, have;
    uint8_t *into = link->fd >= 0 ? bulk_begins(link, &length) : NULL;

    if (!into)
        return false;
    HRESULT hr = buffer_bytes(&link->input)[9];
    bool awaited = link->awaited && bytes_load(buffer_bytes(&link->input) + 3, 4, true) == link->id;
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
            if (link_wait_ready(link, POLLIN, allowed < 0 ? -1 : clock_now() + allowed) == 0)
                link_silent(link);
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
        link_warning_settle(link, NULL);
    } else {
        struct link_queued *queued = link_queue_at(link, link->queue_answered++);
        queued->hr = hr;
        queued->value = length;
        link_warning_settle(link, queued);
    }
    return true;
}
