/* Hides what is counted to find the end of a message, and to refuse one that would cost too much.
 */
#include "wire/frame.h"

#include "wire/head.h"

#include <stdbool.h>

static enum frame_result bad(struct frame_scanner *scanner, const char *fault)
{
    scanner->fault = fault;
    return FRAME_BAD;
}

/* Take one value's head into account; false when the message cannot be a good one any more. */
static bool value_begin(struct frame_scanner *scanner, const struct head *head)
{
    if (scanner->depth == 0 &&
        (!head_is_container(head) || head->children < 3 || head->children > 4)) {
        scanner->fault = "a message must be an array of 3 or 4 values";
        return false;
    }
    if (scanner->depth > 0)
        scanner->left[scanner->depth - 1]--;
    scanner->owed += head->children;
    scanner->owed--;
    scanner->elements += head->children;
    if (head_is_container(head)) {
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
