/* Messages as msgpack-c reads them: a witness that is none of ours for what the daemon sends. */
#ifndef SB_TESTS_WITNESS_H
#define SB_TESTS_WITNESS_H

#include "wire/message.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct witness {
    enum message_type type;
    uint32_t id; /* not of a notification */
    msgpack_object method, params, error, result;
    msgpack_unpacked store; /* what they live in */
};

/* Take a whole message apart; the test fails where it is none. bytes must stay until witness_free,
 * which a zeroed one may be given, too. */
void witness_read(struct witness *witness, const uint8_t *bytes, size_t length);
void witness_free(struct witness *witness);

/* Is object the str text, byte for byte? */
bool witness_text_is(const msgpack_object *object, const char *text);
/* Did our codec find in these bytes what msgpack-c finds? */
bool witness_agrees(const struct value *value, const msgpack_object *object);

#endif
