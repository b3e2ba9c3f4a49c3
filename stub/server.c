#ifdef HAVE_CONFIG_H
#include <config.h> /* struct ucred */
#endif
#include "stub/server.h"

#include "base/endpoint.h"
#include "base/log.h"
#include "base/task.h"
#include "stub/connection.h"
#include "stub/front.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define ROOM "stub"

/* Peers that are accepted in one turn of the loop. */
#define ACCEPT_MOST 16
/* Seconds without accepting after the system had no descriptor or memory for a peer. */
#define ACCEPT_PAUSE 0.5
/* Seconds of silence after which TCP asks a peer's machine whether it is still there. */
#define KEEPALIVE_IDLE     60
#define KEEPALIVE_INTERVAL 10

struct listening {
    struct stub_server *server;
    char text[ENDPOINT_TEXT_SIZE];
    ev_io watcher;
    ev_timer pause;
    struct listening *next;
};

struct served {
    struct connection *connection;
    struct stub_server *server;
    struct served *prev, *next;
};

struct stub_server {
    struct ev_loop *loop;
    struct stub_config config;
    struct front front;
    struct intruder_log intruders;
    struct listening *listenings;
    struct served *served;
    size_t count;
    uint64_t accepted;
    struct task_cond gone;
};

static void connection_ended(void *context, struct connection *connection)
{
    struct served *served = context;
    struct stub_server *server = served->server;
    (void)connection;

    DL_DELETE(server->served, served);
    free(served);
    server->count--;
    task_cond_broadcast(&server->gone);
}

/* A peer whose machine has gone without a word would be kept for ever. */
static void keep_alive(int fd)
{
    int on = 1, idle = KEEPALIVE_IDLE, interval = KEEPALIVE_INTERVAL;

    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
}

/* Who is it, as far as the socket tells. */
static void describe_peer(int fd, char *text, size_t size)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    struct ucred cred;
    char host[80], port[16];

    snprintf(text, size, "unknown peer");
    if (getpeername(fd, (struct sockaddr *)&address, &length) != 0)
        return;
    if (address.ss_family == AF_UNIX) {
        length = sizeof cred;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) == 0)
            snprintf(text, size, "process %d of user %u", (int)cred.pid, (unsigned)cred.uid);
    } else if (getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port,
                           sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        snprintf(text, size, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    }
}

static void serve(struct stub_server *server, int fd, const char *listener)
{
    char name[32], peer[128];

    if (server->count >= server->config.max_connections) {
        log_warning(ROOM, "%s: a peer was turned away: %u connections are served already", listener,
                    server->config.max_connections);
        close(fd);
        return;
    }
    snprintf(name, sizeof name, "stub#%" PRIu64, ++server->accepted);
    describe_peer(fd, peer, sizeof peer);
    struct served *served = calloc(1, sizeof *served);
    if (!served)
        goto fail;
    served->server = server;
    struct connection_config config = {.front = &server->front,
                                       .name = name,
                                       .peer = peer,
                                       .intruders = &server->intruders,
                                       .ended = connection_ended,
                                       .context = served};
    keep_alive(fd);
    served->connection = connection_new(server->loop, fd, &config);
    if (!served->connection)
        goto fail;
    DL_APPEND(server->served, served);
    server->count++;
    log_debug(ROOM, "%s: %s connected on %s", name, peer, listener);
    return;
fail:
    free(served);
    log_error(ROOM, "%s: out of memory, a peer was turned away", listener);
    close(fd);
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
        log_error(ROOM, "%s: a peer cannot be accepted: %s", listening->text, strerror(errno));
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

struct stub_server *stub_server_new(struct ev_loop *loop, struct space *space,
                                    const struct stub_config *config)
{
    struct stub_server *server = calloc(1, sizeof *server);
    struct front_config front = {.policy = config->policy,
                                 .attach_halt = config->attach_halt,
                                 .allow_kill = config->allow_kill,
                                 .timeout = config->timeout};

    if (!server)
        return NULL;
    server->loop = loop;
    server->config = *config;
    if (!front_init(&server->front, loop, space, &front)) {
        free(server);
        return NULL;
    }
    return server;
}

bool stub_server_listen(struct stub_server *server, int listener_fd, const char *endpoint_text)
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

size_t stub_server_connections(const struct stub_server *server)
{
    return server->count;
}

static void stop_listening(struct stub_server *server)
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

void stub_server_stop(struct stub_server *server)
{
    struct served *served;

    stop_listening(server);
    DL_FOREACH(server->served, served)
    {
        connection_stop(served->connection);
    }
    while (server->count > 0)
        task_cond_wait(&server->gone, -1);
    front_end(&server->front);
}

void stub_server_free(struct stub_server *server)
{
    if (!server)
        return;
    stop_listening(server);
    front_end(&server->front);
    free(server);
}
