/* Throws bytes at the packet reader, and at what is framed from them. The first byte chooses the
 * reader's settings and the second how large the pieces are. */
#include "rsp/packet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Holds in every build, assert() does not. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* A digest of all events, to compare two readings of the same bytes. */
static uint64_t digest(uint64_t value, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++)
        value = (value ^ at[i]) * 0x100000001b3;
    return value;
}

static uint64_t read_all(struct packet_reader *reader, const uint8_t *data, size_t size,
                         size_t piece)
{
    uint64_t value = 0xcbf29ce484222325;
    while (size > 0) {
        size_t left = piece < size ? piece : size;
        /* Memory of its own, so that one byte too far is noticed. */
        uint8_t *copy = malloc(left);
        HOLDS(copy);
        memcpy(copy, data, left);
        data += left;
        size -= left;
        const uint8_t *at = copy;
        enum packet_event event;
        while ((event = packet_next(reader, &at, &left)) != PACKET_NONE) {
            value = digest(value, &event, sizeof(event));
            if (event == PACKET_GARBAGE)
                value = digest(value, &reader->byte, 1);
            if (event != PACKET_DATA && event != PACKET_NOTIFICATION)
                continue;
            HOLDS(reader->length <= reader->limit);
            HOLDS(reader->payload[reader->length] == 0);
            value = digest(value, reader->payload, reader->length);
        }
        HOLDS(left == 0);
        free(copy);
    }
    return value;
}

static void read_raw(const uint8_t *data, size_t size, uint8_t settings, size_t piece)
{
    struct packet_reader whole, pieces;
    packet_reader_init(&whole, settings & 0x80 ? 64 : 100000);
    whole.keep_escapes = settings & 1;
    whole.no_rle = settings & 2;
    whole.ignore_checksum = settings & 4;
    pieces = whole;
    HOLDS(read_all(&whole, data, size, SIZE_MAX) == read_all(&pieces, data, size, piece));
    packet_reader_free(&whole);
    packet_reader_free(&pieces);
}

static void round_trip(const uint8_t *data, size_t size, bool rle)
{
    struct packet_reader reader;
    struct buffer out = {0};
    packet_reader_init(&reader, size);
    HOLDS(rle ? packet_frame_rle(&out, data, size) : packet_frame(&out, data, size, true));
    const uint8_t *at = buffer_bytes(&out);
    size_t left = out.length;
    HOLDS(packet_next(&reader, &at, &left) == PACKET_DATA && left == 0);
    HOLDS(reader.length == size && (size == 0 || memcmp(reader.payload, data, size) == 0));
    packet_reader_free(&reader);
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    read_raw(data + 2, size - 2, data[0], 1 + (size_t)data[1] % 16);
    round_trip(data + 2, size - 2, false);
    round_trip(data + 2, size - 2, true);
    return 0;
}
