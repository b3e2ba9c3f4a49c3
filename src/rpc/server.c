#include "rpc/server.h"

#include "base/buffer.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/task.h"
#include "rpc/answer.h"
#include "rpc/connection.h"
#include "wire/protocol.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
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

struct listening {
    struct rpc_server *server;
    char text[ENDPOINT_TEXT_SIZE];
    ev_io watcher;
    ev_timer pause;
    struct listening *next;
};

struct served {
    struct rpc_connection *connection;
    struct rpc_server *server;
    struct served *prev, *next;
};

struct rpc_server {
    struct ev_loop *loop;
    struct space *space;
    struct rpc_config config;
    struct listening *listenings;
    struct served *served;
    size_t count;
    uint64_t accepted;     /* ever, for names */
    struct task_cond gone; /* a connection has ended */
};

static void connection_ended(void *context, struct rpc_connection *connection)
{
    struct served *served = context;
    struct rpc_server *server = served->server;
    (void)connection;

    DL_DELETE(server->served, served);
    free(served);
    server->count--;
    task_cond_broadcast(&server->gone);
}

/* Say why there will be no connection, as far as a socket takes it at once, and close it. */
static void turn_away(int fd, HRESULT hr, const char *message)
{
    struct buffer frame = {0};
    uint8_t waste[4096];

    if (answer_notify(&frame, WIRE_NOTIFY_ERROR, hr, message))
        buffer_write_fd(&frame, fd);
    buffer_free(&frame);
    shutdown(fd, SHUT_WR);
    /* Closing with unread input could reset the connection before the peer has read our words. */
    while (recv(fd, waste, sizeof waste, MSG_DONTWAIT) == (ssize_t)sizeof waste)
        ;
    close(fd);
}

/* A peer whose machine has gone without a word would be kept for ever. Fails on a unix socket,
 * which does not need it. */
static void keep_alive(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL;

    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
}

static void serve(struct rpc_server *server, int fd, const char *listener)
{
    char name[32], message[128];

    if (server->count >= server->config.max_connections) {
        snprintf(message, sizeof message, "%u connections are served already, the most allowed",
                 server->config.max_connections);
        log_warning("rpc", "%s: a peer was turned away: %s", listener, message);
        turn_away(fd, E_ACCESSDENIED, message);
        return;
    }
    snprintf(name, sizeof name, "rpc#%" PRIu64, ++server->accepted);
    struct served *served = calloc(1, sizeof *served);
    if (!served)
        goto fail;
    served->server = server;
    struct rpc_connection_config config = {.space = server->space,
                                           .policy = server->config.policy,
                                           .name = name,
                                           .ended = connection_ended,
                                           .context = served};
    keep_alive(fd);
    served->connection = rpc_connection_new(server->loop, fd, &config);
    if (!served->connection)
        goto fail;
    DL_APPEND(server->served, served);
    server->count++;
    log_debug("rpc", "%s: connected on %s", name, listener);
    return;
fail:
    free(served);
    log_error("rpc", "%s: out of memory, a peer was turned away", listener);
    turn_away(fd, E_OUTOFMEMORY, "the daemon is out of memory");
}

static void accept_some(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct listening *listening = watcher->data;
    (void)events;

    for (int i = 0; i < ACCEPT_MOST; i++) {
        int fd = endpoint_accept(watcher->fd);
        if (fd >= 0) {
            serve(listening->server, fd, listening->text);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        log_error("rpc", "%s: a peer cannot be accepted: %s", listening->text, strerror(errno));
        ev_io_stop(loop, watcher);
        ev_timer_set(&listening->pause, ACCEPT_PAUSE, 0.);
        ev_timer_start(loop, &listening->pause);
        return;
    }
}

static void accept_again(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct listening *listening = timer->data;
    (void)events;

    ev_io_start(loop, &listening->watcher);
}

struct rpc_server *rpc_server_new(struct ev_loop *loop, struct space *space,
                                  const struct rpc_config *config)
{
    struct rpc_server *server = calloc(1, sizeof *server);

    if (!server)
        return NULL;
    server->loop = loop;
    server->space = space;
    server->config = *config;
    return server;
}

bool rpc_server_listen(struct rpc_server *server, int listener_fd, const char *endpoint_text)
{
    struct listening *listening = calloc(1, sizeof *listening);

    if (!listening)
        return false;
    listening->server = server;
    snprintf(listening->text, sizeof listening->text, "%s", endpoint_text);
    ev_io_init(&listening->watcher, accept_some, listener_fd, EV_READ);
    ev_timer_init(&listening->pause, accept_again, ACCEPT_PAUSE, 0.);
    listening->watcher.data = listening->pause.data = listening;
    ev_io_start(server->loop, &listening->watcher);
    LL_APPEND(server->listenings, listening);
    return true;
}

size_t rpc_server_connections(const struct rpc_server *server)
{
    return server->count;
}

static void stop_listening(struct rpc_server *server)
{
    struct listening *listening, *next;

    LL_FOREACH_SAFE(server->listenings, listening, next)
    {
        ev_io_stop(server->loop, &listening->watcher);
        ev_timer_stop(server->loop, &listening->pause);
        LL_DELETE(server->listenings, listening);
        free(listening);
    }
}

void rpc_server_stop(struct rpc_server *server)
{
    struct served *served;

    stop_listening(server);
    DL_FOREACH(server->served, served) rpc_connection_stop(served->connection);
    while (server->count > 0)
        task_cond_wait(&server->gone, -1);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    stop_listening(server);
    free(server);
}
