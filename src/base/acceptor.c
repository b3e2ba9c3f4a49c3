/* Hides how connections are taken, and what happens when descriptors run out. */
#include "base/acceptor.h"

#include "base/endpoint.h"
#include "base/log.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

/* Peers that are accepted in one turn of the loop. */
#define ACCEPT_MOST 16
/* Seconds without accepting after the system had no descriptor or memory for a peer: the listener
 * stays readable, so trying at once would spin. */
#define ACCEPT_PAUSE 0.5
/* Seconds of silence after which TCP asks a peer's machine whether it is still there, and between
 * questions. */
#define KEEPALIVE_IDLE     60
#define KEEPALIVE_INTERVAL 10

struct acceptor_listening {
    struct acceptor *acceptor;
    char text[ENDPOINT_TEXT_SIZE];
    ev_io watcher;
    ev_timer pause;
    struct acceptor_listening *next;
};

/* A peer whose machine has gone without a word would be kept for ever. Fails on a unix socket,
 * which does not need it. */
static void keep_alive(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL;

    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
}

static void accept_some(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct acceptor_listening *listening = watcher->data;
    struct acceptor *acceptor = listening->acceptor;
    (void)events;

    for (int i = 0; i < ACCEPT_MOST; i++) {
        int fd = endpoint_accept(watcher->fd);
        if (fd >= 0) {
            keep_alive(fd);
            acceptor->peer(acceptor->context, fd, listening->text);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        log_error(acceptor->room, "%s: a peer cannot be accepted: %s", listening->text,
                  strerror(errno));
        ev_io_stop(loop, watcher);
        ev_timer_set(&listening->pause, ACCEPT_PAUSE, 0.);
        ev_timer_start(loop, &listening->pause);
        return;
    }
}

static void accept_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct acceptor_listening *listening = timer->data;
    (void)events;

    ev_io_start(loop, &listening->watcher);
}

void acceptor_init(struct acceptor *acceptor, struct ev_loop *loop, const char *room,
                   acceptor_fn *peer, void *context)
{
    *acceptor = (struct acceptor){.loop = loop, .room = room, .peer = peer, .context = context};
}

bool acceptor_listen(struct acceptor *acceptor, int listener_fd, const char *endpoint_text)
{
    struct acceptor_listening *listening = calloc(1, sizeof *listening);

    if (!listening)
        return false;
    listening->acceptor = acceptor;
    snprintf(listening->text, sizeof listening->text, "%s", endpoint_text);
    ev_io_init(&listening->watcher, accept_some, listener_fd, EV_READ);
    ev_timer_init(&listening->pause, accept_again, ACCEPT_PAUSE, 0.);
    listening->watcher.data = listening->pause.data = listening;
    ev_io_start(acceptor->loop, &listening->watcher);
    LL_APPEND(acceptor->listening, listening);
    return true;
}

void acceptor_stop(struct acceptor *acceptor)
{
    struct acceptor_listening *listening, *next;

    LL_FOREACH_SAFE(acceptor->listening, listening, next)
    {
        ev_io_stop(acceptor->loop, &listening->watcher);
        ev_timer_stop(acceptor->loop, &listening->pause);
        LL_DELETE(acceptor->listening, listening);
        free(listening);
    }
}
