/* Hides whether a listening socket was opened here or handed over by systemd. */
#include "daemon/listeners.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

static const char *const default_name[] = {[FRONT_RPC] = "rpc.sock", [FRONT_STUB] = "gdb.sock"};

static bool open_one(struct listeners *listeners, enum front front, const struct endpoint *endpoint,
                     char *error)
{
    struct listener *listener = &listeners->items[listeners->count];
    *listener = (struct listener){.front = front, .endpoint = *endpoint, .ours = true};
    listener->fd = endpoint_listen(&listener->endpoint, error);
    if (listener->fd < 0)
        return false;
    endpoint_format(&listener->endpoint, listener->text);
    struct stat status;
    if (endpoint->kind == ENDPOINT_UNIX && lstat(endpoint->path, &status) == 0) {
        listener->device = status.st_dev;
        listener->inode = status.st_ino;
    }
    listeners->count++;
    return true;
}

static bool open_front(struct listeners *listeners, enum front front,
                       const struct endpoint_list *list, bool activated, char *error)
{
    struct endpoint endpoint;

    for (size_t i = 0; i < list->count; i++) {
        if (!open_one(listeners, front, &list->items[i], error))
            return false;
    }
    if (list->count > 0 || activated)
        return true;
    return endpoint_default(&endpoint, default_name[front], error) &&
           open_one(listeners, front, &endpoint, error);
}

#ifdef HAVE_SYSTEMD
/* What a socket from systemd is bound to, for the ready line and the log. */
static void describe(struct listener *listener)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    char host[128], port[32];

    snprintf(listener->text, sizeof listener->text, "fd:%d", listener->fd);
    if (getsockname(listener->fd, (struct sockaddr *)&address, &length) != 0)
        return;
    if (address.ss_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&address;
        snprintf(listener->text, sizeof listener->text, "unix:%.107s", un->sun_path);
    } else if (getnameinfo((struct sockaddr *)&address, length, host, sizeof host, port,
                           sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        snprintf(listener->text, sizeof listener->text,
                 address.ss_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
    }
}

static bool take_activated(struct listeners *listeners, bool activated[2], char *error)
{
    char **names = NULL;
    int count = sd_listen_fds_with_names(1, &names);

    for (int i = 0; i < count; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        enum front front = strcmp(names[i], "stub") == 0 ? FRONT_STUB : FRONT_RPC;
        if (listeners->count == OPTIONS_LISTENERS_MAX ||
            sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
            snprintf(error, OPTIONS_ERROR_SIZE,
                     "descriptor %d from systemd is not a listening stream socket, or one too many",
                     fd);
            count = -1;
            break;
        }
        struct listener *listener = &listeners->items[listeners->count++];
        *listener = (struct listener){.front = front, .fd = fd};
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        describe(listener);
        activated[front] = true;
    }
    if (names) {
        for (char **name = names; *name; name++)
            free(*name);
        free(names);
    }
    return count >= 0;
}
#endif

bool listeners_open(struct listeners *listeners, const struct options *options, char *error)
{
    bool activated[2] = {false, false};

    listeners->count = 0;
#ifdef HAVE_SYSTEMD
    if (!take_activated(listeners, activated, error))
        goto fail;
#endif
    if (!open_front(listeners, FRONT_RPC, &options->listen, activated[FRONT_RPC], error))
        goto fail;
    if (!open_front(listeners, FRONT_STUB, &options->stub, activated[FRONT_STUB], error))
        goto fail;
    return true;
fail:
    listeners_close(listeners);
    return false;
}

/* Is the file at its path the one that we made? Ours is kept from being used anew while we listen.
 */
static bool is_in_place(const struct listener *listener)
{
    struct stat status;
    return listener->endpoint.kind == ENDPOINT_UNIX &&
           lstat(listener->endpoint.path, &status) == 0 && status.st_dev == listener->device &&
           status.st_ino == listener->inode;
}

void listeners_close(struct listeners *listeners)
{
    while (listeners->count > 0) {
        struct listener *listener = &listeners->items[--listeners->count];
        if (listener->ours && is_in_place(listener))
            endpoint_unlink(&listener->endpoint);
        close(listener->fd);
    }
}
