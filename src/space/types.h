/* The words in which the fronts and the space speak with each other. */
#ifndef SB_SPACE_TYPES_H
#define SB_SPACE_TYPES_H

#include "spacebridge/hresult.h"
#include "upstream/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cache_policy { CACHE_WRITE_BACK, CACHE_WRITE_THROUGH, CACHE_OFF };
bool cache_policy_parse(enum cache_policy *policy, const char *text);
const char *cache_policy_text(enum cache_policy policy);

#define SPACE_CACHE_SIZE_DEFAULT 1024000u /* dbgeng's 1000 KB */

struct space_config {
    enum cache_policy policy; /* of a new session */
    size_t cache_size;        /* bytes a view may hold; 0: as CACHE_OFF */
};

/* What a connection hears without having asked. Each may be NULL; must not suspend. */
struct session_listener {
    void *context;
    /* dirty bytes of this session could not be written, and no call of this session was there to
     * say so */
    void (*flush_failed)(void *context, HRESULT hr, const char *message);
    /* ChangeEngineState-like: the target's state changed */
    void (*state_changed)(void *context, enum target_state state, const char *text);
};

#endif
