/* Connects without stopping the loop: names are asked for in a thread, addresses are tried one
 * after the other, and whoever holds the dial may call it off at any moment. */
#include "base/dial.h"

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/failure.h"
#include "base/resolve.h"
#include "base/task.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One dial: whom, until when, and what became of it. */
struct attempt {
    struct dial *dial;
    const struct endpoint *endpoint;
    double timeout, until;
    struct failure *failure;
};

static int fail(const struct attempt *attempt, const char *reason)
{
    char text[ENDPOINT_TEXT_SIZE];
    return failure_set(attempt->failure, -1, "%s: %s", endpoint_format(attempt->endpoint, text),
                       reason);
}

static int fail_late(const struct attempt *attempt)
{
    char reason[80];
    snprintf(reason, sizeof reason, "no connection within %g s", attempt->timeout);
    return fail(attempt, attempt->dial->called_off ? "called off" : reason);
}

/* The addresses behind a name; NULL, with the failure set. */
static struct addrinfo *look_up(const struct attempt *attempt)
{
    struct addrinfo *list = resolve_number(attempt->endpoint);
    if (list)
        return list;
    struct resolve *resolve = resolve_start(attempt->endpoint);
    if (!resolve) {
        fail(attempt, strerror(errno));
        return NULL;
    }
    const char *reason = NULL;
    attempt->dial->resolving = resolve;
    double left = attempt->until - clock_now();
    task_wait_fd(resolve_fd(resolve), EV_READ, left > 0 ? left : 0);
    attempt->dial->resolving = NULL;
    if (!attempt->dial->called_off)
        list = resolve_take(resolve, &reason);
    if (reason)
        fail(attempt, reason);
    else if (!list)
        fail_late(attempt);
    resolve_drop(resolve);
    return list;
}

/* Wait for the outcome of a connect that was started. Returns fd, or -1 with the failure set. */
static int await(const struct attempt *attempt, int fd)
{
    struct dial *dial = attempt->dial;
    int reason = 0;
    socklen_t length = sizeof reason;
    double left = attempt->until - clock_now();
    dial->waiting = true;
    dial->fd = fd;
    int ready = task_wait_fd(fd, EV_WRITE, left > 0 ? left : 0);
    dial->waiting = false;
    if (dial->called_off || !ready)
        fail_late(attempt);
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &length) != 0 || reason != 0)
        fail(attempt, strerror(reason != 0 ? reason : errno));
    else
        return fd;
    close(fd);
    return -1;
}

/* One address of it; NULL: a unix socket. */
static int try_address(const struct attempt *attempt, const struct addrinfo *address)
{
    char error[ENDPOINT_ERROR_SIZE];
    int fd = endpoint_connect_start(attempt->endpoint, address, error);
    if (fd >= 0)
        return await(attempt, fd);
    return failure_set(attempt->failure, -1, "%s", error);
}

int dial_endpoint(struct dial *dial, const struct endpoint *endpoint, double timeout,
                  struct failure *failure)
{
    struct attempt attempt = {.dial = dial,
                              .endpoint = endpoint,
                              .timeout = timeout,
                              .until = clock_now() + timeout,
                              .failure = failure};
    *dial = (struct dial){.fd = -1};
    if (endpoint->kind == ENDPOINT_UNIX)
        return try_address(&attempt, NULL);
    struct addrinfo *list = look_up(&attempt);
    int fd = -1;
    for (const struct addrinfo *at = list; at && fd < 0 && !dial->called_off; at = at->ai_next)
        fd = try_address(&attempt, at);
    if (list)
        freeaddrinfo(list);
    return fd;
}

void dial_call_off(struct dial *dial)
{
    if (!dial->waiting && !dial->resolving)
        return;
    dial->called_off = true;
    if (dial->resolving)
        resolve_wake(dial->resolving);
    else
        shutdown(dial->fd, SHUT_RDWR); /* ends the task's wait */
}
