/* A MessagePack message that is not deep, taken apart without asking for memory: most are a few
 * numbers, a name and a buffer. What it does not take, msgpack-c does. Bytes of a stranger: nothing
 * beyond length is looked at, whatever they say. */
#ifndef SB_WIRE_SHALLOW_H
#define SB_WIRE_SHALLOW_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHALLOW_TOP_MOST    4u
#define SHALLOW_VALUES_MOST 8u

/* What the values of a message are kept in. */
struct shallow {
    msgpack_object top[SHALLOW_TOP_MOST];
    msgpack_object values[SHALLOW_VALUES_MOST]; /* of the one array among them */
};

/* The objects are those that msgpack_unpack_next would make of the same bytes; strings and buffers
 * point into bytes, arrays into shallow. False: it is no array of up to SHALLOW_TOP_MOST values,
 * all of them nil, booleans, integers, strs and bins but for one array of up to SHALLOW_VALUES_MOST
 * such; or it is not length bytes long. */
bool shallow_decode(struct shallow *shallow, msgpack_object *root, const uint8_t *bytes,
                    size_t length);

/* May this be a request for that method? False when it is certain that it is none. */
bool shallow_may_ask(const uint8_t *bytes, size_t length, const char *method);

#endif
