/* Hides how QEMU is started as a child, and where the private sockets lie by which it is reached.
 */
#define _GNU_SOURCE
#include "daemon/guest.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/qtest_open.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct guest {
    struct ev_loop *loop;
    ev_child child;
    pid_t pid;
    bool running;
    int status;
    bool ending; /* we ask it to end: nothing to report */
    guest_ended_fn *ended;
    void *context;
    struct task_cond changed;
    char directory[sizeof(((struct endpoint *)0)->path)];
    struct endpoint gdb, qmp, qtest;
};

const char *guest_status_text(int status, char *text, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "exit code %d", WEXITSTATUS(status));
    return text;
}

static void child_changed(struct ev_loop *loop, ev_child *watcher, int events)
{
    struct guest *guest = watcher->data;
    (void)events;
    ev_child_stop(loop, watcher);
    guest->running = false;
    guest->status = watcher->rstatus;
    task_cond_broadcast(&guest->changed);
    if (!guest->ending)
        guest->ended(guest->context, guest->status);
}

/* A private directory beside the default sockets, or in /tmp where that is too long for a socket.
 */
static bool make_directory(struct guest *guest, char *error)
{
    struct endpoint place;
    char why[ENDPOINT_ERROR_SIZE];
    const char *pattern = "guest-XXXXXX";

    if (!endpoint_default(&place, "", why)) {
        snprintf(error, GUEST_ERROR_SIZE, "%s", why);
        return false;
    }
    size_t length = strlen(place.path);
    while (length > 1 && place.path[length - 1] == '/')
        place.path[--length] = '\0';
    if (mkdir(place.path, 0700) != 0 && errno != EEXIST) {
        snprintf(error, GUEST_ERROR_SIZE, "%s: %s", place.path, strerror(errno));
        return false;
    }
    if (length + 1 + strlen(pattern) + sizeof "/qtest.sock" > sizeof guest->directory)
        snprintf(guest->directory, sizeof guest->directory, "/tmp/spacebridge-%s", pattern);
    else
        snprintf(guest->directory, sizeof guest->directory, "%.*s/%s", (int)length, place.path,
                 pattern);
    if (!mkdtemp(guest->directory)) {
        snprintf(error, GUEST_ERROR_SIZE, "%s: %s", guest->directory, strerror(errno));
        guest->directory[0] = '\0';
        return false;
    }
    guest->gdb.kind = guest->qmp.kind = guest->qtest.kind = ENDPOINT_UNIX;
    strcpy(guest->gdb.path, guest->directory);
    strcat(guest->gdb.path, "/gdb.sock");
    strcpy(guest->qmp.path, guest->directory);
    strcat(guest->qmp.path, "/qmp.sock");
    strcpy(guest->qtest.path, guest->directory);
    strcat(guest->qtest.path, "/qtest.sock");
    return true;
}

static void remove_directory(struct guest *guest)
{
    if (!guest->directory[0])
        return;
    unlink(guest->gdb.path);
    unlink(guest->qmp.path);
    unlink(guest->qtest.path);
    if (rmdir(guest->directory) != 0 && errno != ENOENT)
        log_warning("guest", "%s: %s", guest->directory, strerror(errno));
    guest->directory[0] = '\0';
}

/* In a comma-separated QEMU option a comma is written twice. */
static char *socket_option(const char *start, const char *path)
{
    char *option = malloc(strlen(start) + strlen(path) * 2 + sizeof ",server=on,wait=off");
    char *at = option;
    if (!option)
        return NULL;
    at = stpcpy(at, start);
    for (; *path; path++) {
        *at++ = *path;
        if (*path == ',')
            *at++ = ',';
    }
    strcpy(at, ",server=on,wait=off");
    return option;
}

