/* Which request is which: one table. */
#ifndef SB_STUB_DISPATCH_H
#define SB_STUB_DISPATCH_H

#include "stub/client.h"

/* Carry out a request of a client: its reply is in client->reply, empty for what is not known,
 * unless client->answered says that there is none (now). Attaches the client with its first
 * request. In a task. */
void dispatch(struct client *client, const struct request *request);

#endif
