/* Which ways are wanted beside the target's GDB stub. */
#ifndef SB_UPSTREAM_WAYS_WAYS_CONFIG_H
#define SB_UPSTREAM_WAYS_WAYS_CONFIG_H

#include "base/endpoint.h"

#include <stdbool.h>
#include <stddef.h>

struct busy_poll;
struct way_ops;

enum ways_choice { WAYS_AUTO, WAYS_ON, WAYS_OFF };

/* All zero: none but what needs no asking. */
struct ways_config {
    enum ways_choice qtest;      /* auto: where the guest has one for us */
    enum ways_choice direct_ram; /* auto: where it can be had; off unless asked for */
    bool have_qtest;             /* the guest was started with qtest on this socket */
    struct endpoint qtest_endpoint;
    struct busy_poll *busy_poll; /* for qtest's answers; NULL: sleep */
    /* Rows behind those that there are, so that they are asked first (tests). */
    const struct way_ops *const *more;
    size_t more_count;
};

#endif
