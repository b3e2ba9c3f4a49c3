/* Hides when bytes are written, and how much is said to a peer that does not read. */
#include "rpc/outbox.h"

#include "base/log.h"
#include "rpc/answer.h"
#include "rpc/trim.h"
#include "wire/protocol.h"

#include <errno.h>
#include <string.h>

/* Answers to requests that came together go out together, up to this many bytes. */
#define ANSWERS_TOGETHER ((size_t)64 * 1024)
/* Answers to calls that overtook, and notifications: what may wait in the output beyond one
 * response. */
#define URGENT_MOST ((size_t)1024 * 1024)

size_t outbox_length(const struct outbox *outbox)
{
    return outbox->frames.length;
}

bool outbox_urgent_full(const struct outbox *outbox)
{
    return outbox->urgent >= URGENT_MOST;
}

void outbox_watch(struct outbox *outbox)
{
    if (!outbox->closed && outbox->frames.length > 0)
        ev_io_start(outbox->loop, &outbox->writer);
    else
        ev_io_stop(outbox->loop, &outbox->writer);
}

void outbox_write(struct outbox *outbox)
{
    size_t written = 0;

    /* A peer that reads as fast as we write would keep us here. */
    while (!outbox->closed && outbox->frames.length > 0 && written < OUTBOX_TURN_BYTES) {
        ssize_t count = buffer_write_fd(&outbox->frames, outbox->fd);
        if (count >= 0) {
            written += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            outbox->listener.lost(outbox->listener.context, strerror(errno));
        break;
    }
    if (outbox->frames.length == 0) {
        outbox->urgent = 0;
        rpc_trim(&outbox->frames);
    }
    outbox->listener.changed(outbox->listener.context);
}

static void writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    outbox_write(watcher->data);
}

/* Put frames, which is left empty, behind what is to be sent. A large response is handed over, not
 * copied, where nothing waits. */
static void append_frames(struct outbox *outbox, struct buffer *frames)
{
    if (outbox->closed) {
        buffer_clear(frames);
    } else if (outbox->frames.length == 0) {
        struct buffer empty = outbox->frames;
        outbox->frames = *frames;
        *frames = empty;
    } else if (!buffer_append(&outbox->frames, buffer_bytes(frames), frames->length)) {
        log_error("rpc", "%s: no memory for an answer of %zu bytes", outbox->name, frames->length);
        outbox->listener.lost(outbox->listener.context, "out of memory");
    }
    buffer_clear(frames);
    rpc_trim(frames);
}

void outbox_send_urgent(struct outbox *outbox, struct buffer *frames)
{
    outbox->urgent += frames->length;
    append_frames(outbox, frames);
    outbox_write(outbox);
}

void outbox_send_answer(struct outbox *outbox, struct buffer *frames, bool more)
{
    append_frames(outbox, frames);
    if (!more || outbox->frames.length >= ANSWERS_TOGETHER)
        outbox_write(outbox);
    else if (!outbox->closed && !ev_is_active(&outbox->writer))
        ev_io_start(outbox->loop, &outbox->writer);
}

/* At most one for each call, so it needs no bound of its own: further calls wait for the output as
 * it is. */
void outbox_warn(struct outbox *outbox, const struct value_bytes *call, const char *text)
{
    if (!outbox->closed && !answer_notify_warning(&outbox->frames, call, text))
        log_warning("rpc", "%s: no memory for a warning: %s", outbox->name, text);
}

void outbox_error(struct outbox *outbox, HRESULT hr, const char *message)
{
    answer_notify(&outbox->frames, WIRE_NOTIFY_ERROR, hr, message);
    outbox_write(outbox);
}

void outbox_flush_failed(struct outbox *outbox, HRESULT hr, const char *message)
{
    size_t before = outbox->frames.length;

    if (outbox->closed)
        return;
    if (outbox->urgent >= URGENT_MOST ||
        !answer_notify(&outbox->frames, WIRE_NOTIFY_FLUSH_FAILED, hr, message)) {
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", outbox->name,
                    message);
        return;
    }
    outbox->urgent += outbox->frames.length - before;
    outbox_write(outbox);
}

void outbox_state_changed(struct outbox *outbox, uint32_t mask, enum space_state state,
                          const char *text)
{
    size_t before = outbox->frames.length;
    uint64_t status = state == SPACE_STATE_RUNNING  ? DEBUG_STATUS_GO
                      : state == SPACE_STATE_HALTED ? DEBUG_STATUS_BREAK
                                                    : DEBUG_STATUS_NO_DEBUGGEE;
    bool whole = true;

    if (outbox->closed || mask == 0)
        return;
    if (mask & DEBUG_EVENT_CHANGE_ENGINE_STATE)
        whole = outbox->urgent < URGENT_MOST &&
                answer_notify_change(&outbox->frames, WIRE_NOTIFY_ENGINE_STATE,
                                     DEBUG_CES_EXECUTION_STATUS, status, text);
    if (mask & DEBUG_EVENT_CHANGE_DEBUGGEE_STATE && state == SPACE_STATE_HALTED)
        whole = whole && outbox->urgent < URGENT_MOST &&
                answer_notify_change(&outbox->frames, WIRE_NOTIFY_DEBUGGEE_STATE, DEBUG_CDS_ALL, 0,
                                     text);
    if (!whole)
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", outbox->name, text);
    outbox->urgent += outbox->frames.length - before;
    outbox_write(outbox);
}

void outbox_close(struct outbox *outbox)
{
    outbox->closed = true;
}

void outbox_init(struct outbox *outbox, const char *name, struct ev_loop *loop, int fd,
                 const struct outbox_listener *listener)
{
    *outbox = (struct outbox){.name = name, .loop = loop, .fd = fd, .listener = *listener};
    ev_io_init(&outbox->writer, writable, fd, EV_WRITE);
    outbox->writer.data = outbox;
}

void outbox_free(struct outbox *outbox)
{
    buffer_free(&outbox->frames);
}
