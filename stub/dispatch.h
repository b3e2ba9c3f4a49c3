/* From a request to what carries it out. */
#ifndef SB_STUB_DISPATCH_H
#define SB_STUB_DISPATCH_H

#include "stub/client.h"

/* Carry out one request of a client and answer it, unless there is no answer (now):
 * client->answered. Attaches the client with its first request about the target. In a task. */
void dispatch(struct client *client, const void *payload, size_t length);

#endif
