/* Hides the socket: poll, partial reads and writes, where one message ends. */
#include "client/channel.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Bytes read at a time, and inside a large message. */
#define READ_SMALL ((size_t)64 * 1024)
#define READ_LARGE ((size_t)1024 * 1024)

void channel_init(struct channel *channel, int fd, char *reason)
{
    *channel = (struct channel){.fd = fd, .reason = reason};
    frame_scanner_init(&channel->scanner);
}

void channel_close(struct channel *channel)
{
    if (channel->fd >= 0)
        close(channel->fd);
    channel->fd = -1;
    buffer_free(&channel->input);
}

void channel_lost(struct channel *channel, const char *format, ...)
{
    va_list arguments;

    if (channel->fd < 0)
        return;
    va_start(arguments, format);
    vsnprintf(channel->reason, CLIENT_MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    channel_close(channel);
}

int channel_wait_ready(struct channel *channel, short events, double deadline)
{
    for (;;) {
        struct pollfd ready = {.fd = channel->fd, .events = events};
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
            channel_lost(channel, "poll: %s", strerror(errno));
            return 0;
        }
    }
}

/* Nothing came for too long: the connection is lost. */
static void lose_silent(struct channel *channel)
{
    channel_lost(channel, "the daemon has been silent for too long");
}

bool channel_receive(struct channel *channel)
{
    bool large = channel->scanner.payload > READ_SMALL;
    ssize_t count = buffer_read_fd(&channel->input, channel->fd, large ? READ_LARGE : READ_SMALL);

    if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)))
        return true;
    if (count == 0)
        channel_lost(channel, "the daemon closed the connection");
    else
        channel_lost(channel, "the connection was lost: %s", strerror(errno));
    return false;
}

static double deadline_of(double allowed)
{
    return allowed < 0 ? -1 : clock_now() + allowed;
}

void channel_wait_receive(struct channel *channel, double allowed)
{
    if (channel_wait_ready(channel, POLLIN, deadline_of(allowed)) == 0)
        lose_silent(channel);
    else
        channel_receive(channel);
}

size_t channel_next(struct channel *channel)
{
    struct frame_scanner *scanner = &channel->scanner;

    switch (frame_scan(scanner, buffer_bytes(&channel->input), channel->input.length)) {
    case FRAME_INCOMPLETE:
        return 0;
    case FRAME_BAD:
        channel_lost(channel, "the daemon does not speak the protocol: %s", scanner->fault);
        return 0;
    case FRAME_COMPLETE:
        break;
    }
    size_t size = scanner->scanned;
    frame_scanner_init(scanner);
    return size;
}

void channel_consume(struct channel *channel, size_t size)
{
    buffer_consume(&channel->input, size);
}

bool channel_large_begun(const struct channel *channel)
{
    return channel->scanner.payload > READ_SMALL;
}

bool channel_receive_into(struct channel *channel, size_t head, uint8_t *into, size_t length,
                          double allowed)
{
    size_t have = channel->input.length - head; /* less than all: the message is incomplete */

    memcpy(into, buffer_bytes(&channel->input) + head, have);
    buffer_clear(&channel->input);
    frame_scanner_init(&channel->scanner);
    while (have < length) {
        ssize_t count = recv(channel->fd, into + have, length - have, MSG_DONTWAIT);
        if (count > 0) {
            have += (size_t)count;
        } else if (count == 0) {
            channel_lost(channel, "the daemon closed the connection");
            return false;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (channel_wait_ready(channel, POLLIN, deadline_of(allowed)) == 0)
                lose_silent(channel);
        } else if (errno != EINTR) {
            channel_lost(channel, "the connection was lost: %s", strerror(errno));
        }
        if (channel->fd < 0)
            return false;
    }
    return true;
}

/* Sending failed: what the daemon said before it closed is worth more than the errno. */
static void last_words(struct channel *channel, int error, channel_arrived *arrived, void *context)
{
    double deadline = clock_now() + 1;

    while (channel->fd >= 0 && channel_wait_ready(channel, POLLIN, deadline) != 0) {
        if (!channel_receive(channel))
            break;
        arrived(context);
    }
    channel_lost(channel, "the connection was lost: %s", strerror(error));
}

/* Send what is left of first and body. False: lost, or nothing could be sent now. */
static bool send_some(struct channel *channel, const struct buffer *first, const uint8_t *body,
                      size_t size, size_t *sent, int *error)
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
    ssize_t done = sendmsg(channel->fd, &message, MSG_NOSIGNAL);
    if (done >= 0) {
        *sent += (size_t)done;
        return true;
    }
    *error = errno != EAGAIN && errno != EINTR ? errno : 0;
    return false;
}

void channel_send(struct channel *channel, const struct buffer *first, const void *body,
                  size_t size, double allowed, channel_arrived *arrived, void *context)
{
    size_t sent = 0;
    int error = 0;

    while (channel->fd >= 0 && sent < first->length + size) {
        if (send_some(channel, first, body, size, &sent, &error))
            continue;
        if (error != 0) {
            last_words(channel, error, arrived, context);
            continue;
        }
        int ready = channel_wait_ready(channel, POLLIN | POLLOUT, deadline_of(allowed));
        if (ready == 0)
            lose_silent(channel);
        else if ((ready & POLLIN) && channel_receive(channel) && arrived(context))
            channel_lost(channel, "the daemon answered what was not asked");
    }
}
