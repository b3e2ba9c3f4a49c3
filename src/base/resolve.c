/* Asks the system's resolver in a thread, and hands its answer over. */
#include "base/resolve.h"

#include "base/endpoint.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Who asks and the thread hold it together; the last one frees it. */
struct resolve {
    atomic_uint holders;
    int fd;
    struct endpoint endpoint;
    /* written by the thread before done is set, read after it was seen */
    atomic_bool done;
    int result, reason; /* of getaddrinfo, and errno */
    struct addrinfo *list;
};

static int ask(const struct endpoint *endpoint, int flags, struct addrinfo **list)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    char port[8];
    snprintf(port, sizeof port, "%u", endpoint->port);
    *list = NULL;
    return getaddrinfo(endpoint->host, port, &hints, list);
}

struct addrinfo *resolve_number(const struct endpoint *endpoint)
{
    struct addrinfo *list;
    return ask(endpoint, AI_NUMERICHOST, &list) == 0 ? list : NULL;
}

void resolve_drop(struct resolve *resolve)
{
    if (atomic_fetch_sub(&resolve->holders, 1) != 1)
        return;
    if (resolve->list)
        freeaddrinfo(resolve->list);
    close(resolve->fd);
    free(resolve);
}

void resolve_wake(const struct resolve *resolve)
{
    uint64_t one = 1;
    ssize_t written = write(resolve->fd, &one, sizeof one);
    (void)written; /* fails only where the count is as high as it can be: readable all the same */
}

static void *thread(void *arg)
{
    struct resolve *resolve = arg;
    resolve->result = ask(&resolve->endpoint, 0, &resolve->list);
    resolve->reason = errno;
    atomic_store(&resolve->done, true);
    resolve_wake(resolve);
    resolve_drop(resolve);
    return NULL;
}

struct resolve *resolve_start(const struct endpoint *endpoint)
{
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (!resolve)
        return NULL;
    resolve->endpoint = *endpoint;
    atomic_init(&resolve->holders, 2);
    atomic_init(&resolve->done, false);
    resolve->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_t id;
    int reason = resolve->fd < 0 ? errno : pthread_create(&id, NULL, thread, resolve);
    if (reason == 0) {
        pthread_detach(id);
        return resolve;
    }
    if (resolve->fd >= 0)
        close(resolve->fd);
    free(resolve);
    errno = reason;
    return NULL;
}

int resolve_fd(const struct resolve *resolve)
{
    return resolve->fd;
}

struct addrinfo *resolve_take(struct resolve *resolve, const char **reason)
{
    *reason = NULL;
    if (!atomic_load(&resolve->done))
        return NULL;
    struct addrinfo *list = resolve->list;
    resolve->list = NULL;
    if (resolve->result != 0)
        *reason = resolve->result == EAI_SYSTEM ? strerror(resolve->reason)
                                                : gai_strerror(resolve->result);
    else if (!list)
        *reason = "the name has no address";
    return list;
}
