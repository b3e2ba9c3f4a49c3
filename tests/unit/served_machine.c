#ifdef HAVE_CONFIG_H
#include <config.h> /* pipe2 */
#endif
#include "served_machine.h"

#include "base/endpoint.h"
#include "base/log.h"
#include "base/task.h"
#include "rpc/server.h"

#include <check.h>
#include <ev.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct serving {
    struct rpc_server *server;
    int life;
};

/* A task: until the parent closes its end of life. */
static void serve_until_told(void *arg)
{
    struct serving *serving = arg;

    task_wait_fd(serving->life, EV_READ, -1);
    rpc_server_stop(serving->server);
}

static void serve(int listener, int life, void (*prepare)(struct machine *machine))
{
    static struct machine machine;
    struct rpc_config config = {.policy = CACHE_WRITE_BACK, .max_connections = 10};
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    machine_start(&machine, CACHE_WRITE_BACK, 0);
    if (prepare)
        prepare(&machine);
    struct serving serving = {rpc_server_new(loop, machine.space, &config), life};
    if (!serving.server || !rpc_server_listen(serving.server, listener, "unix:test") ||
        !task_spawn(loop, "serve", serve_until_told, &serving))
        _exit(1);
    ev_run(loop, 0);
    rpc_server_free(serving.server);
    machine_stop(&machine);
    ev_loop_destroy(loop);
    _exit(0);
}

void served_start(struct served_machine *served, void (*prepare)(struct machine *machine))
{
    struct endpoint endpoint;
    char error[ENDPOINT_ERROR_SIZE];
    int life[2];

    strcpy(served->directory, "/tmp/served_machine.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(served->directory));
    snprintf(served->endpoint, sizeof served->endpoint, "unix:%s/rpc.sock", served->directory);
    ck_assert(endpoint_parse(&endpoint, served->endpoint, error));
    int listener = endpoint_listen(&endpoint, error);
    ck_assert_msg(listener >= 0, "%s", error);
    ck_assert_int_eq(pipe2(life, O_CLOEXEC), 0);
    served->child = fork();
    ck_assert_int_ge(served->child, 0);
    if (served->child == 0) {
        close(life[1]);
        serve(listener, life[0], prepare);
    }
    close(listener);
    close(life[0]);
    served->life = life[1];
}

void served_stop(struct served_machine *served)
{
    char path[128];
    int status;

    close(served->life);
    ck_assert_int_eq(waitpid(served->child, &status, 0), served->child);
    snprintf(path, sizeof path, "%s/rpc.sock", served->directory);
    unlink(path);
    rmdir(served->directory);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the served machine failed (%d)",
                  status);
}
