/* The words for messages. */
#include "upstream/types.h"

const char *target_error_text(enum target_error error)
{
    switch (error) {
    case TARGET_OK:
        return "done";
    case TARGET_FAULT:
        return "the target refused the access";
    case TARGET_RUNNING:
        return "the target is running";
    case TARGET_GONE:
        return "the target is gone";
    case TARGET_UNSUPPORTED:
        return "the target cannot do this";
    case TARGET_INVALID:
        return "the target knows no such thing";
    case TARGET_FAILED:
        return "the target answered with an error";
    case TARGET_NO_MEMORY:
        return "out of memory";
    case TARGET_CANCELLED:
        return "called off";
    }
    return "unknown error";
}

const char *region_kind_text(enum region_kind kind)
{
    switch (kind) {
    case REGION_NONE:
        return "nothing";
    case REGION_RAM:
        return "RAM";
    case REGION_ROM:
        return "ROM";
    case REGION_DEVICE:
        return "a device";
    }
    return "unknown";
}
