/* Connecting to an endpoint in a task, so that the wait can be called off from elsewhere. */
#ifndef SB_BASE_DIAL_H
#define SB_BASE_DIAL_H

#include <stdbool.h>
#include <stddef.h>

struct endpoint;
struct failure;
struct resolve;

/* Zero-initialise. */
struct dial {
    bool waiting;
    bool called_off;           /* the last dial was */
    int fd;                    /* while waiting */
    struct resolve *resolving; /* while a name is asked for */
};

/* Connect, in a task that nobody else dials in, to the first address behind the endpoint that takes
 * it: a descriptor that does not block, or -1 and failure, with -1 and the reason in words, the
 * endpoint named. timeout: seconds, for the name and all addresses together. The loop goes on
 * meanwhile. */
int dial_endpoint(struct dial *dial, const struct endpoint *endpoint, double timeout,
                  struct failure *failure);
/* Have a dial that waits fail at once; harmless when none does. */
void dial_call_off(struct dial *dial);

#endif
