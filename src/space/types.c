/* The names of the words. */
#include "space/types.h"

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
