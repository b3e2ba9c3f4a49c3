#include "witness.h"

#include <check.h>
#include <string.h>

void witness_read(struct witness *witness, const uint8_t *bytes, size_t length)
{
    size_t used = 0;

    memset(witness, 0, sizeof *witness);
    msgpack_unpacked_init(&witness->store);
    ck_assert_int_eq(msgpack_unpack_next(&witness->store, (const char *)bytes, length, &used),
                     MSGPACK_UNPACK_SUCCESS);
    ck_assert_uint_eq(used, length);
    const msgpack_object *root = &witness->store.data, *values = root->via.array.ptr;
    ck_assert_int_eq(root->type, MSGPACK_OBJECT_ARRAY);
    ck_assert_uint_ge(root->via.array.size, 3);
    witness->type = (enum message_type)values[0].via.u64;
    ck_assert_uint_eq(root->via.array.size, witness->type == MESSAGE_NOTIFICATION ? 3 : 4);
    if (witness->type == MESSAGE_NOTIFICATION) {
        witness->method = values[1];
        witness->params = values[2];
        return;
    }
    witness->id = (uint32_t)values[1].via.u64;
    ck_assert_int_eq(values[1].type, MSGPACK_OBJECT_POSITIVE_INTEGER);
    ck_assert_int_eq(witness->type, MESSAGE_RESPONSE);
    witness->error = values[2];
    witness->result = values[3];
}

void witness_free(struct witness *witness)
{
    msgpack_unpacked_destroy(&witness->store);
}

bool witness_text_is(const msgpack_object *object, const char *text)
{
    return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
           memcmp(object->via.str.ptr, text, strlen(text)) == 0;
}

static bool same_bytes(const struct value_bytes *bytes, const char *at, uint32_t size)
{
    return bytes->size == size && (size == 0 || memcmp(bytes->at, at, size) == 0);
}

/* One after the other, and by their index. */
static bool same_list(const struct value *list, uint32_t index, const msgpack_object *object,
                      struct value_reader *reader)
{
    struct value next, direct;

    return value_read(reader, &next) && value_at(list, index, &direct) &&
           witness_agrees(&next, object) && witness_agrees(&direct, object);
}

static bool same_array(const struct value *value, const msgpack_object_array *array)
{
    struct value_reader reader = value->list.first;

    for (uint32_t i = 0; i < array->size; i++)
        if (!same_list(value, i, &array->ptr[i], &reader))
            return false;
    return value->list.count == array->size;
}

static bool same_map(const struct value *value, const msgpack_object_map *map)
{
    struct value_reader reader = value->list.first;

    for (uint32_t i = 0; i < map->size; i++)
        if (!same_list(value, 2 * i, &map->ptr[i].key, &reader) ||
            !same_list(value, 2 * i + 1, &map->ptr[i].val, &reader))
            return false;
    return value->list.count == map->size;
}

bool witness_agrees(const struct value *value, const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return value->kind == VALUE_NIL;
    case MSGPACK_OBJECT_BOOLEAN:
        return value->kind == VALUE_BOOLEAN && value->boolean == object->via.boolean;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return value->kind == VALUE_UNSIGNED && value->number == object->via.u64;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return value->kind == VALUE_NEGATIVE && value->negative == object->via.i64;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return value->kind == VALUE_FLOAT;
    case MSGPACK_OBJECT_STR:
        return value->kind == VALUE_TEXT &&
               same_bytes(&value->bytes, object->via.str.ptr, object->via.str.size);
    case MSGPACK_OBJECT_BIN:
        return value->kind == VALUE_BIN &&
               same_bytes(&value->bytes, object->via.bin.ptr, object->via.bin.size);
    case MSGPACK_OBJECT_ARRAY:
        return value->kind == VALUE_ARRAY && same_array(value, &object->via.array);
    case MSGPACK_OBJECT_MAP:
        return value->kind == VALUE_MAP && same_map(value, &object->via.map);
    default:
        return false;
    }
}
