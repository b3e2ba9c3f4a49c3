/* How a client is told of a stop. */
#ifndef SB_STUB_REPORT_H
#define SB_STUB_REPORT_H

#include "stub/client.h"

handler_fn report_do_status; /* ? */

/* Tell the stop that client_stop_due speaks of. In a task. */
void report_stop(struct client *client);

#endif