/* Only what is safe between fork and exec. */
static void become_guest(char **argv, pid_t parent, int report)
{
    sigset_t signals;
    /* Ctrl-C at the terminal reaches the whole process group: the daemon has bytes to flush into
     * the guest first. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent)
        execvp(argv[0], argv);
    int reason = errno;
    if (write(report, &reason, sizeof reason) < 0)
        _exit(126);
    _exit(127);
}

static bool spawn(struct guest *guest, char **argv, char *error)
{
    int report[2], reason = 0;
    pid_t parent = getpid();

    if (pipe2(report, O_CLOEXEC) != 0) {
        snprintf(error, GUEST_ERROR_SIZE, "pipe: %s", strerror(errno));
        return false;
    }
    guest->pid = fork();
    if (guest->pid == 0)
        become_guest(argv, parent, report[1]);
    close(report[1]);
    if (guest->pid < 0) {
        snprintf(error, GUEST_ERROR_SIZE, "fork: %s", strerror(errno));
        close(report[0]);
        return false;
    }
    ssize_t count;
    do
        count = read(report[0], &reason, sizeof reason);
    while (count < 0 && errno == EINTR);
    close(report[0]);
    if (count == (ssize_t)sizeof reason) {
        waitpid(guest->pid, NULL, 0);
        snprintf(error, GUEST_ERROR_SIZE, "cannot start '%.200s': %s", argv[0], strerror(reason));
        return false;
    }
    return true;
}

struct guest *guest_start(struct ev_loop *loop, char **argv, bool halt, bool qtest,
                          guest_ended_fn *ended, void *context, char *error)
{
    struct guest *guest = calloc(1, sizeof *guest);
    char **whole = NULL, *gdb = NULL, *qmp = NULL, *chardev = NULL;
    size_t count = 0;
    bool started = false;

    if (!guest)
        goto out_of_memory;
    guest->loop = loop;
    guest->ended = ended;
    guest->context = context;
    if (!make_directory(guest, error))
        goto done;
    while (argv[count])
        count++;
    whole = calloc(count + 10, sizeof *whole);
    gdb = socket_option("unix:", guest->gdb.path);
    qmp = socket_option("unix:", guest->qmp.path);
    chardev = socket_option("socket,id=" QTEST_NAME ",path=", guest->qtest.path);
    if (!whole || !gdb || !qmp || !chardev)
        goto out_of_memory;
    memcpy(whole, argv, count * sizeof *whole);
    whole[count++] = "-gdb";
    whole[count++] = gdb;
    whole[count++] = "-qmp";
    whole[count++] = qmp;
    if (qtest) {
        whole[count++] = "-chardev";
        whole[count++] = chardev;
        whole[count++] = "-object";
        whole[count++] = "qtest,id=" QTEST_NAME ",chardev=" QTEST_NAME ",log=none";
    }
    if (halt)
        whole[count++] = "-S";
    started = spawn(guest, whole, error);
    if (!started)
        goto done;
    guest->running = true;
    ev_child_init(&guest->child, child_changed, guest->pid, 0);
    guest->child.data = guest;
    ev_child_start(loop, &guest->child);
    log_info("guest", "started %s, process %d", argv[0], (int)guest->pid);
    goto done;
out_of_memory:
    snprintf(error, GUEST_ERROR_SIZE, "out of memory");
done:
    free(whole);
    free(gdb);
    free(qmp);
    free(chardev);
    if (!started && guest) {
        remove_directory(guest);
        free(guest);
        guest = NULL;
    }
    return guest;
}

const struct endpoint *guest_gdb(const struct guest *guest)
{
    return &guest->gdb;
}

const struct endpoint *guest_qmp(const struct guest *guest)
{
    return &guest->qmp;
}

const struct endpoint *guest_qtest(const struct guest *guest)
{
    return &guest->qtest;
}

bool guest_running(const struct guest *guest)
{
    return guest->running;
}

/* QEMU listens on both before it opens its monitor to anybody, so a socket that is there is enough:
 * what connects early waits in its backlog. */
bool guest_wait_ready(struct guest *guest, double seconds, const bool *called_off, char *error)
{
    double deadline = clock_now() + seconds;
    while (guest->running) {
        struct stat unused;
        if (stat(guest->gdb.path, &unused) == 0 && stat(guest->qmp.path, &unused) == 0)
            return true;
        if (*called_off) {
            snprintf(error, GUEST_ERROR_SIZE, "called off");
            return false;
        }
        if (clock_now() > deadline) {
            snprintf(error, GUEST_ERROR_SIZE, "the guest opened no sockets within %g s", seconds);
            return false;
        }
        task_cond_wait(&guest->changed, 0.01);
    }
    char text[64];
    snprintf(error, GUEST_ERROR_SIZE, "the guest ended at once: %s",
             guest_status_text(guest->status, text, sizeof text));
    return false;
}

void guest_end(struct guest *guest, double grace)
{
    guest->ending = true;
    if (guest->running)
        kill(guest->pid, SIGTERM);
    double deadline = clock_now() + grace;
    while (guest->running && clock_now() < deadline)
        task_cond_wait(&guest->changed, deadline - clock_now());
    if (guest->running) {
        log_warning("guest", "process %d does not end by SIGTERM; killed", (int)guest->pid);
        kill(guest->pid, SIGKILL);
        while (guest->running)
            task_cond_wait(&guest->changed, -1);
    }
    remove_directory(guest);
}

void guest_free(struct guest *guest)
{
    if (!guest)
        return;
    if (guest->running) {
        ev_child_stop(guest->loop, &guest->child);
        kill(guest->pid, SIGKILL);
        waitpid(guest->pid, NULL, 0);
    }
    remove_directory(guest);
    free(guest);
}
