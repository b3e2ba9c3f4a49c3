/* The three kinds of MessagePack-RPC message, taken apart. */
#ifndef SB_WIRE_MESSAGE_H
#define SB_WIRE_MESSAGE_H

#include "wire/value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum message_type { MESSAGE_REQUEST = 0, MESSAGE_RESPONSE = 1, MESSAGE_NOTIFICATION = 2 };

/* Its values point into the bytes that it was decoded from, and at nothing else: it may be copied,
 * and there is nothing to free. */
struct message {
    enum message_type type;
    uint32_t id;         /* not of a notification */
    struct value method; /* request, notification: of any kind, the caller checks it */
    struct value params; /* request, notification */
    struct value error;  /* response */
    struct value result; /* response */
};

/* Take apart a whole message that frame_scan has passed; bytes must stay as long as message is
 * used. False: *fault (static text) says why it is no message. */
bool message_decode(struct message *message, const uint8_t *bytes, size_t length,
                    const char **fault);

/* May this be a request for that method? Quick. False when it is certain that it is none. */
bool message_may_ask(const uint8_t *bytes, size_t length, const char *method);

#endif
