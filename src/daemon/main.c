/* spacebridged: one target, many connections. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/busy_poll.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "daemon/guest.h"
#include "daemon/listeners.h"
#include "daemon/options.h"
#include "rpc/server.h"
#include "space/session.h"
#include "stub/server.h"
#include "upstream/upstream_target.h"

#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Seconds that a guest of ours has for ending by itself. */
#define GUEST_GRACE 5.0

struct daemon {
    struct options options;
    struct ev_loop *loop;
    struct busy_poll busy_poll;
    struct listeners listeners;
    struct guest *guest; /* NULL: it was there before us */
    struct target *target;
    struct space *space;
    struct rpc_server *rpc;
    struct stub_server *stub;
    struct task_cond stop; /* broadcast when stopping is set */
    bool stopping;
    bool signalled; /* stopping because we were asked to */
    bool told;      /* systemd and standard output know that we are ready */
    int exit_code;
    ev_signal sigint, sigterm, sighup;
};

static void stop(struct daemon *daemon)
{
    daemon->stopping = true;
    task_cond_broadcast(&daemon->stop);
    if (daemon->target)
        upstream_call_off(daemon->target);
}

static void signal_came(struct ev_loop *loop, ev_signal *watcher, int events)
{
    struct daemon *daemon = watcher->data;
    (void)loop;
    (void)events;
    if (daemon->stopping) {
        log_error("daemon", "signal %d again: leaving at once, unflushed", watcher->signum);
        listeners_close(&daemon->listeners);
        guest_free(daemon->guest);
        _exit(EXIT_FAILED);
    }
    log_info("daemon", "signal %d (%s): flushing and leaving", watcher->signum,
             strsignal(watcher->signum));
    daemon->signalled = true;
    stop(daemon);
}

static void guest_ended(void *context, int status)
{
    struct daemon *daemon = context;
    char text[64];
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    if (clean)
        log_info("guest", "the guest ended: %s", guest_status_text(status, text, sizeof text));
    else
        log_error("guest", "the guest ended: %s", guest_status_text(status, text, sizeof text));
    if (!clean)
        daemon->exit_code = EXIT_FAILED;
    stop(daemon);
}

static void announce(struct daemon *daemon)
{
    printf("ready");
    for (size_t i = 0; i < daemon->listeners.count; i++) {
        const struct listener *listener = &daemon->listeners.items[i];
        printf(" %s=%s", listener->front == FRONT_RPC ? "rpc" : "stub", listener->text);
    }
    printf("\n");
    /* A closed or full standard output must not end a daemon that works. */
    if (fflush(stdout) != 0)
        log_warning("daemon", "the ready line could not be written to standard output");
#ifdef HAVE_SYSTEMD
    sd_notifyf(0, "READY=1\nSTATUS=%s", daemon->target->about->info(daemon->target)->upstream);
#endif
    daemon->told = true;
}

/* Say why there was no start. One that was called off has not failed. */
static void not_started(const struct daemon *daemon, const char *room, const char *reason)
{
    log_line(daemon->signalled ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, room, "%s", reason);
}

/* Everything up to ready. False: the reason is logged. */
static bool start(struct daemon *daemon)
{
    struct options *options = &daemon->options;
    struct upstream_config upstream = {
        .gdb = options->gdb,
        .have_qmp = options->have_qmp,
        .qmp = options->qmp,
        .found = options->found,
        .attach_halt = options->attach_halt,
        .timeout = options->timeout,
        .pipeline = options->pipeline,
        .ways = {.qtest = options->qtest,
                 .direct_ram = options->direct_ram,
                 .busy_poll = &daemon->busy_poll},
        .busy_poll = &daemon->busy_poll,
        .reattach = true,
    };
    struct space_config space = {.policy = options->cache, .cache_size = options->cache_size};
    struct rpc_config rpc = {.policy = options->cache,
                             .busy_poll = &daemon->busy_poll,
                             .max_connections = options->max_connections};
    /* A debugger takes for granted that what it has written is in the target. */
    struct stub_config stub = {.policy = CACHE_WRITE_THROUGH,
                               .attach_halt = !options->stub_attach_keep,
                               .allow_kill = options->allow_kill,
                               .timeout = options->timeout,
                               .busy_poll = &daemon->busy_poll,
                               .max_connections = options->max_connections};
    char error[GUEST_ERROR_SIZE];

    if (options->guest) {
        daemon->guest = guest_start(daemon->loop, options->guest, options->attach_halt,
                                    options->qtest != WAYS_OFF, guest_ended, daemon, error);
        if (!daemon->guest ||
            !guest_wait_ready(daemon->guest, options->timeout, &daemon->stopping, error)) {
            not_started(daemon, "guest", error);
            return false;
        }
        upstream.gdb = *guest_gdb(daemon->guest);
        upstream.qmp = *guest_qmp(daemon->guest);
        upstream.have_qmp = true;
        upstream.ways.have_qtest = options->qtest != WAYS_OFF;
        upstream.ways.qtest_endpoint = *guest_qtest(daemon->guest);
    }
    daemon->target = upstream_new(daemon->loop, &upstream);
    if (!daemon->target) {
        log_error("daemon", "out of memory");
        return false;
    }
    daemon->space = space_new(daemon->target, &space);
    daemon->rpc = daemon->space ? rpc_server_new(daemon->loop, daemon->space, &rpc) : NULL;
    daemon->stub = daemon->space ? stub_server_new(daemon->loop, daemon->space, &stub) : NULL;
    if (!daemon->rpc || !daemon->stub) {
        log_error("daemon", "out of memory");
        return false;
    }
    struct failure failure = {0};
    if (upstream_attach(daemon->target, &failure) != TARGET_OK) {
        not_started(daemon, "target", failure.text);
        return false;
    }
    for (size_t i = 0; i < daemon->listeners.count; i++) {
        const struct listener *listener = &daemon->listeners.items[i];
        bool served = listener->front == FRONT_RPC
                          ? rpc_server_listen(daemon->rpc, listener->fd, listener->text)
                          : stub_server_listen(daemon->stub, listener->fd, listener->text);
        if (!served) {
            log_error("daemon", "%s: out of memory", listener->text);
            return false;
        }
    }
    return true;
}

