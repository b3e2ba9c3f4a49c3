/* Attaching to the target, and leaving it as it was found. */
#ifndef SB_UPSTREAM_UPSTREAM_ATTACH_H
#define SB_UPSTREAM_UPSTREAM_ATTACH_H

#include "upstream/types.h"
#include "upstream/upstream_config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct failure;
struct upstream;

/* Zero-initialise, and set upstream and config. Others read the rest. */
struct upstream_connection {
    struct upstream *upstream;
    struct upstream_config config;
    bool found_running; /* when we attached: how it is to be left */
    pid_t peer;         /* the process at the other end, 0: not known */
    bool undecided;     /* an attach failed since nothing tells whether the guest ran */
    /* How the last connection left it; there: there was a loss since the last attach. */
    struct {
        bool there;
        bool running;
        bool halted;   /* though it was found running */
        bool intruded; /* a request of ours has halted it though another had resumed it */
        pid_t peer;
    } left;
    bool called_off; /* an attach is to fail soon, and no other to follow */
};

/* Attach, in a task, for the first time or again. On failure `failure` (not NULL) says why, and
 * nothing is connected. */
enum target_error upstream_attach_try(struct upstream_connection *attach, struct failure *failure);
/* Have an attach that is under way fail soon. Never suspends. */
void upstream_attach_call_off(struct upstream_connection *attach);
/* The connection is lost: remember how it left the target. */
void upstream_attach_remember(struct upstream_connection *attach);
/* Back to the run state that was found, in a task. The connection stays. */
void upstream_attach_restore(struct upstream_connection *attach);

#endif
