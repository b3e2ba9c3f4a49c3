#include "wire/message.h"

#include <string.h>

const char message_no_memory[] = "out of memory";

static bool take_apart(struct message *message, const msgpack_object *object, const char **fault)
{
    if (object->type != MSGPACK_OBJECT_ARRAY || object->via.array.size < 3) {
        *fault = "a message must be an array of 3 or 4 values";
        return false;
    }
    const msgpack_object *values = object->via.array.ptr;
    uint32_t count = object->via.array.size;
    if (values[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        values[0].via.u64 > MESSAGE_NOTIFICATION) {
        *fault = "the message's type is not 0 (request), 1 (response) or 2 (notification)";
        return false;
    }
    message->type = (enum message_type)values[0].via.u64;
    if (count != (message->type == MESSAGE_NOTIFICATION ? 3u : 4u)) {
        *fault = "the message has the wrong number of values for its type";
        return false;
    }
    if (message->type == MESSAGE_NOTIFICATION) {
        message->method = values[1];
        message->params = values[2];
        return true;
    }
    if (values[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER || values[1].via.u64 > UINT32_MAX) {
        *fault = "the msgid is not an unsigned 32-bit integer";
        return false;
    }
    message->id = (uint32_t)values[1].via.u64;
    if (message->type == MESSAGE_REQUEST) {
        message->method = values[2];
        message->params = values[3];
    } else {
        message->error = values[2];
        message->result = values[3];
    }
    return true;
}

bool message_decode(struct message *message, const uint8_t *bytes, size_t length,
                    const char **fault)
{
    size_t used = 0;
    const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
    msgpack_object root;

    message->id = 0;
    message->method = message->params = message->error = message->result = nil;
    msgpack_unpacked_init(&message->store);
    if (shallow_decode(&message->shallow, &root, bytes, length))
        return take_apart(message, &root, fault);
    msgpack_unpack_return unpacked =
        msgpack_unpack_next(&message->store, (const char *)bytes, length, &used);
    if (unpacked == MSGPACK_UNPACK_NOMEM_ERROR)
        *fault = message_no_memory;
    else if (unpacked != MSGPACK_UNPACK_SUCCESS || used != length)
        *fault = "not a MessagePack value";
    else if (take_apart(message, &message->store.data, fault))
        return true;
    message_free(message);
    return false;
}

void message_free(struct message *message)
{
    msgpack_unpacked_destroy(&message->store);
}

void message_move(struct message *to, struct message *from)
{
    *to = *from;
    msgpack_unpacked_init(&from->store);
    msgpack_object *const arrays[] = {&to->params, &to->error, &to->result};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        if (arrays[i]->type == MSGPACK_OBJECT_ARRAY &&
            arrays[i]->via.array.ptr == from->shallow.values)
            arrays[i]->via.array.ptr = to->shallow.values;
}

bool message_text_is(const msgpack_object *object, const char *text)
{
    size_t length = strlen(text);
    return object->type == MSGPACK_OBJECT_STR && object->via.str.size == length &&
           memcmp(object->via.str.ptr, text, length) == 0;
}

const char *message_kind(const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "a boolean";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "an integer";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "a float";
    case MSGPACK_OBJECT_STR:
        return "a str";
    case MSGPACK_OBJECT_BIN:
        return "a bin";
    case MSGPACK_OBJECT_ARRAY:
        return "an array";
    case MSGPACK_OBJECT_MAP:
        return "a map";
    default:
        return "an extension";
    }
}
