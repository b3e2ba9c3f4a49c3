/* The three kinds of MessagePack-RPC message, taken apart. */
#ifndef SB_WIRE_MESSAGE_H
#define SB_WIRE_MESSAGE_H

#include "wire/shallow.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_type { MESSAGE_REQUEST = 0, MESSAGE_RESPONSE = 1, MESSAGE_NOTIFICATION = 2 };

struct message {
    enum message_type type;
    uint32_t id;           /* not of a notification */
    msgpack_object method; /* request, notification: of any type, the caller checks it */
    msgpack_object params; /* request, notification */
    msgpack_object error;  /* response */
    msgpack_object result; /* response */
    /* what the objects live in: the one or the other */
    msgpack_unpacked store;
    struct shallow shallow;
};

/* Take apart a whole message that frame_scan has passed. Strings and buffers are not copied: they
 * point into bytes, which must stay until message_free. False: *fault (static text) says why it is
 * no message, or is message_no_memory; there is nothing to free. */
extern const char message_no_memory[];
bool message_decode(struct message *message, const uint8_t *bytes, size_t length,
                    const char **fault);
void message_free(struct message *message);
/* Move a message that was decoded to another place; there is nothing to free in from after it. (Its
 * objects may point into itself.) */
void message_move(struct message *to, struct message *from);

/* Is object the str text, byte for byte? */
bool message_text_is(const msgpack_object *object, const char *text);
/* "an integer", "a str": what an object is, for messages. */
const char *message_kind(const msgpack_object *object);

#endif
