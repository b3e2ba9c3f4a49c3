/* Results, taken apart as untrusted input. */
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
bool result_number(const struct value *object, uint64_t most, uint64_t *number);
/* A str, cut where it is too long for size bytes. */
bool result_text(const struct value *object, char *text, size_t size);
/* The same of the value that a map has for that key, which must be there. */
bool result_map_number(const struct value *map, const char *key, uint64_t most, uint64_t *number);
bool result_map_text(const struct value *map, const char *key, char *text, size_t size);

#endif
