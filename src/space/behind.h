/* A flush that the writes of a stream do not wait for. */
#ifndef SB_SPACE_BEHIND_H
#define SB_SPACE_BEHIND_H

#include "space/call.h"
#include "space/core.h"

/* Take the mutex for a write by that policy, or go alongside a flush that is under way. */
void behind_lock(const struct call *call, enum cache_policy policy);
void behind_unlock(struct session *session);
/* No line can be evicted: begin to write dirty ones, without waiting. False: look again; it was
 * waited for the flush before, or the view was flushed by this very call, which may have stopped.
 */
bool behind_make_room(struct call *call);
/* Wait for the flush that this session's calls have not waited for, if any, as whoever takes the
 * mutex does. */
void behind_settle(struct session *session);

#endif
