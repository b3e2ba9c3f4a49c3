/* What the upstream target is told of where it is to attach, and how. */
#ifndef SB_UPSTREAM_UPSTREAM_CONFIG_H
#define SB_UPSTREAM_UPSTREAM_CONFIG_H

#include "base/endpoint.h"
#include "upstream/found.h"
#include "upstream/ways/ways.h"

#include <stdbool.h>

struct busy_poll;

struct upstream_config {
    struct endpoint gdb;
    bool have_qmp;
    struct endpoint qmp;
    /* What the guest did before, where nothing tells: no QMP, and a QEMU that keeps the stop to
     * itself which our connect causes. FOUND_UNKNOWN: such an attach fails. */
    enum found found;
    bool attach_halt;            /* halt the target on attach; else it goes on as it was found */
    double timeout;              /* seconds of silence after which the target is lost */
    unsigned pipeline;           /* requests in flight; 0: 16 on QEMU, 1 elsewhere */
    struct ways_config ways;     /* beside the stub; all zero: none but what needs no asking */
    struct busy_poll *busy_poll; /* for the stub's replies; NULL: sleep */
    bool reattach;               /* after a loss, try every second until the target is back */
};

#endif
