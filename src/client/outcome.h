/* What responses and notifications say, taken apart as untrusted input: no state, no
 * socket. */
#ifndef SB_CLIENT_OUTCOME_H
#define SB_CLIENT_OUTCOME_H

#include "spacebridge/hresult.h"
#include "wire/calls.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values after the HRESULT of a result, as many as were asked for; valid as long as their
 * message. */
struct link_result {
    struct value values[PARAMS_MOST];
};

/* [HRESULT, message], as errors and notifications carry it. False where it is anything else. */
bool outcome_failure_read(const struct value *object, HRESULT *hr, struct value *text);
/* The outcome that a response tells: its HRESULT, with values on success (the first outs of them),
 * with text on failure (nil on success). False when it is of the wrong shape. */
bool outcome_read(const struct message *response, uint32_t outs, HRESULT *hr,
                  struct link_result *values, struct value *text);

/* A response that has begun to come: one large bin as the whole result of a success. */
struct outcome_bulk {
    uint32_t id;
    HRESULT hr;
    size_t head; /* bytes before those of the bin */
    size_t size; /* bytes of the bin */
};
/* Is that what begins at bytes, of which length are here and scanned? */
bool outcome_bulk_begins(struct outcome_bulk *bulk, const uint8_t *bytes, size_t length,
                         const struct frame_scanner *scanner);

#endif
