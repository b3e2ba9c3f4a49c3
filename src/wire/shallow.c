#include "wire/shallow.h"

#include <string.h>

struct cursor {
    const uint8_t *at;
    size_t left;
};

static const uint8_t *take(struct cursor *cursor, uint64_t size)
{
    const uint8_t *at = cursor->at;
    if (size > cursor->left)
        return NULL;
    cursor->at += size;
    cursor->left -= (size_t)size;
    return at;
}

static bool take_number(struct cursor *cursor, unsigned width, uint64_t *number)
{
    const uint8_t *at = take(cursor, width);
    if (!at)
        return false;
    *number = 0;
    for (unsigned i = 0; i < width; i++)
        *number = *number << 8 | at[i];
    return true;
}

static bool take_unsigned(struct cursor *cursor, unsigned width, msgpack_object *out)
{
    out->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    return take_number(cursor, width, &out->via.u64);
}

static bool take_signed(struct cursor *cursor, unsigned width, msgpack_object *out)
{
    uint64_t number;
    if (!take_number(cursor, width, &number))
        return false;
    unsigned unused = 64 - 8 * width;
    if (number >> (8 * width - 1) == 0) {
        out->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        out->via.u64 = number;
    } else {
        out->type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
        out->via.i64 = (int64_t)(number << unused) >> unused;
    }
    return true;
}

static bool take_text(struct cursor *cursor, uint64_t size, msgpack_object *out)
{
    out->type = MSGPACK_OBJECT_STR;
    out->via.str.size = (uint32_t)size;
    return (out->via.str.ptr = (const char *)take(cursor, size)) != NULL;
}

static bool take_bin(struct cursor *cursor, uint64_t size, msgpack_object *out)
{
    out->type = MSGPACK_OBJECT_BIN;
    out->via.bin.size = (uint32_t)size;
    return (out->via.bin.ptr = (const char *)take(cursor, size)) != NULL;
}

/* One value that holds no others. */
static bool take_plain(struct cursor *cursor, msgpack_object *out)
{
    const uint8_t *head = take(cursor, 1);
    uint64_t size;

    if (!head)
        return false;
    if (*head <= 0x7f || *head >= 0xe0) { /* fixint */
        cursor->at--;
        cursor->left++;
        return take_signed(cursor, 1, out);
    }
    if (*head >= 0xa0 && *head <= 0xbf) /* fixstr */
        return take_text(cursor, *head & 0x1f, out);
    switch (*head) {
    case 0xc0:
        out->type = MSGPACK_OBJECT_NIL;
        return true;
    case 0xc2:
    case 0xc3:
        out->type = MSGPACK_OBJECT_BOOLEAN;
        out->via.boolean = *head == 0xc3;
        return true;
    case 0xc4: /* bin 8, 16, 32 */
    case 0xc5:
    case 0xc6:
        return take_number(cursor, 1u << (*head - 0xc4), &size) && take_bin(cursor, size, out);
    case 0xd9: /* str 8, 16, 32 */
    case 0xda:
    case 0xdb:
        return take_number(cursor, 1u << (*head - 0xd9), &size) && take_text(cursor, size, out);
    case 0xcc: /* uint 8, 16, 32, 64 */
    case 0xcd:
    case 0xce:
    case 0xcf:
        return take_unsigned(cursor, 1u << (*head - 0xcc), out);
    case 0xd0: /* int 8, 16, 32, 64 */
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_signed(cursor, 1u << (*head - 0xd0), out);
    default:
        return false;
    }
}

/* A fixarray's head; returns how many values it has, -1: it is none. */
static int take_array(struct cursor *cursor)
{
    if (cursor->left == 0 || *cursor->at < 0x90 || *cursor->at > 0x9f)
        return -1;
    return *take(cursor, 1) & 0x0f;
}

static void make_array(msgpack_object *out, msgpack_object *values, int count)
{
    out->type = MSGPACK_OBJECT_ARRAY;
    out->via.array.size = (uint32_t)count;
    out->via.array.ptr = values;
}

bool shallow_decode(struct shallow *shallow, msgpack_object *root, const uint8_t *bytes,
                    size_t length)
{
    struct cursor cursor = {.at = bytes, .left = length};
    int count = take_array(&cursor), inner = -1;

    if (count < 1 || count > (int)SHALLOW_TOP_MOST)
        return false;
    for (int i = 0; i < count; i++) {
        int values = inner < 0 ? take_array(&cursor) : -1;
        if (values > (int)SHALLOW_VALUES_MOST)
            return false;
        if (values < 0) {
            if (!take_plain(&cursor, &shallow->top[i]))
                return false;
            continue;
        }
        inner = values;
        for (int k = 0; k < values; k++)
            if (!take_plain(&cursor, &shallow->values[k]))
                return false;
        make_array(&shallow->top[i], shallow->values, values);
    }
    make_array(root, shallow->top, count);
    return cursor.left == 0;
}

bool shallow_may_ask(const uint8_t *bytes, size_t length, const char *method)
{
    struct cursor cursor = {.at = bytes, .left = length};
    msgpack_object type, id, name;

    if (take_array(&cursor) < 0)
        return true;
    if (!take_plain(&cursor, &type) || !take_plain(&cursor, &id) || !take_plain(&cursor, &name))
        return true;
    size_t size = strlen(method);
    return name.type == MSGPACK_OBJECT_STR && name.via.str.size == size &&
           memcmp(name.via.str.ptr, method, size) == 0;
}
