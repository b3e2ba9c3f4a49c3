/* Pages that are read before anybody asks for them. */
#ifndef SB_SPACE_READ_AHEAD_H
#define SB_SPACE_READ_AHEAD_H

#include "space/core.h"

/* After a cached read that the target was asked for, the mutex held: where it went on from the one
 * before, fill the view with pages that follow, RAM alone. Nobody is told when it cannot. */
void read_ahead_after(struct session *session, uint64_t offset, size_t size, bool missed);

#endif
