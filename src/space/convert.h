/* The words of upstream/types.h as those of the fronts, which know nothing of upstream. */
#ifndef SB_SPACE_CONVERT_H
#define SB_SPACE_CONVERT_H

#include "space/types.h"
#include "upstream/types.h"

_Static_assert(SPACE_PAGE_SIZE == TARGET_PAGE_SIZE, "one size of page");

static inline enum space_error space_error_of(enum target_error error)
{
    switch (error) {
    case TARGET_OK:
        return SPACE_OK;
    case TARGET_FAULT:
        return SPACE_FAULT;
    case TARGET_RUNNING:
        return SPACE_RUNNING;
    case TARGET_GONE:
        return SPACE_GONE;
    case TARGET_UNSUPPORTED:
        return SPACE_UNSUPPORTED;
    case TARGET_INVALID:
        return SPACE_INVALID;
    case TARGET_NO_MEMORY:
        return SPACE_NO_MEMORY;
    case TARGET_CANCELLED:
        return SPACE_CANCELLED;
    case TARGET_FAILED:
        break;
    }
    return SPACE_FAILED;
}

static inline enum space_state space_state_of(enum target_state state)
{
    switch (state) {
    case TARGET_STATE_HALTED:
        return SPACE_STATE_HALTED;
    case TARGET_STATE_RUNNING:
        return SPACE_STATE_RUNNING;
    case TARGET_STATE_LOST:
        break;
    }
    return SPACE_STATE_LOST;
}

static inline enum space_region space_region_of(enum region_kind kind)
{
    switch (kind) {
    case REGION_RAM:
        return SPACE_RAM;
    case REGION_ROM:
        return SPACE_ROM;
    case REGION_DEVICE:
        return SPACE_DEVICE;
    case REGION_NONE:
        break;
    }
    return SPACE_NOTHING;
}

#endif
