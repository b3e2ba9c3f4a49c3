/* Who has which breakpoint. Pure bookkeeping: it says when the target has to be told, and the
 * caller tells it. A breakpoint is a type (0 to 4 as in Z packets), an address and a kind; it is in
 * the target while at least one holder is left. */
#ifndef SB_STUB_BREAKPOINTS_H
#define SB_STUB_BREAKPOINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

/* Breakpoints that one client may hold. */
#define BREAKPOINTS_EACH_MAX 4096u

typedef uint32_t breakpoint_holder; /* a client's number, never 0 */

struct breakpoint_key {
    uint64_t address, kind;
    uint64_t type; /* as wide as the others: keys are compared as bytes */
};

struct breakpoint {
    struct breakpoint_key key;
    breakpoint_holder *holders;
    size_t count; /* 0: nobody's any more, but still in the target */
    UT_hash_handle hh;
};

/* Zero-initialise. */
struct breakpoints {
    struct breakpoint *all;
};

/* What adding or removing a holder asks of the target. */
enum breakpoint_step {
    BREAKPOINT_NOTHING, /* nothing: it stays as it is */
    BREAKPOINT_TELL,    /* insert it (add) or remove it (remove), then call ..._done */
    BREAKPOINT_REFUSED, /* out of memory, or this client holds too many */
};

/* holder wants it. Asking twice is asking once. On BREAKPOINT_TELL nothing is remembered before
 * breakpoints_inserted. */
enum breakpoint_step breakpoints_add(struct breakpoints *breakpoints,
                                     const struct breakpoint_key *key, breakpoint_holder holder);
/* The target has it. False when out of memory: then take it out of the target again. */
bool breakpoints_inserted(struct breakpoints *breakpoints, const struct breakpoint_key *key,
                          breakpoint_holder holder);
/* holder wants it no more; one that it does not hold is fine. On BREAKPOINT_TELL it is still
 * remembered as holder's, until breakpoints_removed. */
enum breakpoint_step breakpoints_remove(struct breakpoints *breakpoints,
                                        const struct breakpoint_key *key, breakpoint_holder holder);
/* The target has it no more. */
void breakpoints_removed(struct breakpoints *breakpoints, const struct breakpoint_key *key);

/* holder is gone: those that nobody else holds are orphans from now on. Returns how many there are.
 */
size_t breakpoints_abandon(struct breakpoints *breakpoints, breakpoint_holder holder);
/* Any breakpoint without a holder, NULL: there is none. */
const struct breakpoint *breakpoints_orphan(const struct breakpoints *breakpoints);
size_t breakpoints_held(const struct breakpoints *breakpoints, breakpoint_holder holder);
size_t breakpoints_count(const struct breakpoints *breakpoints);

/* Does somebody (holder 0: anybody, an orphan too) have an execution breakpoint of that type at
 * exactly that address? type: 0 or 1; -1: either. */
bool breakpoints_at(const struct breakpoints *breakpoints, uint64_t address, int type,
                    breakpoint_holder holder);
/* Does somebody (holder 0: anybody that is still there) watch that address? */
bool breakpoints_watched(const struct breakpoints *breakpoints, uint64_t address,
                         breakpoint_holder holder);
bool breakpoint_has(const struct breakpoint *breakpoint, breakpoint_holder holder);
/* All is lost: the target is not the same any more. */
void breakpoints_clear(struct breakpoints *breakpoints);

#endif
