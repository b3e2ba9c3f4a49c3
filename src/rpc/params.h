/* The parameters of a call: what they may be, and the check that nothing else gets through. Pure:
 * it changes nothing but its outputs. */
#ifndef SB_RPC_PARAMS_H
#define SB_RPC_PARAMS_H

#include "wire/calls.h"
#include "wire/value.h"

#include <stdbool.h>
#include <stdint.h>

#define PARAMS_MESSAGE_SIZE 1024

/* A parameter that was found good; its type says which member counts. */
union argument {
    uint64_t number;
    int32_t interface_type;
    struct value_bytes bin;
    struct value_list pointers;
    struct value_bytes text;
};

/* Check object, a request's params, against the count parameters that the call takes. True:
 * arguments are set. False: message (PARAMS_MESSAGE_SIZE bytes) names the call, the parameter and
 * what is wrong. */
bool params_check(const char *call, const struct param *params, unsigned count,
                  const struct value *object, union argument *arguments, char *message);

#endif
