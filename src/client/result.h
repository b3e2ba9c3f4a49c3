/* Results, taken apart with the distrust that a stranger deserves. */
#ifndef SB_CLIENT_RESULT_H
#define SB_CLIENT_RESULT_H

#include "client/link.h"

#include <stdbool.h>

struct spacebridge {
    struct link link;
};

/* The daemon sent something that the call cannot mean: the connection is lost, E_UNEXPECTED. */
HRESULT result_nonsense(spacebridge_t *sb);

/* An integer from 0 to most. */
bool result_number(const msgpack_object *object, uint64_t most, uint64_t *number);
/* A str, cut where it is too long for size bytes. */
bool result_text(const msgpack_object *object, char *text, size_t size);
/* The value of a map's key; NULL where it is not there. */
const msgpack_object *result_map_value(const msgpack_object *map, const char *key);

#endif
