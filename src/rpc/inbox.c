/* Hides where one request ends and the next begins, and how their bytes are moved as little as can
 * be. */
#include "rpc/inbox.h"

#include "base/log.h"
#include "rpc/trim.h"

#include <stdlib.h>
#include <sys/types.h>

/* Bytes read at a time: few for the many small frames of an idle connection, many inside a large
 * frame. */
#define READ_SMALL ((size_t)16 * 1024)
#define READ_LARGE ((size_t)1024 * 1024)

void inbox_init(struct inbox *inbox, const char *name)
{
    *inbox = (struct inbox){.name = name};
    frame_scanner_init(&inbox->scanner);
}

void inbox_free(struct inbox *inbox)
{
    buffer_free(&inbox->bytes);
    free(inbox->queue);
}

ssize_t inbox_read(struct inbox *inbox, int fd)
{
    bool large = inbox->scanner.payload > READ_SMALL || inbox->bulk.missing > READ_SMALL;

    return buffer_read_fd(&inbox->bytes, fd, large ? READ_LARGE : READ_SMALL);
}

bool inbox_full(const struct inbox *inbox)
{
    return inbox->bytes.length >= INBOX_BYTES_MOST || inbox->count >= INBOX_REQUESTS_MOST;
}

bool inbox_partial(const struct inbox *inbox)
{
    return inbox->bytes.length > inbox->whole || inbox->bulk.missing > 0;
}

const struct inbox_request *inbox_at(const struct inbox *inbox, size_t index)
{
    return &inbox->queue[(inbox->first + index) % inbox->room];
}

static bool queue_push(struct inbox *inbox, uint32_t length, bool taken)
{
    if (inbox->count == inbox->room) {
        size_t room = inbox->room > 0 ? inbox->room * 2 : 16;
        struct inbox_request *queue = calloc(room, sizeof *queue);
        if (!queue)
            return false;
        for (size_t i = 0; i < inbox->count; i++)
            queue[i] = inbox->queue[(inbox->first + i) % inbox->room];
        free(inbox->queue);
        inbox->queue = queue;
        inbox->room = room;
        inbox->first = 0;
    }
    inbox->queue[(inbox->first + inbox->count) % inbox->room] =
        (struct inbox_request){.length = length, .taken = taken};
    inbox->count++;
    return true;
}

void inbox_pop(struct inbox *inbox)
{
    uint32_t length = inbox->queue[inbox->first].length;

    buffer_consume(&inbox->bytes, length);
    inbox->whole -= length;
    rpc_trim(&inbox->bytes);
    inbox->first = (inbox->first + 1) % inbox->room;
    if (--inbox->count == 0 && inbox->room > 64) {
        free(inbox->queue);
        inbox->queue = NULL;
        inbox->room = inbox->first = 0;
    }
}

/* The bytes behind what is whole belong to the write that is under way. */
static void take_bulk(struct inbox *inbox)
{
    size_t fresh = inbox->bytes.length - inbox->whole;

    if (fresh > inbox->bulk.missing)
        fresh = inbox->bulk.missing;
    inbox->bulk.missing -= fresh;
    inbox->bulk_here += fresh;
    inbox->whole += fresh;
}

/* A large write that nothing waits before need not be there as a whole. */
static void begin_bulk(struct inbox *inbox)
{
    if (inbox->bulk.call || inbox->count > 0 || inbox->whole > 0)
        return;
    size_t head = bulk_write_begin(&inbox->bulk, buffer_bytes(&inbox->bytes), inbox->bytes.length,
                                   &inbox->scanner);
    if (head == 0)
        return;
    log_trace("rpc", "%s: %s, as it comes", inbox->name, inbox->bulk.call);
    buffer_consume(&inbox->bytes, head);
    frame_scanner_init(&inbox->scanner);
    take_bulk(inbox);
}

/* One whole request is there: it waits for its turn, unless it overtakes. False: out of memory. */
static bool found(struct inbox *inbox, size_t size, enum inbox_overtaking overtaking)
{
    if (overtaking != INBOX_WAITS && inbox->whole == 0) {
        buffer_consume(&inbox->bytes, size);
        rpc_trim(&inbox->bytes);
        return true;
    }
    if (!queue_push(inbox, (uint32_t)size, overtaking != INBOX_WAITS))
        return false;
    inbox->whole += size;
    return true;
}

enum inbox_result inbox_scan(struct inbox *inbox, inbox_overtake *overtake, void *context)
{
    enum inbox_overtaking overtaking = INBOX_WAITS;

    while (overtaking != INBOX_STOP && inbox->count < INBOX_REQUESTS_MOST &&
           inbox->bytes.length > inbox->whole) {
        if (inbox->bulk.call && inbox->bulk.missing > 0) {
            take_bulk(inbox);
            continue;
        }
        const uint8_t *bytes = buffer_bytes(&inbox->bytes) + inbox->whole;
        switch (frame_scan(&inbox->scanner, bytes, inbox->bytes.length - inbox->whole)) {
        case FRAME_INCOMPLETE:
            begin_bulk(inbox);
            return INBOX_GOOD;
        case FRAME_BAD:
            return INBOX_BROKEN;
        case FRAME_COMPLETE:
            break;
        }
        size_t size = inbox->scanner.scanned;
        frame_scanner_init(&inbox->scanner);
        overtaking = overtake(context, bytes, size);
        if (!found(inbox, size, overtaking))
            return INBOX_NO_MEMORY;
    }
    return INBOX_GOOD;
}

bool inbox_take_request(struct inbox *inbox, struct buffer *into)
{
    uint32_t length = inbox_at(inbox, 0)->length;

    buffer_clear(into);
    if (inbox->bytes.length == length) {
        struct buffer empty = *into;
        *into = inbox->bytes;
        inbox->bytes = empty;
    } else if (!buffer_append(into, buffer_bytes(&inbox->bytes), length)) {
        return false;
    }
    inbox_pop(inbox);
    return true;
}

bool inbox_take_piece(struct inbox *inbox, size_t length, struct buffer *into)
{
    const uint8_t *bytes = buffer_bytes(&inbox->bytes);
    size_t behind = inbox->bytes.length - length;

    buffer_clear(into);
    /* The few bytes behind are copied rather than the many. */
    if (behind < length) {
        if (!buffer_append(into, bytes + length, behind))
            return false;
        struct buffer rest = *into;
        *into = inbox->bytes;
        inbox->bytes = rest;
    } else {
        if (!buffer_append(into, bytes, length))
            return false;
        buffer_consume(&inbox->bytes, length);
    }
    inbox->whole -= length;
    inbox->bulk_here -= length;
    return true;
}

void inbox_end_bulk(struct inbox *inbox)
{
    inbox->bulk = (struct bulk_write){0};
    inbox->whole -= inbox->bulk_here;
    buffer_consume(&inbox->bytes, inbox->bulk_here);
    inbox->bulk_here = 0;
}
