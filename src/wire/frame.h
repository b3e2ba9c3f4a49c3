/* Where one MessagePack message ends, found in untrusted bytes: nothing is allocated, nothing is
 * believed, and no byte is looked at twice however slowly they come. A message that passes can
 * be decoded without more memory than its limits allow. */
#ifndef SB_WIRE_FRAME_H
#define SB_WIRE_FRAME_H

#include "wire/protocol.h"

#include <stddef.h>
#include <stdint.h>

enum frame_result {
    FRAME_INCOMPLETE, /* as far as the bytes go the message is good; it goes on */
    FRAME_COMPLETE,   /* the message is scanned bytes long */
    FRAME_BAD,        /* fault says what is wrong; it stays bad */
};

struct frame_scanner {
    size_t scanned;   /* bytes that have been looked at, from the message's first */
    uint64_t payload; /* bytes of the current str, bin or number that are still to be passed over */
    uint64_t owed;    /* values that were announced and have not begun yet, each a byte at least */
    uint64_t elements; /* values that were announced so far */
    unsigned depth;
    uint64_t left[WIRE_DEPTH_MOST]; /* values still to begin, of each array or map that is open */
    const char *fault;              /* static text */
};

/* At the start of each message. */
void frame_scanner_init(struct frame_scanner *scanner);

/* Go on scanning. bytes is where the message begins (not where the last call ended), length what is
 * there of it so far. On FRAME_INCOMPLETE up to 8 bytes may stay unscanned: the head of a value
 * that is not whole yet. */
enum frame_result frame_scan(struct frame_scanner *scanner, const uint8_t *bytes, size_t length);

#endif
