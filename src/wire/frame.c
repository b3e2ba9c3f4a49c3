#include "wire/frame.h"

#include <stdbool.h>

/* The head of one value: everything before its payload or its children. */
struct head {
    size_t size;
    uint64_t payload;
    uint64_t children;
    bool container;
};

enum head_result { HEAD_WHOLE, HEAD_SHORT, HEAD_BAD };

static uint64_t big_endian(const uint8_t *bytes, unsigned width)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < width; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* A str or bin (container: false), array or map whose count of width bytes follows its first byte.
 */
static enum head_result counted(struct head *head, const uint8_t *bytes, size_t length,
                                unsigned width, unsigned children)
{
    if (length < 1 + (size_t)width)
        return HEAD_SHORT;
    uint64_t count = big_endian(bytes + 1, width);
    head->size = 1 + width;
    head->container = children > 0;
    head->children = count * children; /* at most 2 * (2^32 - 1) */
    head->payload = children > 0 ? 0 : count;
    return HEAD_WHOLE;
}

/* Read the head of the value at bytes (length >= 1). */
static enum head_result head_read(struct head *head, const uint8_t *bytes, size_t length)
{
    uint8_t first = bytes[0];

    *head = (struct head){.size = 1};
    if (first <= 0x7f || first >= 0xe0) /* fixint */
        return HEAD_WHOLE;
    if (first <= 0x9f) { /* fixmap, fixarray */
        head->container = true;
        head->children = (first & 0x0f) * (first <= 0x8f ? 2u : 1u);
        return HEAD_WHOLE;
    }
    if (first <= 0xbf) { /* fixstr */
        head->payload = first & 0x1f;
        return HEAD_WHOLE;
    }
    switch (first) {
    case 0xc0: /* nil */
    case 0xc2: /* false */
    case 0xc3: /* true */
        return HEAD_WHOLE;
    case 0xc4: /* bin 8, 16, 32 */
    case 0xd9: /* str 8 */
        return counted(head, bytes, length, 1, 0);
    case 0xc5:
    case 0xda:
        return counted(head, bytes, length, 2, 0);
    case 0xc6:
    case 0xdb:
        return counted(head, bytes, length, 4, 0);
    case 0xdc: /* array 16, 32 */
        return counted(head, bytes, length, 2, 1);
    case 0xdd:
        return counted(head, bytes, length, 4, 1);
    case 0xde: /* map 16, 32 */
        return counted(head, bytes, length, 2, 2);
    case 0xdf:
        return counted(head, bytes, length, 4, 2);
    case 0xcc: /* uint 8, 16, 32, 64 */
    case 0xcd:
    case 0xce:
    case 0xcf:
        head->payload = (uint64_t)1 << (first - 0xcc);
        return HEAD_WHOLE;
    case 0xd0: /* int 8, 16, 32, 64 */
    case 0xd1:
    case 0xd2:
    case 0xd3:
        head->payload = (uint64_t)1 << (first - 0xd0);
        return HEAD_WHOLE;
    case 0xca: /* float 32, 64 */
        head->payload = 4;
        return HEAD_WHOLE;
    case 0xcb:
        head->payload = 8;
        return HEAD_WHOLE;
    default: /* 0xc1 is never used; the extension types mean nothing here */
        return HEAD_BAD;
    }
}

static enum frame_result bad(struct frame_scanner *scanner, const char *fault)
{
    scanner->fault = fault;
    return FRAME_BAD;
}

/* Take one value's head into account; false when the message cannot be a good one any more. */
static bool value_begin(struct frame_scanner *scanner, const struct head *head)
{
    if (scanner->depth == 0 && (!head->container || head->children < 3 || head->children > 4)) {
        scanner->fault = "a message must be an array of 3 or 4 values";
        return false;
    }
    if (scanner->depth > 0)
        scanner->left[scanner->depth - 1]--;
    scanner->owed += head->children;
    scanner->owed--;
    scanner->elements += head->children;
    if (head->container) {
        if (scanner->depth == WIRE_DEPTH_MOST) {
            scanner->fault = "arrays and maps are nested more than 8 deep";
            return false;
        }
        scanner->left[scanner->depth++] = head->children;
    }
    scanner->scanned += head->size;
    scanner->payload = head->payload;
    /* No sum can overflow: each count is below 2^33, and elements stops their number. */
    if (scanner->scanned + scanner->payload + scanner->owed > WIRE_FRAME_MOST) {
        scanner->fault = "the message is longer than 64 MiB";
        return false;
    }
    if (scanner->elements > WIRE_ELEMENTS_MOST) {
        scanner->fault = "the message has more than 8388608 values";
        return false;
    }
    while (scanner->depth > 0 && scanner->left[scanner->depth - 1] == 0)
        scanner->depth--;
    return true;
}

void frame_scanner_init(struct frame_scanner *scanner)
{
    *scanner = (struct frame_scanner){.owed = 1, .elements = 1};
}

enum frame_result frame_scan(struct frame_scanner *scanner, const uint8_t *bytes, size_t length)
{
    if (scanner->fault)
        return FRAME_BAD;
    for (;;) {
        uint64_t here = length - scanner->scanned;
        if (here > scanner->payload)
            here = scanner->payload;
        scanner->scanned += (size_t)here;
        scanner->payload -= here;
        if (scanner->payload > 0)
            return FRAME_INCOMPLETE;
        if (scanner->owed == 0)
            return FRAME_COMPLETE;
        if (scanner->scanned == length)
            return FRAME_INCOMPLETE;

        struct head head;
        switch (head_read(&head, bytes + scanner->scanned, length - scanner->scanned)) {
        case HEAD_WHOLE:
            break;
        case HEAD_SHORT:
            return FRAME_INCOMPLETE;
        case HEAD_BAD:
            return bad(scanner, "a byte that begins no value (extension types are not spoken)");
        }
        if (!value_begin(scanner, &head))
            return FRAME_BAD;
    }
}
