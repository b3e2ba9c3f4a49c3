/* What the peer is sent: answers, those that are ready together in one write, and notifications. */
#include "base/log.h"
#include "rpc/answer.h"
#include "rpc/connection_internal.h"
#include "wire/protocol.h"

#include <errno.h>
#include <string.h>

/* Answers to requests that came together go out together, up to this many bytes. */
#define ANSWERS_TOGETHER ((size_t)64 * 1024)

void rpc_output_write(struct rpc_connection *connection)
{
    size_t written = 0;

    /* A peer that reads as fast as we write would keep us here. */
    while (!connection->gone && connection->output.length > 0 && written < CONNECTION_TURN_BYTES) {
        ssize_t count = buffer_write_fd(&connection->output, connection->fd);
        if (count >= 0) {
            written += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            rpc_connection_lost(connection, strerror(errno));
        break;
    }
    if (connection->output.length == 0) {
        connection->urgent = 0;
        rpc_connection_trim(&connection->output);
    }
    rpc_connection_watch(connection);
    task_cond_broadcast(&connection->changed);
}

static void writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    rpc_output_write(watcher->data);
}

/* Put frames, which is left empty, behind what is to be sent. A large response is handed over, not
 * copied, where nothing waits. */
static void append_frames(struct rpc_connection *connection, struct buffer *frames)
{
    if (connection->gone) {
        buffer_clear(frames);
    } else if (connection->output.length == 0) {
        struct buffer empty = connection->output;
        connection->output = *frames;
        *frames = empty;
    } else if (!buffer_append(&connection->output, buffer_bytes(frames), frames->length)) {
        log_error("rpc", "%s: no memory for an answer of %zu bytes", connection->name,
                  frames->length);
        rpc_connection_lost(connection, "out of memory");
    }
    buffer_clear(frames);
    rpc_connection_trim(frames);
}

void rpc_output_send(struct rpc_connection *connection, struct buffer *frames)
{
    append_frames(connection, frames);
    rpc_output_write(connection);
}

void rpc_output_send_answer(struct rpc_connection *connection, struct buffer *frames, bool more)
{
    append_frames(connection, frames);
    if (!more || connection->output.length >= ANSWERS_TOGETHER)
        rpc_output_write(connection);
    else if (!connection->gone && !ev_is_active(&connection->writer))
        ev_io_start(connection->loop, &connection->writer);
}

/* At most one for each call, so it needs no bound of its own: further calls wait for the output as
 * it is. */
void rpc_output_warn(struct rpc_connection *connection, const msgpack_object_str *call)
{
    const char *text = session_take_warning(connection->session);

    if (text && !connection->gone && !answer_notify_warning(&connection->output, call, text))
        log_warning("rpc", "%s: no memory for a warning: %s", connection->name, text);
}

void rpc_output_flush_failed(void *context, HRESULT hr, const char *message)
{
    struct rpc_connection *connection = context;
    size_t before = connection->output.length;

    if (connection->gone)
        return;
    if (connection->urgent >= CONNECTION_URGENT_MOST ||
        !answer_notify(&connection->output, WIRE_NOTIFY_FLUSH_FAILED, hr, message)) {
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", connection->name,
                    message);
        return;
    }
    connection->urgent += connection->output.length - before;
    rpc_output_write(connection);
}

/* What IDebugEventCallbacks would hear, for a client that has asked for it. */
void rpc_output_state_changed(void *context, enum space_state state, const char *text)
{
    struct rpc_connection *connection = context;
    size_t before = connection->output.length;
    uint32_t mask = session_event_mask(connection->session);
    uint64_t status = state == SPACE_STATE_RUNNING  ? DEBUG_STATUS_GO
                      : state == SPACE_STATE_HALTED ? DEBUG_STATUS_BREAK
                                                    : DEBUG_STATUS_NO_DEBUGGEE;
    bool whole = true;

    if (connection->gone || mask == 0)
        return;
    if (mask & DEBUG_EVENT_CHANGE_ENGINE_STATE)
        whole = connection->urgent < CONNECTION_URGENT_MOST &&
                answer_notify_change(&connection->output, WIRE_NOTIFY_ENGINE_STATE,
                                     DEBUG_CES_EXECUTION_STATUS, status, text);
    if (mask & DEBUG_EVENT_CHANGE_DEBUGGEE_STATE && state == SPACE_STATE_HALTED)
        whole = whole && connection->urgent < CONNECTION_URGENT_MOST &&
                answer_notify_change(&connection->output, WIRE_NOTIFY_DEBUGGEE_STATE, DEBUG_CDS_ALL,
                                     0, text);
    if (!whole)
        log_warning("rpc", "%s: the peer does not read, so it is not told: %s", connection->name,
                    text);
    connection->urgent += connection->output.length - before;
    rpc_output_write(connection);
}

void rpc_output_init(struct rpc_connection *connection)
{
    ev_io_init(&connection->writer, writable, connection->fd, EV_WRITE);
    connection->writer.data = connection;
}
