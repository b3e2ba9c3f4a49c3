/* Who is let in, and how all are sent home. */
#ifdef HAVE_CONFIG_H
#include <config.h> /* struct ucred */
#endif
#include "stub/server.h"

#include "base/acceptor.h"
#include "base/log.h"
#include "base/task.h"
#include "stub/connection.h"
#include "stub/front.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#define ROOM "stub"

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
    struct acceptor acceptor;
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

static void serve(void *context, int fd, const char *listener)
{
    struct stub_server *server = context;
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
                                       .busy_poll = server->config.busy_poll,
                                       .peer = peer,
                                       .intruders = &server->intruders,
                                       .ended = connection_ended,
                                       .context = served};
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
    acceptor_init(&server->acceptor, loop, ROOM, serve, server);
    if (!front_init(&server->front, loop, space, &front)) {
        free(server);
        return NULL;
    }
    return server;
}

bool stub_server_listen(struct stub_server *server, int listener_fd, const char *endpoint_text)
{
    return acceptor_listen(&server->acceptor, listener_fd, endpoint_text);
}

size_t stub_server_connections(const struct stub_server *server)
{
    return server->count;
}

void stub_server_stop(struct stub_server *server)
{
    struct served *served;

    acceptor_stop(&server->acceptor);
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
    acceptor_stop(&server->acceptor);
    front_end(&server->front);
    free(server);
}
