/* Hides the list of connections, and how a peer is turned away. */
#include "rpc/server.h"

#include "base/acceptor.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/task.h"
#include "rpc/answer.h"
#include "rpc/connection.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

struct served {
    struct rpc_connection *connection;
    struct rpc_server *server;
    struct served *prev, *next;
};

struct rpc_server {
    struct ev_loop *loop;
    struct space *space;
    struct rpc_config config;
    struct acceptor acceptor;
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

static void serve(void *context, int fd, const char *listener)
{
    struct rpc_server *server = context;
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
                                           .busy_poll = server->config.busy_poll,
                                           .ended = connection_ended,
                                           .context = served};
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

struct rpc_server *rpc_server_new(struct ev_loop *loop, struct space *space,
                                  const struct rpc_config *config)
{
    struct rpc_server *server = calloc(1, sizeof *server);

    if (!server)
        return NULL;
    server->loop = loop;
    server->space = space;
    server->config = *config;
    acceptor_init(&server->acceptor, loop, "rpc", serve, server);
    return server;
}

bool rpc_server_listen(struct rpc_server *server, int listener_fd, const char *endpoint_text)
{
    return acceptor_listen(&server->acceptor, listener_fd, endpoint_text);
}

size_t rpc_server_connections(const struct rpc_server *server)
{
    return server->count;
}

void rpc_server_stop(struct rpc_server *server)
{
    struct served *served;

    acceptor_stop(&server->acceptor);
    DL_FOREACH(server->served, served) rpc_connection_stop(served->connection);
    while (server->count > 0)
        task_cond_wait(&server->gone, -1);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    acceptor_stop(&server->acceptor);
    free(server);
}
