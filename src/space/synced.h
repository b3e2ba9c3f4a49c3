/* Which threads' registers QEMU has up to date, as its stub sees them: with KVM it answers p from
 * what it has, and loses P, before a g has fetched them from the kernel. True until the target runs
 * again. */
#ifndef SB_SPACE_SYNCED_H
#define SB_SPACE_SYNCED_H

#include <stdbool.h>
#include <stdint.h>

struct synced;

/* NULL: out of memory. */
struct synced *synced_new(void);
void synced_free(struct synced *synced);
/* The target has run, or is lost. */
void synced_forget(struct synced *synced);
/* The number of what is true now, for synced_note. */
uint64_t synced_moment(const struct synced *synced);
/* Are those of that thread (from 1 on; 0 or less: no certain one) known to be up to date? */
bool synced_is(const struct synced *synced, int64_t thread);
/* They were at that moment. */
void synced_note(struct synced *synced, int64_t thread, uint64_t moment);

#endif
