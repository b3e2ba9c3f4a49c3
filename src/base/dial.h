/* Connecting to an endpoint in a task, so that the wait can be called off from elsewhere. */
#ifndef SB_BASE_DIAL_H
#define SB_BASE_DIAL_H

#include <stdbool.h>
#include <stddef.h>

struct endpoint;

/* Zero-initialise. */
struct dial {
    bool waiting;
    bool called_off; /* the last dial was */
    int fd;          /* while waiting */
};

/* Connect, in a task that nobody else dials in: a descriptor that does not block, or -1 and the
 * reason, with the endpoint named, in message (size bytes). timeout: seconds. */
int dial_endpoint(struct dial *dial, const struct endpoint *endpoint, double timeout, char *message,
                  size_t size);
/* Have a dial that waits fail at once; harmless when none does. */
void dial_call_off(struct dial *dial);

#endif
