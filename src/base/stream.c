/* Hides the watchers, the clock and the system calls of one socket. */
#include "base/stream.h"

#include "base/busy_poll.h"
#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_readable(void *context)
{
    struct stream *stream = context;
    void (*turn)(void *context) = stream->events->turn;
    void *owner = stream->context;
    stream_receive(stream); /* without a turn the owner may free it there */
    if (turn)
        turn(owner);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct stream *stream = watcher->data;
    (void)loop;
    (void)events;
    if (stream->events->turn)
        stream->events->turn(stream->context);
    else
        stream_flush(stream);
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct stream *stream = timer->data;
    (void)events;
    /* It is not set anew with each sign of life, and the loop's time may have been old when it was
     * set. */
    double left = stream->heard + stream->timeout - clock_now();
    if (left > 0.001) {
        ev_timer_set(timer, left, 0.);
        ev_timer_start(loop, timer);
        return;
    }
    stream->events->silent(stream->context);
}

void stream_init(struct stream *stream, struct ev_loop *loop, double timeout, unsigned pace_us,
                 const struct stream_events *events, void *context)
{
    *stream = (struct stream){
        .loop = loop, .events = events, .context = context, .timeout = timeout, .fd = -1};
    paced_reader_init(&stream->reader, loop, pace_us, on_readable, stream);
    ev_init(&stream->writer, on_writable);
    ev_init(&stream->silence, on_silence);
    stream->writer.data = stream->silence.data = stream;
}

void stream_free(struct stream *stream)
{
    stream_close(stream);
    paced_reader_free(&stream->reader);
}

int stream_dial(struct stream *stream, const struct endpoint *endpoint, struct failure *failure)
{
    return dial_endpoint(&stream->dial, endpoint, stream->timeout, failure);
}

void stream_call_off(struct stream *stream)
{
    dial_call_off(&stream->dial);
}

void stream_adopt(struct stream *stream, int fd)
{
    stream->fd = fd;
    ev_io_set(&stream->writer, fd, EV_WRITE);
    paced_reader_start(&stream->reader, fd);
}

void stream_forget_reason(struct stream *stream)
{
    stream->reason[0] = '\0';
}

void stream_fail(struct stream *stream, const char *format, ...)
{
    if (stream->fd < 0 || stream->failing)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(stream->reason, sizeof stream->reason, format, arguments);
    va_end(arguments);
    stream->failing = true;
    stream->events->failed(stream->context);
}

void stream_close(struct stream *stream)
{
    paced_reader_stop(&stream->reader);
    ev_io_stop(stream->loop, &stream->writer);
    ev_timer_stop(stream->loop, &stream->silence);
    if (stream->fd >= 0)
        close(stream->fd);
    stream->fd = -1;
    stream->failing = false;
    stream->scanned = 0;
    buffer_free(&stream->in);
    buffer_free(&stream->out);
}

void stream_receive(struct stream *stream)
{
    ssize_t count = buffer_read_fd(&stream->in, stream->fd, STREAM_READ_MOST);
    if (count > 0)
        stream->events->came(stream->context, (size_t)count);
    else if (count == 0)
        stream->events->ended(stream->context);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        stream_fail(stream, "%s%s", stream->events->read_failed, strerror(errno));
}

void stream_flush(struct stream *stream)
{
    while (stream->fd >= 0 && stream->out.length > 0) {
        ssize_t count = buffer_write_fd(&stream->out, stream->fd);
        if (count >= 0 || errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            stream_flush_later(stream);
            return;
        }
        int reason = errno;
        ev_io_stop(stream->loop, &stream->writer);
        stream_fail(stream, "%s%s", stream->events->write_failed, strerror(reason));
        return;
    }
    ev_io_stop(stream->loop, &stream->writer);
}

void stream_flush_later(struct stream *stream)
{
    ev_io_start(stream->loop, &stream->writer);
}

const char *stream_line(struct stream *stream, size_t *length)
{
    const char *start = (const char *)buffer_bytes(&stream->in);
    size_t fresh = stream->in.length - stream->scanned;
    const char *end = fresh > 0 ? memchr(start + stream->scanned, '\n', fresh) : NULL;
    stream->scanned = end ? (size_t)(end - start) : stream->in.length;
    *length = stream->scanned;
    return end ? start : NULL;
}

void stream_line_done(struct stream *stream, size_t length)
{
    buffer_consume(&stream->in, length + 1);
    stream->scanned = 0;
}

void stream_owe(struct stream *stream, bool owed)
{
    if (!owed) {
        ev_timer_stop(stream->loop, &stream->silence);
    } else if (!ev_is_active(&stream->silence)) {
        stream_heard(stream);
        ev_timer_set(&stream->silence, stream->timeout, 0.);
        ev_timer_start(stream->loop, &stream->silence);
    }
}

void stream_heard(struct stream *stream)
{
    stream->heard = clock_now();
}

void stream_set_busy_poll(struct stream *stream, struct busy_poll *poll)
{
    stream->busy_poll = poll;
}

void stream_pace(struct stream *stream, bool any, bool much)
{
    paced_reader_pace(&stream->reader, much);
    if (any && !much)
        busy_poll_expect(stream->busy_poll);
}
