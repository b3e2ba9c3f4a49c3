/* The calls of the protocol as data: what wire/calls.def says of each. */
#ifndef SB_WIRE_CALLS_H
#define SB_WIRE_CALLS_H

#include <stdint.h>

/* The most that a call takes, or has as its result. */
#define PARAMS_MOST 5

enum param_type {
    PARAM_ULONG64,   /* 0 to 2^64 - 1 */
    PARAM_ULONG,     /* 0 to 2^32 - 1 */
    PARAM_INTERFACE, /* a signed or unsigned 32-bit integer: Undefined is -1 */
    PARAM_SIZE,      /* bytes that a response must be able to carry */
    PARAM_COUNT,     /* pointers that a response must be able to carry */
    PARAM_BIN,
    PARAM_POINTERS, /* an array of ULONG64 */
    PARAM_TEXT,     /* a str without NUL */
    PARAM_MAP,      /* only of a result */
};

/* A parameter or a value of a result. */
struct param {
    const char *name; /* dbgeng's */
    enum param_type type;
};

/* What a call touches. Today every connection may make every call. */
enum wire_role {
    WIRE_ROLE_OWN,    /* nothing but the state of its own connection */
    WIRE_ROLE_LOOK,   /* it tells of the target */
    WIRE_ROLE_CHANGE, /* memory, ports or devices of the target may be others after it */
    WIRE_ROLE_RUN,    /* the target runs or halts by it */
};

enum wire_call {
#define CALL(name, ...) WIRE_CALL_##name,
#include "wire/calls.def"
    WIRE_CALLS /* how many there are */
};

struct wire_call_info {
    const char *name;     /* as it travels */
    const char *function; /* in C, without its prefix */
    const char *command;  /* of the command line client; NULL: none */
    enum wire_role role;
    struct param params[PARAMS_MOST + 1]; /* one without a name ends them */
    struct param results[PARAMS_MOST + 1];
};

/* What is known of a call. */
const struct wire_call_info *wire_call_info(enum wire_call call);
/* How many there are before the one without a name. */
uint32_t wire_params_count(const struct param *params);

#endif
