/* Endpoints: listening and connecting. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "base/endpoint.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* How long to wait before asking a unix socket again whose queue of connections is full. */
#define BUSY_RETRY 0.01

/* Write "ENDPOINT: what" to error; false, for the caller's convenience. */
static bool fail(char *error, const struct endpoint *endpoint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(char *error, const struct endpoint *endpoint, const char *format, ...)
{
    char text[ENDPOINT_TEXT_SIZE];
    size_t used =
        (size_t)snprintf(error, ENDPOINT_ERROR_SIZE, "%s: ", endpoint_format(endpoint, text));
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error + used, ENDPOINT_ERROR_SIZE - used, format, arguments);
    va_end(arguments);
    return false;
}

static struct addrinfo *resolve(const struct endpoint *endpoint, char *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char port[8];
    snprintf(port, sizeof(port), "%u", endpoint->port);
    int result = getaddrinfo(endpoint->host, port, &hints, &list);
    if (result != 0) {
        fail(error, endpoint, "%s", result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
        return NULL;
    }
    return list;
}

static struct sockaddr_un unix_address(const struct endpoint *endpoint)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, endpoint->path, sizeof(address.sun_path));
    return address;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) ||
               (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == IN_LOOPBACKNET);
    }
    return false;
}

bool endpoint_is_local(const struct endpoint *endpoint)
{
    if (endpoint->kind == ENDPOINT_UNIX)
        return true;
    char error[ENDPOINT_ERROR_SIZE];
    struct addrinfo *list = resolve(endpoint, error);
    bool local = list != NULL;
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        local = local && is_loopback(at->ai_addr);
    if (list)
        freeaddrinfo(list);
    return local;
}

