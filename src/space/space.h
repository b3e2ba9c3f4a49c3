/* One space for each target: all sessions of it, and what the target tells them. */
#ifndef SB_SPACE_SPACE_H
#define SB_SPACE_SPACE_H

#include "space/types.h"

#include <stdint.h>

struct session;
struct space;
struct target;

/* NULL when out of memory. */
struct space *space_new(struct target *target, const struct space_config *config);
/* All sessions must be closed. */
void space_free(struct space *space);
/* Flush every view (the daemon ends). Returns bytes that could not be written; they are logged. */
uint64_t space_flush_all(struct space *space);
/* Walk over the sessions: the first after NULL, NULL after the last. Nothing may suspend between.
 */
struct session *space_next_session(struct space *space, const struct session *session);

#endif
