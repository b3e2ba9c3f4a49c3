/* Preloaded into a program: every host name stands for 127.0.0.1, and while the file $SLOW_NAMES is
 * a FIFO the answer to a question waits until somebody has opened it for writing. $SLOW_NAMES.asked
 * is made when a question waits. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void wait_for_the_server(const char *path)
{
    char asked[4096], byte;
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISFIFO(status.st_mode))
        return;
    snprintf(asked, sizeof asked, "%s.asked", path);
    close(open(asked, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, &byte, 1) >= 0)
        close(fd);
}

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **))dlsym(
            RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("SLOW_NAMES");
    if (!path || (hints && hints->ai_flags & AI_NUMERICHOST))
        return real(node, service, hints, result);
    wait_for_the_server(path);
    return real("127.0.0.1", service, hints, result);
}
