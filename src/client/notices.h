/* What the daemon says unasked: the notifications that are kept for the caller, and the warning
 * that comes before an answer. */
#ifndef SB_CLIENT_NOTICES_H
#define SB_CLIENT_NOTICES_H

#include "client/message_size.h"
#include "spacebridge/spacebridge.h"
#include "wire/message.h"

#include <stdbool.h>
#include <stddef.h>

#define NOTICES_MOST 64

/* Zero-initialise. */
struct notices {
    struct spacebridge_notification *kept; /* a ring of NOTICES_MOST; NULL: none ever came */
    size_t first, count;
    char warning[CLIENT_MESSAGE_SIZE]; /* of the call that is answered next; "": none */
};

void notices_free(struct notices *notices);
/* Keep a notification, in the place of the oldest where there are too many. False: it is the one
 * that says why the daemon hangs up; last_words is its text (a str) then. */
bool notices_take(struct notices *notices, const struct message *message, struct value *last_words);
/* The oldest; false: there is none. */
bool notices_pop(struct notices *notices, struct spacebridge_notification *notification);

#endif
