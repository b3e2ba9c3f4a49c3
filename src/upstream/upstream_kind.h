/* The kinds of target: what may be asked of one, and what must not get past us to its stub. Which
 * it is comes out when it is attached to, and is asked nowhere else. */
#ifndef SB_UPSTREAM_UPSTREAM_KIND_H
#define SB_UPSTREAM_UPSTREAM_KIND_H

#include "upstream/types.h"

#include <stdbool.h>
#include <stddef.h>

struct buffer;
struct stub;
struct target;
struct target_ports;

struct upstream_kind {
    /* a whole machine: it has a monitor, a physical space, and runs on behind a stub that is left;
     * else a process */
    bool machine;
    /* its table; NULL: such a target has no ports */
    const struct target_ports *ports;
    /* May that request resume the target? One that may leaves the connection usable. features: the
     * stub's reply to qSupported, payload: length bytes, of which nothing is trusted. */
    bool (*resume_allowed)(const char *features, const char *payload, size_t length);
    /* May that request, not a resume, be passed on? It leaves the run state, and the modes that the
     * queue keeps, alone. */
    bool (*packet_allowed)(const struct stub *stub, const char *payload, size_t length);
    /* A monitor command that would change the run state behind our back is done our way: *error
     * says how it ended, text gets what the monitor would print. False: it is another command,
     * nothing was done. NULL: all go to the monitor. */
    bool (*run_command)(struct target *target, target_client client, const char *command,
                        struct buffer *text, enum target_error *error);
};

/* Is the command's first word that one? */
bool upstream_is_command(const char *command, const char *word);
/* Is that how the payload begins? */
bool upstream_starts_with(const char *payload, size_t length, const char *start);
/* Is it a resume, or a request that may be passed on, whatever is behind the stub? */
bool upstream_resume_common(const char *features, const char *payload, size_t length);
bool upstream_packet_common(const char *payload, size_t length);

#endif
