/* A table of breakpoints, each with its holders. */
#include "stub/breakpoints.h"

#include <stdlib.h>
#include <string.h>

static struct breakpoint *find(const struct breakpoints *breakpoints,
                               const struct breakpoint_key *key)
{
    struct breakpoint *found;
    HASH_FIND(hh, breakpoints->all, key, sizeof *key, found);
    return found;
}

bool breakpoint_has(const struct breakpoint *breakpoint, breakpoint_holder holder)
{
    for (size_t i = 0; i < breakpoint->count; i++) {
        if (breakpoint->holders[i] == holder)
            return true;
    }
    return false;
}

static bool add_holder(struct breakpoint *breakpoint, breakpoint_holder holder)
{
    breakpoint_holder *larger =
        realloc(breakpoint->holders, (breakpoint->count + 1) * sizeof *larger);
    if (!larger)
        return false;
    breakpoint->holders = larger;
    larger[breakpoint->count++] = holder;
    return true;
}

static void drop_holder(struct breakpoint *breakpoint, breakpoint_holder holder)
{
    for (size_t i = 0; i < breakpoint->count; i++) {
        if (breakpoint->holders[i] == holder) {
            breakpoint->holders[i] = breakpoint->holders[--breakpoint->count];
            return;
        }
    }
}

enum breakpoint_step breakpoints_add(struct breakpoints *breakpoints,
                                     const struct breakpoint_key *key, breakpoint_holder holder)
{
    struct breakpoint *breakpoint = find(breakpoints, key);

    if (breakpoint && breakpoint_has(breakpoint, holder))
        return BREAKPOINT_NOTHING;
    if (breakpoints_held(breakpoints, holder) >= BREAKPOINTS_EACH_MAX)
        return BREAKPOINT_REFUSED;
    if (!breakpoint)
        return BREAKPOINT_TELL;
    return add_holder(breakpoint, holder) ? BREAKPOINT_NOTHING : BREAKPOINT_REFUSED;
}

bool breakpoints_inserted(struct breakpoints *breakpoints, const struct breakpoint_key *key,
                          breakpoint_holder holder)
{
    struct breakpoint *breakpoint = find(breakpoints, key);

    if (breakpoint) /* two asked at the same time */
        return breakpoint_has(breakpoint, holder) || add_holder(breakpoint, holder);
    breakpoint = calloc(1, sizeof *breakpoint);
    if (!breakpoint || !add_holder(breakpoint, holder)) {
        free(breakpoint);
        return false;
    }
    breakpoint->key = *key;
    HASH_ADD(hh, breakpoints->all, key, sizeof breakpoint->key, breakpoint);
    return true;
}

enum breakpoint_step breakpoints_remove(struct breakpoints *breakpoints,
                                        const struct breakpoint_key *key, breakpoint_holder holder)
{
    struct breakpoint *breakpoint = find(breakpoints, key);

    if (!breakpoint || !breakpoint_has(breakpoint, holder))
        return BREAKPOINT_NOTHING;
    if (breakpoint->count == 1)
        return BREAKPOINT_TELL;
    drop_holder(breakpoint, holder);
    return BREAKPOINT_NOTHING;
}

static void forget(struct breakpoints *breakpoints, struct breakpoint *breakpoint)
{
    HASH_DEL(breakpoints->all, breakpoint);
    free(breakpoint->holders);
    free(breakpoint);
}

void breakpoints_removed(struct breakpoints *breakpoints, const struct breakpoint_key *key)
{
    struct breakpoint *breakpoint = find(breakpoints, key);
    if (breakpoint)
        forget(breakpoints, breakpoint);
}

size_t breakpoints_abandon(struct breakpoints *breakpoints, breakpoint_holder holder)
{
    struct breakpoint *breakpoint, *next;
    size_t orphans = 0;

    HASH_ITER(hh, breakpoints->all, breakpoint, next)
    {
        drop_holder(breakpoint, holder);
        orphans += breakpoint->count == 0;
    }
    return orphans;
}

const struct breakpoint *breakpoints_orphan(const struct breakpoints *breakpoints)
{
    struct breakpoint *breakpoint, *next;

    HASH_ITER(hh, breakpoints->all, breakpoint, next)
    {
        if (breakpoint->count == 0)
            return breakpoint;
    }
    return NULL;
}

size_t breakpoints_held(const struct breakpoints *breakpoints, breakpoint_holder holder)
{
    struct breakpoint *breakpoint, *next;
    size_t count = 0;

    HASH_ITER(hh, breakpoints->all, breakpoint, next)
    count += breakpoint_has(breakpoint, holder);
    return count;
}

size_t breakpoints_count(const struct breakpoints *breakpoints)
{
    return HASH_COUNT(breakpoints->all);
}

bool breakpoints_at(const struct breakpoints *breakpoints, uint64_t address, int type,
                    breakpoint_holder holder)
{
    struct breakpoint *breakpoint, *next;

    HASH_ITER(hh, breakpoints->all, breakpoint, next)
    {
        if (breakpoint->key.address == address && breakpoint->key.type <= 1 &&
            (type < 0 || breakpoint->key.type == (uint64_t)type) &&
            (holder == 0 || breakpoint_has(breakpoint, holder)))
            return true;
    }
    return false;
}

bool breakpoints_watched(const struct breakpoints *breakpoints, uint64_t address,
                         breakpoint_holder holder)
{
    struct breakpoint *breakpoint, *next;

    HASH_ITER(hh, breakpoints->all, breakpoint, next)
    {
        const struct breakpoint_key *key = &breakpoint->key;
        if (key->type < 2 || (holder ? !breakpoint_has(breakpoint, holder) : !breakpoint->count))
            continue;
        /* A kind of 0 watches a byte. Stubs report the address of the access or of the watch. */
        if (address - key->address < (key->kind ? key->kind : 1))
            return true;
    }
    return false;
}

void breakpoints_clear(struct breakpoints *breakpoints)
{
    struct breakpoint *breakpoint, *next;

    HASH_ITER(hh, breakpoints->all, breakpoint, next)
    forget(breakpoints, breakpoint);
}
