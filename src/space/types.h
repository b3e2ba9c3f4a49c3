/* The words in which the fronts and the space speak with each other. */
#ifndef SB_SPACE_TYPES_H
#define SB_SPACE_TYPES_H

#include "spacebridge/hresult.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The grain of everything that is counted: translation, views, partial success. */
#define SPACE_PAGE_SIZE 4096u
#define SPACE_PAGE_MASK (~(uint64_t)(SPACE_PAGE_SIZE - 1))

/* What became of a request to the target that is no dbgeng-style call. */
enum space_error {
    SPACE_OK = 0,
    SPACE_FAULT,       /* the target refused the access: nothing there, or not writable */
    SPACE_RUNNING,     /* the target runs and this needs it halted; nothing was sent */
    SPACE_GONE,        /* the target is lost (closed, timed out, never there) */
    SPACE_UNSUPPORTED, /* this target cannot do this at all */
    SPACE_INVALID,     /* a parameter makes no sense to the target, or must never reach it */
    SPACE_FAILED,      /* it answered something else */
    SPACE_NO_MEMORY,
    SPACE_CANCELLED, /* the caller's own wait was called off */
};
/* A few words for messages: "the target is running". */
const char *space_error_text(enum space_error error);

enum space_state { SPACE_STATE_LOST, SPACE_STATE_HALTED, SPACE_STATE_RUNNING };

/* What answers at an address. */
enum space_region {
    SPACE_NOTHING, /* nothing does */
    SPACE_RAM,
    SPACE_ROM,    /* memory that the guest cannot write */
    SPACE_DEVICE, /* registers: every access counts */
};
/* "RAM", "a device". */
const char *space_region_text(enum space_region region);

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
    void (*state_changed)(void *context, enum space_state state, const char *text);
};

#endif
