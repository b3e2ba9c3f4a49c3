/* Giving qtest to a guest that runs already, through its monitor. */
#ifndef SB_UPSTREAM_LINK_QTEST_OPEN_H
#define SB_UPSTREAM_LINK_QTEST_OPEN_H

#include "base/endpoint.h"
#include "upstream/link/monitor.h"
#include "upstream/types.h"

struct failure;

/* What the qtest object and its character device are called in a guest. */
#define QTEST_NAME "spacebridge-qtest"

/* In a task, attached: have QEMU listen with qtest on a socket beside our own, or find the one that
 * it has from before. There is one qtest object for each QEMU, and it is never taken out again:
 * QEMU keeps on using what it would free. So the socket outlives us, and goes with QEMU. On failure
 * `failure` says why. */
enum target_error qtest_open_add(const struct monitor *monitor, struct endpoint *endpoint,
                                 struct failure *failure);
/* The socket of our character device in what "info chardev" prints. False: there is none. */
bool qtest_open_parse(const char *text, struct endpoint *endpoint);

#endif
