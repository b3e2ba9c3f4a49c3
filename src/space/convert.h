/* The words of upstream/types.h as those of the fronts, which know nothing of upstream. */
#ifndef SB_SPACE_CONVERT_H
#define SB_SPACE_CONVERT_H

#include "space/types.h"
#include "upstream/types.h"

_Static_assert(SPACE_PAGE_SIZE == TARGET_PAGE_SIZE, "one size of page");

/* The numbers are the same: space/types.c holds them to each other. */

static inline enum space_error space_error_of(enum target_error error)
{
    return (enum space_error)error;
}

static inline enum space_state space_state_of(enum target_state state)
{
    return (enum space_state)state;
}

static inline enum space_region space_region_of(enum region_kind kind)
{
    return (enum space_region)kind;
}

#endif
