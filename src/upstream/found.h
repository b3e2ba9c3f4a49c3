/* What the guest did before our connect, which halts one that runs. */
#ifndef SB_UPSTREAM_FOUND_H
#define SB_UPSTREAM_FOUND_H

enum found {
    FOUND_UNKNOWN, /* nothing tells */
    FOUND_HALTED,
    FOUND_RUNNING,
};

#endif