static void set_nodelay(int fd)
{
    /* On a unix socket this fails, and does not matter. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static int close_failed(int fd)
{
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

/* Listening */

static bool make_parent(const struct endpoint *endpoint, char *error)
{
    char parent[sizeof(endpoint->path)];
    memcpy(parent, endpoint->path, sizeof(parent));
    char *slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return true;
    *slash = '\0';
    if (mkdir(parent, 0700) != 0 && errno != EEXIST)
        return fail(error, endpoint, "cannot make the directory %s: %s", parent, strerror(errno));
    return true;
}

/* Make way for a new socket file: true when there is none at the path, or none any more. */
static bool clear_path(const struct endpoint *endpoint, char *error)
{
    struct stat status;
    if (lstat(endpoint->path, &status) != 0)
        return errno == ENOENT || fail(error, endpoint, "%s", strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return fail(error, endpoint, "there is a file already, and it is not a socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(error, endpoint, "%s", strerror(errno));
    struct sockaddr_un address = unix_address(endpoint);
    int result = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    int reason = result == 0 ? 0 : errno;
    close(fd);
    if (reason == 0 || reason == EAGAIN)
        return fail(error, endpoint, "in use: somebody listens there already");
    if (reason == ENOENT)
        return true;
    if (reason != ECONNREFUSED)
        return fail(error, endpoint, "cannot tell whether it is in use: %s", strerror(reason));
    if (unlink(endpoint->path) != 0 && errno != ENOENT)
        return fail(error, endpoint, "cannot remove the dead socket: %s", strerror(errno));
    return true;
}

static int listen_unix(const struct endpoint *endpoint, char *error)
{
    if (!make_parent(endpoint, error) || !clear_path(endpoint, error))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = unix_address(endpoint);
    /* The file takes the mode the socket has at bind (Linux): there is no moment, as there would be
     * with chmod(2), at which others could connect. */
    if (fd < 0 || fchmod(fd, 0600) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        fail(error, endpoint, "%s", strerror(errno));
        return fd < 0 ? -1 : close_failed(fd);
    }
    if (listen(fd, SOMAXCONN) != 0) {
        fail(error, endpoint, "%s", strerror(errno));
        close_failed(fd);
        unlink(endpoint->path);
        return -1;
    }
    return fd;
}

static int listen_address(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0 ||
        bind(fd, at->ai_addr, at->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
        return close_failed(fd);
    return fd;
}

static int listen_tcp(struct endpoint *endpoint, char *error)
{
    struct addrinfo *list = resolve(endpoint, error);
    if (!list)
        return -1;
    int fd = -1;
    for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
        fd = listen_address(at);
    int reason = errno;
    freeaddrinfo(list);
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    if (fd < 0) {
        fail(error, endpoint, "%s",
             reason == EADDRINUSE ? "in use: somebody listens there already" : strerror(reason));
        return -1;
    }
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0) {
        fail(error, endpoint, "%s", strerror(errno));
        return close_failed(fd);
    }
    endpoint->port =
        ntohs(bound.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&bound)->sin6_port
                                          : ((const struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

int endpoint_listen(struct endpoint *endpoint, char *error)
{
    return endpoint->kind == ENDPOINT_UNIX ? listen_unix(endpoint, error)
                                           : listen_tcp(endpoint, error);
}

int endpoint_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        set_nodelay(fd);
    return fd;
}

void endpoint_unlink(const struct endpoint *endpoint)
{
    struct stat status;
    if (endpoint->kind == ENDPOINT_UNIX && lstat(endpoint->path, &status) == 0 &&
        S_ISSOCK(status.st_mode))
        unlink(endpoint->path);
}

/* Connecting */

/* Wait for events on fd (-1: just wait) until the deadline (< 0: none). False at the deadline, and
 * with errno on an error. */
static bool wait_until(int fd, short events, double deadline)
{
    for (;;) {
        double left = deadline < 0 ? -1 : deadline - clock_now();
        /* Rounded up, and at most a day at once, for the sake of int. */
        int milliseconds = deadline < 0   ? -1
                           : left <= 0    ? 0
                           : left > 86400 ? 86400000
                                          : (int)(left * 1000) + 1;
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int result = poll(&poll_fd, 1, milliseconds);
        if (result > 0)
            return true;
        if (result < 0 && errno != EINTR)
            return false;
        if (deadline >= 0 && clock_now() >= deadline) {
            errno = ETIMEDOUT;
            return false;
        }
    }
}

/* The outcome of a connect that went on in the background. */
static int connect_outcome(int fd)
{
    int reason = 0;
    socklen_t size = sizeof(reason);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size) != 0)
        return -1;
    errno = reason;
    return reason == 0 ? 0 : -1;
}

/* Connect to one address before the deadline: a non-blocking descriptor, or -1 with errno. */
static int connect_address(int family, const struct sockaddr *address, socklen_t size,
                           double deadline)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_nodelay(fd);
    while (connect(fd, address, size) != 0) {
        if (errno == EAGAIN && family == AF_UNIX) {
            /* The listener's queue is full; there is no event for its emptying. */
            if (deadline >= 0 && clock_now() >= deadline) {
                errno = ETIMEDOUT;
                return close_failed(fd);
            }
            wait_until(-1, 0, clock_now() + BUSY_RETRY);
            continue;
        }
        if (errno != EINPROGRESS && errno != EINTR)
            return close_failed(fd);
        if (!wait_until(fd, POLLOUT, deadline) || connect_outcome(fd) != 0)
            return close_failed(fd);
        break;
    }
    return fd;
}

int endpoint_connect(const struct endpoint *endpoint, double timeout, bool nonblocking, char *error)
{
    double deadline = timeout < 0 ? -1 : clock_now() + timeout;
    int fd = -1;
    if (endpoint->kind == ENDPOINT_UNIX) {
        struct sockaddr_un address = unix_address(endpoint);
        fd = connect_address(AF_UNIX, (const struct sockaddr *)&address, sizeof(address), deadline);
    } else {
        struct addrinfo *list = resolve(endpoint, error);
        if (!list)
            return -1;
        for (const struct addrinfo *at = list; at && fd < 0; at = at->ai_next)
            fd = connect_address(at->ai_family, at->ai_addr, at->ai_addrlen, deadline);
        int reason = errno;
        freeaddrinfo(list);
        errno = reason;
    }
    if (fd >= 0 && !nonblocking && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) != 0)
        fd = close_failed(fd);
    if (fd < 0)
        fail(error, endpoint, "cannot connect: %s", strerror(errno));
    return fd;
}

/* Start a connection to one address. What the kernel knows at once (a local address that refuses)
 * is told at once, so that the next address can be tried. */
static int start_address(int family, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    set_nodelay(fd);
    if (connect(fd, address, size) == 0)
        return fd;
    if (errno != EINPROGRESS)
        return close_failed(fd);
    if (wait_until(fd, POLLOUT, 0) && connect_outcome(fd) != 0)
        return close_failed(fd);
    return fd;
}

int endpoint_connect_start(const struct endpoint *endpoint, const struct addrinfo *address,
                           char *error)
{
    struct sockaddr_un path;
    int fd;
    if (endpoint->kind == ENDPOINT_UNIX) {
        path = unix_address(endpoint);
        fd = start_address(AF_UNIX, (const struct sockaddr *)&path, sizeof(path));
    } else {
        fd = start_address(address->ai_family, address->ai_addr, address->ai_addrlen);
    }
    if (fd < 0)
        fail(error, endpoint, "cannot connect: %s", strerror(errno));
    return fd;
}
