/* Getting acquainted with a GDB stub: what it can do, what machine is behind it, what a former
 * client left. */
#ifndef SB_UPSTREAM_MACHINE_ATTACH_H
#define SB_UPSTREAM_MACHINE_ATTACH_H

#include "upstream/found.h"
#include "upstream/machine/stub.h"
#include "upstream/types.h"

struct failure;

/* In a task, on a connection that was just made. Fills in stub (all but stub->rsp), tells stub->rsp
 * what the stub can take, clears what a former client left (breakpoints, the physical space, how
 * it steps). depth: requests in flight, 0 for the default.
 * *found: what the stub gives away of the guest before the connect, whatever the outcome.
 * On failure `failure` says why. */
enum target_error attach_stub(struct stub *stub, unsigned depth, enum found *found,
                              struct failure *failure);
/* Free what attach_stub allocated. */
void attach_forget(struct stub *stub);

#endif
