/* The sockets that the daemon listens on: opened by itself, or handed over by systemd. */
#ifndef SB_DAEMON_LISTENERS_H
#define SB_DAEMON_LISTENERS_H

#include "base/endpoint.h"
#include "daemon/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum front { FRONT_RPC, FRONT_STUB };

struct listener {
    enum front front;
    int fd;
    bool ours; /* remove its socket file at the end, if it is this one still */
    dev_t device;
    ino_t inode;
    struct endpoint endpoint;
    char text[ENDPOINT_TEXT_SIZE];
};

struct listeners {
    struct listener items[3 * OPTIONS_LISTENERS_MAX];
    size_t count;
};

/* Open one listener for each endpoint of options, the default where there is none. Sockets from
 * systemd (FileDescriptorName=rpc or stub) take the place of the default. False with error set
 * (OPTIONS_ERROR_SIZE); nothing stays open then. */
bool listeners_open(struct listeners *listeners, const struct options *options, char *error);
/* Close all and remove our socket files, but none that somebody else has put in their place. */
void listeners_close(struct listeners *listeners);

#endif
