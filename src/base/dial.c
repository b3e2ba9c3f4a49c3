#include "base/dial.h"

#include "base/endpoint.h"
#include "base/task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int dial_endpoint(struct dial *dial, const struct endpoint *endpoint, double timeout, char *message,
                  size_t size)
{
    char error[ENDPOINT_ERROR_SIZE], text[ENDPOINT_TEXT_SIZE];
    int reason = 0;
    socklen_t length = sizeof reason;
    int fd = endpoint_connect_start(endpoint, error);

    endpoint_format(endpoint, text);
    if (fd < 0) {
        snprintf(message, size, "%s", error);
        return -1;
    }
    *dial = (struct dial){.waiting = true, .fd = fd};
    int ready = task_wait_fd(fd, EV_WRITE, timeout);
    dial->waiting = false;
    if (dial->called_off)
        snprintf(message, size, "%s: called off", text);
    else if (!ready)
        snprintf(message, size, "%s: no connection within %g s", text, timeout);
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &length) != 0 || reason != 0)
        snprintf(message, size, "%s: %s", text, strerror(reason != 0 ? reason : errno));
    else
        return fd;
    close(fd);
    return -1;
}

void dial_call_off(struct dial *dial)
{
    if (!dial->waiting)
        return;
    dial->called_off = true;
    shutdown(dial->fd, SHUT_RDWR); /* ends the task's wait */
}
