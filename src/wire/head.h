/* The head of one MessagePack value: everything before its payload or its children. The one place
 * that knows the format's bytes when reading, but for the heads of large bins, which both ends
 * recognise before the message is whole (client/outcome.c, rpc/bulk_write.c). Inline: every value
 * of every message passes here. */
#ifndef SB_WIRE_HEAD_H
#define SB_WIRE_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum head_kind {
    HEAD_NIL,
    HEAD_BOOLEAN,
    HEAD_FIXED,    /* an integer that is its own head */
    HEAD_UNSIGNED, /* an integer as payload */
    HEAD_SIGNED,   /* the same, in two's complement */
    HEAD_FLOAT,
    HEAD_TEXT,
    HEAD_BIN,
    HEAD_ARRAY,
    HEAD_MAP,
};

struct head {
    enum head_kind kind;
    size_t size;       /* bytes of the head */
    uint64_t payload;  /* bytes behind it, below 2^32 */
    uint64_t children; /* values behind it, two for each pair of a map, below 2^33 */
};

enum head_result {
    HEAD_WHOLE,
    HEAD_SHORT, /* it goes on beyond what is here */
    HEAD_BAD,   /* no value begins so (extension types are not spoken) */
};

/* A number of width bytes, the most significant first. */
static inline uint64_t head_number(const uint8_t *bytes, size_t width)
{
    uint64_t number = 0;

    for (size_t i = 0; i < width; i++)
        number = number << 8 | bytes[i];
    return number;
}

/* A str, bin, array or map whose count of width bytes follows its first byte. */
static inline enum head_result head_counted(struct head *head, enum head_kind kind,
                                            const uint8_t *bytes, size_t length, unsigned width)
{
    if (length < 1 + (size_t)width)
        return HEAD_SHORT;
    uint64_t count = head_number(bytes + 1, width);
    head->kind = kind;
    head->size = 1 + width;
    head->payload = kind < HEAD_ARRAY ? count : 0;
    head->children = kind == HEAD_ARRAY ? count : kind == HEAD_MAP ? 2 * count : 0;
    return HEAD_WHOLE;
}

static inline enum head_result head_sized(struct head *head, enum head_kind kind, uint64_t payload)
{
    head->kind = kind;
    head->payload = payload;
    return HEAD_WHOLE;
}

/* Of a first byte from 0xc0 to 0xdf. */
static inline enum head_result head_read_long(struct head *head, const uint8_t *bytes,
                                              size_t length)
{
    uint8_t first = bytes[0];

    switch (first) {
    case 0xc0: /* nil */
        return head_sized(head, HEAD_NIL, 0);
    case 0xc2: /* false */
    case 0xc3: /* true */
        return head_sized(head, HEAD_BOOLEAN, 0);
    case 0xc4: /* bin 8, 16, 32 */
    case 0xc5:
    case 0xc6:
        return head_counted(head, HEAD_BIN, bytes, length, 1u << (first - 0xc4));
    case 0xca: /* float 32, 64 */
    case 0xcb:
        return head_sized(head, HEAD_FLOAT, first == 0xca ? 4 : 8);
    case 0xcc: /* uint 8, 16, 32, 64 */
    case 0xcd:
    case 0xce:
    case 0xcf:
        return head_sized(head, HEAD_UNSIGNED, (uint64_t)1 << (first - 0xcc));
    case 0xd0: /* int 8, 16, 32, 64 */
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return head_sized(head, HEAD_SIGNED, (uint64_t)1 << (first - 0xd0));
    case 0xd9: /* str 8, 16, 32 */
    case 0xda:
    case 0xdb:
        return head_counted(head, HEAD_TEXT, bytes, length, 1u << (first - 0xd9));
    case 0xdc: /* array 16, 32 */
    case 0xdd:
        return head_counted(head, HEAD_ARRAY, bytes, length, 2u << (first - 0xdc));
    case 0xde: /* map 16, 32 */
    case 0xdf:
        return head_counted(head, HEAD_MAP, bytes, length, 2u << (first - 0xde));
    default: /* 0xc1 is never used; the extension types mean nothing here */
        return HEAD_BAD;
    }
}

/* Read the head of the value at bytes, of which length (at least 1) are here. No more is looked at,
 * whatever they say. */
static inline enum head_result head_read(struct head *head, const uint8_t *bytes, size_t length)
{
    uint8_t first = bytes[0];

    *head = (struct head){.size = 1};
    if (first <= 0x7f || first >= 0xe0)
        return head_sized(head, HEAD_FIXED, 0);
    if (first <= 0x8f) {
        head->kind = HEAD_MAP;
        head->children = (first & 0x0f) * 2u;
        return HEAD_WHOLE;
    }
    if (first <= 0x9f) {
        head->kind = HEAD_ARRAY;
        head->children = first & 0x0f;
        return HEAD_WHOLE;
    }
    if (first <= 0xbf)
        return head_sized(head, HEAD_TEXT, first & 0x1f);
    return head_read_long(head, bytes, length);
}

/* Does it hold other values? */
static inline bool head_is_container(const struct head *head)
{
    return head->kind >= HEAD_ARRAY;
}

#endif
