/* Device accesses that nobody tells the outcome of. */
#ifndef SB_SPACE_DOUBT_H
#define SB_SPACE_DOUBT_H

#include "space/core.h"

/* Regions of which the log has it that nobody tells what they refuse: a bound on what it says. */
#define DOUBTS_MOST 64u
/* Those that it has already, of one space. NULL: out of memory. */
struct doubts *doubts_new(void);
void doubts_free(struct doubts *doubts);
/* Bytes of a device from that physical address on were sent, or came, by a way that does not tell
 * whether the device took part; why: a few words. */
void doubt_note(struct session *session, const struct target_region *region, uint64_t physical,
                bool write, const char *why);

#endif