/* Orderly: no new work, the old work done and flushed, the target as it was found. */
static void finish(struct daemon *daemon)
{
#ifdef HAVE_SYSTEMD
    if (daemon->told)
        sd_notify(0, "STOPPING=1");
#endif
    uint64_t lost = 0;
    /* While they are connected, so that who loses bytes is told. */
    if (daemon->space)
        lost = space_flush_all(daemon->space);
    if (daemon->rpc)
        rpc_server_stop(daemon->rpc);
    if (daemon->stub)
        stub_server_stop(daemon->stub);
    if (lost > 0)
        daemon->exit_code = EXIT_FAILED;
    if (daemon->target)
        upstream_detach(daemon->target);
    if (daemon->guest)
        guest_end(daemon->guest, GUEST_GRACE);
    rpc_server_free(daemon->rpc);
    stub_server_free(daemon->stub);
    if (daemon->space)
        space_free(daemon->space);
    upstream_free(daemon->target);
    guest_free(daemon->guest);
    listeners_close(&daemon->listeners);
}

static void run(void *context)
{
    struct daemon *daemon = context;

    if (!start(daemon)) {
        daemon->exit_code = daemon->signalled ? EXIT_DONE : EXIT_FAILED;
        daemon->stopping = true;
    } else if (!daemon->stopping) {
        announce(daemon);
    }
    while (!daemon->stopping)
        task_cond_wait(&daemon->stop, -1);
    finish(daemon);
    ev_break(daemon->loop, EVBREAK_ALL);
}

/* Every connection is a descriptor. */
static void raise_descriptor_limit(unsigned connections)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
        log_warning("daemon", "the limit of open files (%llu) is below --max-connections %u",
                    (unsigned long long)limit.rlim_cur, connections);
}

static void watch_signal(struct daemon *daemon, ev_signal *watcher, int number)
{
    ev_signal_init(watcher, signal_came, number);
    watcher->data = daemon;
    ev_signal_start(daemon->loop, watcher);
}

/* A socket must not become a standard file because that was closed: our log would go to the target.
 */
static void keep_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(EXIT_FAILED);
}

int main(int argc, char **argv)
{
    static struct daemon daemon; /* large, and one for each process by nature */
    char error[OPTIONS_ERROR_SIZE];

    keep_standard_files();
    switch (options_parse(&daemon.options, argc, argv, error)) {
    case OPTIONS_EXIT_OK:
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    case OPTIONS_EXIT_USAGE:
        fprintf(stderr, "spacebridged: %s\nTry 'spacebridged --help'.\n", error);
        return EXIT_USAGE;
    case OPTIONS_RUN:
        break;
    }
    log_configure(daemon.options.log_level, daemon.options.log_format);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is no reason to end */
    raise_descriptor_limit(daemon.options.max_connections);
    daemon.loop = ev_default_loop(EVFLAG_AUTO);
    if (!daemon.loop) {
        log_error("daemon", "no event loop");
        return EXIT_FAILED;
    }
    busy_poll_init(&daemon.busy_poll, daemon.loop, daemon.options.busy_poll);
    if (!listeners_open(&daemon.listeners, &daemon.options, error)) {
        log_error("daemon", "%s", error);
        return EXIT_FAILED;
    }
    watch_signal(&daemon, &daemon.sigint, SIGINT);
    watch_signal(&daemon, &daemon.sigterm, SIGTERM);
    /* The terminal is gone, unless that is not to matter (nohup). */
    struct sigaction hangup;
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN)
        watch_signal(&daemon, &daemon.sighup, SIGHUP);
    if (!task_spawn(daemon.loop, "daemon", run, &daemon)) {
        log_error("daemon", "out of memory");
        listeners_close(&daemon.listeners);
        return EXIT_FAILED;
    }
    ev_run(daemon.loop, 0);
    ev_loop_destroy(daemon.loop);
    return daemon.exit_code;
}
