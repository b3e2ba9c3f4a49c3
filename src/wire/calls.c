/* The rows of wire/calls.def as a table. */
#include "wire/calls.h"

#include <stddef.h>

/* No two versions of clang-format lay these out alike. */
/* clang-format off */
#define VALUE(name, type) {#name, PARAM_##type}
#define VALUES(...) {__VA_ARGS__}
/* clang-format on */

static const struct wire_call_info calls[] = {
#define CALL(name, function, command, role, params, results)                                       \
    [WIRE_CALL_##name] = {#name, #function, command, WIRE_ROLE_##role, params, results},
#include "wire/calls.def"
};

const struct wire_call_info *wire_call_info(enum wire_call call)
{
    return &calls[call];
}

uint32_t wire_params_count(const struct param *params)
{
    uint32_t count = 0;

    while (params[count].name)
        count++;
    return count;
}
