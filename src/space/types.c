/* The names of the words. */
#include "space/types.h"

#include "upstream/types.h"

#include <string.h>

bool cache_policy_parse(enum cache_policy *policy, const char *text)
{
    for (int i = CACHE_WRITE_BACK; i <= CACHE_OFF; i++) {
        if (!strcmp(text, cache_policy_text((enum cache_policy)i))) {
            *policy = (enum cache_policy)i;
            return true;
        }
    }
    return false;
}

const char *cache_policy_text(enum cache_policy policy)
{
    switch (policy) {
    case CACHE_WRITE_BACK:
        return "write-back";
    case CACHE_WRITE_THROUGH:
        return "write-through";
    case CACHE_OFF:
        break;
    }
    return "off";
}

/* The words are those of upstream: it has said them in messages and logs first. Here the
 * numbers are held to each other, of which space/convert.h makes use. */
_Static_assert((int)SPACE_OK == TARGET_OK && (int)SPACE_FAULT == TARGET_FAULT &&
                   (int)SPACE_RUNNING == TARGET_RUNNING && (int)SPACE_GONE == TARGET_GONE &&
                   (int)SPACE_UNSUPPORTED == TARGET_UNSUPPORTED &&
                   (int)SPACE_INVALID == TARGET_INVALID && (int)SPACE_FAILED == TARGET_FAILED &&
                   (int)SPACE_NO_MEMORY == TARGET_NO_MEMORY &&
                   (int)SPACE_CANCELLED == TARGET_CANCELLED,
               "the same errors");
_Static_assert((int)SPACE_STATE_LOST == TARGET_STATE_LOST &&
                   (int)SPACE_STATE_HALTED == TARGET_STATE_HALTED &&
                   (int)SPACE_STATE_RUNNING == TARGET_STATE_RUNNING,
               "the same states");
_Static_assert((int)SPACE_NOTHING == REGION_NONE && (int)SPACE_RAM == REGION_RAM &&
                   (int)SPACE_ROM == REGION_ROM && (int)SPACE_DEVICE == REGION_DEVICE,
               "the same regions");

const char *space_error_text(enum space_error error)
{
    return target_error_text((enum target_error)error);
}

const char *space_region_text(enum space_region region)
{
    return region_kind_text((enum region_kind)region);
}
