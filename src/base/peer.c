/* Hides when a peer's socket is watched for what, and how long one is waited for that does not
 * read. */
#ifdef HAVE_CONFIG_H
#include <config.h> /* POLLRDHUP */
#endif
#include "base/peer.h"

#include "base/busy_poll.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Seconds between looks at a peer that we are not reading from: is it still there? */
#define LOOK_INTERVAL 1.0
/* Seconds that a peer has for taking in the last words before the connection is closed, and bytes
 * that it may send meanwhile, which are thrown away. */
#define LINGER     2.0
#define WASTE_MOST ((size_t)1024 * 1024)

bool peer_input_done(const struct peer *peer)
{
    return peer->input_ended || peer->gone || peer->stopping || peer->refused;
}

static void watch_io(struct peer *peer, ev_io *watcher, bool wanted)
{
    if (wanted)
        ev_io_start(peer->loop, watcher);
    else
        ev_io_stop(peer->loop, watcher);
}

void peer_watch(struct peer *peer)
{
    bool reading = !peer_input_done(peer) && !peer->owner.full(peer->owner.context);

    watch_io(peer, &peer->reader, reading);
    watch_io(peer, &peer->writer, !peer->gone && peer->output.length > 0);
    if (reading || peer->gone)
        ev_timer_stop(peer->loop, &peer->look_timer);
    else if (!ev_is_active(&peer->look_timer))
        ev_timer_again(peer->loop, &peer->look_timer);
}

void peer_changed(struct peer *peer)
{
    peer_watch(peer);
    task_cond_broadcast(&peer->changed);
}

void peer_gone(struct peer *peer)
{
    peer->gone = true;
    peer_changed(peer);
}

void peer_fail(struct peer *peer, const char *reason)
{
    peer->owner.lost(peer->owner.context, reason);
}

bool peer_stop(struct peer *peer)
{
    if (peer->stopping || peer->gone)
        return false;
    peer->stopping = true;
    peer_changed(peer);
    return true;
}

bool peer_hung_up(const struct peer *peer, bool half)
{
    struct pollfd look = {.fd = peer->fd, .events = half ? POLLRDHUP : 0};

    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR | POLLRDHUP)) != 0;
}

/* Output */

void peer_put(struct peer *peer, const void *bytes, size_t length)
{
    if (!peer->gone && !buffer_append(&peer->output, bytes, length))
        peer_fail(peer, "out of memory");
}

void peer_write(struct peer *peer)
{
    size_t written = 0;

    /* A peer that reads as fast as we write would keep us here. */
    while (!peer->gone && peer->output.length > 0 && written < PEER_TURN_BYTES) {
        ssize_t count = buffer_write_fd(&peer->output, peer->fd);
        if (count >= 0) {
            written += (size_t)count;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            peer_fail(peer, strerror(errno));
        break;
    }
    if (peer->owner.written)
        peer->owner.written(peer->owner.context);
    peer_changed(peer);
}

void peer_write_later(struct peer *peer)
{
    if (!peer->gone)
        watch_io(peer, &peer->writer, true);
}

/* The owner's task */

void peer_served(struct peer *peer, size_t requests, size_t bytes)
{
    peer->requests += requests;
    peer->bytes += bytes;
}

void peer_take_turns(struct peer *peer, size_t most)
{
    if (peer->requests < most && peer->bytes < PEER_TURN_BYTES)
        return;
    task_yield();
    peer->requests = peer->bytes = 0;
}

void peer_wait(struct peer *peer)
{
    if (peer->requests > 0)
        busy_poll_expect(peer->busy_poll);
    task_cond_wait(&peer->changed, -1);
    peer->requests = peer->bytes = 0;
}

/* Wait until the output is written. False: the peer is gone, or has had its time, which ends at
 * *end, for one that is turned out. */
static bool write_out(struct peer *peer, double *end)
{
    *end = clock_now() + LINGER;
    while (!peer->gone && peer->output.length > 0) {
        bool turned_out = peer->refused || peer->stopping;
        double left = *end - clock_now();
        if (turned_out && left <= 0)
            return false;
        task_cond_wait(&peer->changed, turned_out ? left : -1);
        if (!turned_out && peer->stopping)
            *end = clock_now() + LINGER;
    }
    return !peer->gone;
}

static void throw_away(const struct peer *peer, double end)
{
    uint8_t waste[4096];
    size_t wasted = 0;

    while (clock_now() < end && wasted < WASTE_MOST) {
        ssize_t count = recv(peer->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (count > 0)
            wasted += (size_t)count;
        else if (count == 0 || (errno != EAGAIN && errno != EINTR) ||
                 !task_wait_fd(peer->fd, EV_READ, end - clock_now()))
            return;
    }
}

void peer_linger(struct peer *peer, bool waste)
{
    double end;

    peer_watch(peer);
    if (!write_out(peer, &end) || !waste)
        return;
    shutdown(peer->fd, SHUT_WR);
    throw_away(peer, end);
}

/* The peer itself */

static void readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    const struct peer *peer = watcher->data;
    (void)loop;
    (void)events;
    peer->owner.readable(peer->owner.context);
}

static void writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    peer_write(watcher->data);
}

static void look_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    const struct peer *peer = timer->data;
    (void)loop;
    (void)events;
    peer->owner.look(peer->owner.context);
}

void peer_init(struct peer *peer, struct ev_loop *loop, int fd, struct busy_poll *busy_poll,
               const struct peer_owner *owner)
{
    *peer = (struct peer){.loop = loop, .fd = fd, .owner = *owner, .busy_poll = busy_poll};
    ev_io_init(&peer->reader, readable, fd, EV_READ);
    ev_io_init(&peer->writer, writable, fd, EV_WRITE);
    ev_timer_init(&peer->look_timer, look_again, LOOK_INTERVAL, LOOK_INTERVAL);
    peer->reader.data = peer->writer.data = peer->look_timer.data = peer;
}

void peer_end(struct peer *peer)
{
    close(peer->fd);
    buffer_free(&peer->output);
}
