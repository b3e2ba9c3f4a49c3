/* Knows which value of a message is what. */
#include "wire/message.h"

#include <string.h>

static bool bad(const char **fault, const char *text)
{
    *fault = text;
    return false;
}

/* Read the type, of a message of count values, and the id where there is one. */
static bool read_head(struct message *message, struct value_reader *reader, uint32_t count,
                      const char **fault)
{
    struct value value;

    if (!value_read(reader, &value) || value.kind != VALUE_UNSIGNED ||
        value.number > MESSAGE_NOTIFICATION)
        return bad(fault,
                   "the message's type is not 0 (request), 1 (response) or 2 (notification)");
    message->type = (enum message_type)value.number;
    if (count != (message->type == MESSAGE_NOTIFICATION ? 3u : 4u))
        return bad(fault, "the message has the wrong number of values for its type");
    message->id = 0;
    if (message->type == MESSAGE_NOTIFICATION)
        return true;
    if (!value_read(reader, &value) || value.kind != VALUE_UNSIGNED || value.number > UINT32_MAX)
        return bad(fault, "the msgid is not an unsigned 32-bit integer");
    message->id = (uint32_t)value.number;
    return true;
}

bool message_decode(struct message *message, const uint8_t *bytes, size_t length,
                    const char **fault)
{
    struct value_reader reader = {.at = bytes, .end = bytes + length};
    struct value root;

    if (!value_enter(&reader, &root) || root.kind != VALUE_ARRAY || root.list.count < 3 ||
        root.list.count > 4)
        return bad(fault, "a message must be an array of 3 or 4 values");
    if (!read_head(message, &reader, root.list.count, fault))
        return false;
    bool response = message->type == MESSAGE_RESPONSE;
    message->method.kind = message->params.kind = VALUE_NIL;
    message->error.kind = message->result.kind = VALUE_NIL;
    if (!value_read(&reader, response ? &message->error : &message->method) ||
        !value_read(&reader, response ? &message->result : &message->params) ||
        reader.at != reader.end)
        return bad(fault, "not a MessagePack value");
    return true;
}

bool message_may_ask(const uint8_t *bytes, size_t length, const char *method)
{
    struct value_reader reader = {.at = bytes, .end = bytes + length};
    struct value root, values[3];

    if (!value_enter(&reader, &root) || root.kind != VALUE_ARRAY)
        return true;
    for (unsigned i = 0; i < 3; i++)
        if (!value_enter(&reader, &values[i]) || values[i].kind >= VALUE_ARRAY)
            return true;
    return value_text_is(&values[2], method);
}
