/* Sending: requests, whole, while the daemon may have something to say. */
#include "client/link_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Sending failed: what the daemon said before it closed is worth more than the errno. */
static void last_words(struct link *link, int error)
{
    double deadline = clock_now() + 1;

    while (link->fd >= 0 && link_wait_ready(link, POLLIN, deadline) != 0) {
        if (!link_receive(link))
            break;
        while (link_take_message(link))
            ;
        link_response_free(link);
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

void link_send_all(struct link *link, const struct buffer *first, const void *body, size_t size,
                   double allowed)
{
    size_t sent = 0;

    while (link->fd >= 0 && sent < first->length + size) {
        if (send_some(link, first, body, size, &sent) || link->fd < 0)
            continue;
        int ready =
            link_wait_ready(link, POLLIN | POLLOUT, allowed < 0 ? -1 : clock_now() + allowed);
        if (ready == 0)
            link_silent(link);
        else if ((ready & POLLIN) && link_receive(link))
            while (link_take_message(link))
                ;
        if (link->answered) {
            link_response_free(link);
            link_lost(link, "the daemon answered what was not asked");
        }
    }
}
