/* Hides which answers go out together, and how much is said to a peer that does not read. */
#include "rpc/outbox.h"

#include "base/log.h"
#include "rpc/answer.h"
#include "rpc/trim.h"
#include "wire/protocol.h"

/* Answers to requests that came together go out together, up to this many bytes. */
#define ANSWERS_TOGETHER ((size_t)64 * 1024)
/* Answers to calls that overtook, and notifications: what may wait in the output beyond one
 * response. */
#define URGENT_MOST ((size_t)1024 * 1024)

bool outbox_urgent_full(const struct outbox *outbox)
{
    return outbox->urgent >= URGENT_MOST;
}

void outbox_written(struct outbox *outbox)
{
    if (outbox->peer->output.length == 0) {
        outbox->urgent = 0;
        rpc_trim(&outbox->peer->output);
    }
}

/* Put frames, which is left empty, behind what is to be sent. A large response is handed over, not
 * copied, where nothing waits. */
static void append_frames(struct outbox *outbox, struct buffer *frames)
{
    if (outbox->peer->gone) {
        buffer_clear(frames);
    } else if (outbox->peer->output.length == 0) {
        struct buffer empty = outbox->peer->output;
        outbox->peer->output = *frames;
        *frames = empty;
    } else if (!buffer_append(&outbox->peer->output, buffer_bytes(frames), frames->length)) {
        log_error("rpc", "%s: no memory for an answer of %zu bytes", outbox->name, frames->length);
        peer_fail(outbox->peer, "out of memory");
    }
    buffer_clear(frames);
    rpc_trim(frames);
}

void outbox_send_urgent(struct outbox *outbox, struct buffer *frames)
{
    outbox->urgent += frames->length;
    append_frames(outbox, frames);
    peer_write(outbox->peer);
}

void outbox_send_answer(struct outbox *outbox, struct buffer *frames, bool more)
{
    append_frames(outbox, frames);
    if (!more || outbox->peer->output.length >= ANSWERS_TOGETHER)
        peer_write(outbox->peer);
    else
        peer_write_later(outbox->peer);
}

/* At most one for each call, so it needs no bound of its own: further calls wait for the output as
 * it is. */
void outbox_warn(struct outbox *outbox, const struct value_bytes *call, const char *text)
{
    if (!outbox->peer->gone && !answer_notify_warning(&outbox->peer->output, call, text))
        log_warning("rpc", "%s: no memory for a warning: %s", outbox->name, text);
}

void outbox_error(struct outbox *outbox, HRESULT hr, const char *message)
{
    answer_notify(&outbox->peer->output, WIRE_NOTIFY_ERROR, hr, message);
    peer_write(outbox->peer);
}

void outbox_flush_failed(struct outbox *outbox, HRESULT hr, const char *message)
{
    size_t before = outbox->peer->output.length;

    if (outbox->peer->gone)
        return;
    if (outbox->urgent >= URGENT_MOST ||
        !answer_notify(&outbox->peer->output, WIRE_NOTIFY_FLUSH_FAILED, hr, message)) {
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", outbox->name,
                    message);
        return;
    }
    outbox->urgent += outbox->peer->output.length - before;
    peer_write(outbox->peer);
}

void outbox_state_changed(struct outbox *outbox, uint32_t mask, enum space_state state,
                          const char *text)
{
    size_t before = outbox->peer->output.length;
    uint64_t status = state == SPACE_STATE_RUNNING  ? DEBUG_STATUS_GO
                      : state == SPACE_STATE_HALTED ? DEBUG_STATUS_BREAK
                                                    : DEBUG_STATUS_NO_DEBUGGEE;
    bool whole = true;

    if (outbox->peer->gone || mask == 0)
        return;
    if (mask & DEBUG_EVENT_CHANGE_ENGINE_STATE)
        whole = outbox->urgent < URGENT_MOST &&
                answer_notify_change(&outbox->peer->output, WIRE_NOTIFY_ENGINE_STATE,
                                     DEBUG_CES_EXECUTION_STATUS, status, text);
    if (mask & DEBUG_EVENT_CHANGE_DEBUGGEE_STATE && state == SPACE_STATE_HALTED)
        whole = whole && outbox->urgent < URGENT_MOST &&
                answer_notify_change(&outbox->peer->output, WIRE_NOTIFY_DEBUGGEE_STATE,
                                     DEBUG_CDS_ALL, 0, text);
    if (!whole)
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", outbox->name, text);
    outbox->urgent += outbox->peer->output.length - before;
    peer_write(outbox->peer);
}

void outbox_init(struct outbox *outbox, const char *name, struct peer *peer)
{
    *outbox = (struct outbox){.name = name, .peer = peer};
}
