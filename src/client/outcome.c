/* Knows the shapes of responses and notifications, and the widths in which the daemon writes. */
#include "client/outcome.h"

#include <string.h>

void outcome_text_copy(char *to, size_t size, const msgpack_object *from)
{
    size_t length = from->via.str.size < size ? from->via.str.size : size - 1;

    if (length > 0) /* an empty one points nowhere */
        memcpy(to, from->via.str.ptr, length);
    to[length] = '\0';
}

bool outcome_failure_read(const msgpack_object *object, HRESULT *hr, const msgpack_object **text)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 2)
        return false;
    const msgpack_object *values = object->via.array.ptr;
    if (values[0].type != MSGPACK_OBJECT_NEGATIVE_INTEGER || values[0].via.i64 < INT32_MIN ||
        values[1].type != MSGPACK_OBJECT_STR)
        return false;
    *hr = (HRESULT)values[0].via.i64;
    *text = &values[1];
    return true;
}

bool outcome_read(const struct message *response, uint32_t outs, HRESULT *hr,
                  struct link_result *values, const msgpack_object **text)
{
    const msgpack_object *result = &response->result;

    if (response->error.type != MSGPACK_OBJECT_NIL)
        return outcome_failure_read(&response->error, hr, text);
    *text = NULL;
    if (result->type != MSGPACK_OBJECT_ARRAY || result->via.array.size < outs + 1 ||
        result->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        result->via.array.ptr[0].via.u64 > INT32_MAX)
        return false;
    *hr = (HRESULT)result->via.array.ptr[0].via.u64;
    *values = (struct link_result){.values = result->via.array.ptr + 1,
                                   .count = result->via.array.size - 1};
    return true;
}

/* What the daemon writes before the bytes of a large bin result: array, response, id, no error,
 * array, HRESULT, bin 32. Anything else goes the ordinary way. */
#define BULK_HEAD 15u

static uint32_t big_endian32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

bool outcome_bulk_begins(struct outcome_bulk *bulk, const uint8_t *bytes, size_t length,
                         const struct frame_scanner *scanner)
{
    static const uint8_t before[] = {0x94, MESSAGE_RESPONSE, 0xce}, after[] = {0xc0, 0x92};

    if (length < BULK_HEAD || memcmp(bytes, before, sizeof before) != 0 ||
        memcmp(bytes + 7, after, sizeof after) != 0 || bytes[9] > 0x7f || bytes[10] != 0xc6)
        return false;
    *bulk = (struct outcome_bulk){.id = big_endian32(bytes + 3),
                                  .hr = bytes[9],
                                  .head = BULK_HEAD,
                                  .size = big_endian32(bytes + 11)};
    return scanner->owed == 0 && scanner->scanned + scanner->payload == BULK_HEAD + bulk->size;
}
