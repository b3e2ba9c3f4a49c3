/* Throws bytes at the frame scanner, and at what decodes the frames that it passes. The first byte
 * says how large the pieces are in which the rest arrives. */
#include "wire/frame.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Holds in every build, assert() does not. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* Scan the first message as it arrives. */
static enum frame_result scan(struct frame_scanner *scanner, const uint8_t *data, size_t size,
                              size_t piece)
{
    enum frame_result result = FRAME_INCOMPLETE;
    size_t there = 0;

    frame_scanner_init(scanner);
    while (result == FRAME_INCOMPLETE && there < size) {
        there = piece < size - there ? there + piece : size;
        /* Memory of its own, so that one byte too far is noticed. */
        uint8_t *copy = malloc(there);
        HOLDS(copy);
        memcpy(copy, data, there);
        result = frame_scan(scanner, copy, there);
        HOLDS(scanner->scanned <= there);
        HOLDS(result != FRAME_INCOMPLETE || there - scanner->scanned <= 8);
        free(copy);
    }
    return result;
}

/* What has passed can be read to its end. */
static void walk(const struct value *list)
{
    if (list->kind < VALUE_ARRAY)
        return;
    struct value_reader reader = list->list.first;
    uint64_t count = list->kind == VALUE_MAP ? 2 * (uint64_t)list->list.count : list->list.count;
    for (uint64_t i = 0; i < count; i++) {
        struct value value;
        HOLDS(value_read(&reader, &value));
        walk(&value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct frame_scanner whole, pieces;
    struct message message;
    const char *fault = NULL;

    if (size < 2)
        return 0;
    size_t piece = 1 + (size_t)data[0] % 16;
    data++;
    size--;
    enum frame_result result = scan(&whole, data, size, size);
    HOLDS(result == scan(&pieces, data, size, piece));
    HOLDS((result == FRAME_BAD) == (whole.fault != NULL));
    if (result != FRAME_COMPLETE)
        return 0;
    HOLDS(whole.scanned == pieces.scanned && whole.scanned <= WIRE_FRAME_MOST);
    /* What has passed is MessagePack: only its meaning may be wrong. */
    if (message_decode(&message, data, whole.scanned, &fault)) {
        walk(&message.params);
        walk(&message.result);
    } else {
        HOLDS(fault && strcmp(fault, "not a MessagePack value") != 0);
    }
    return 0;
}
