/* Hides how numbers are laid out and how one gets from a value to the next. */
#include "wire/value.h"

#include "wire/head.h"

#include <string.h>

/* Read a head whose payload is here, too, and pass over both. */
static bool take(struct value_reader *reader, struct head *head, const uint8_t **payload)
{
    size_t left = (size_t)(reader->end - reader->at);

    if (left == 0 || head_read(head, reader->at, left) != HEAD_WHOLE ||
        head->payload > left - head->size)
        return false;
    *payload = reader->at + head->size;
    reader->at = *payload + head->payload;
    return true;
}

static void set_signed(struct value *value, int64_t number)
{
    value->kind = number < 0 ? VALUE_NEGATIVE : VALUE_UNSIGNED;
    if (number < 0)
        value->negative = number;
    else
        value->number = (uint64_t)number;
}

/* width: 1, 2, 4 or 8 bytes. */
static int64_t sign_extend(uint64_t number, size_t width)
{
    uint64_t sign = (uint64_t)1 << (8 * width - 1) % 64;

    return (int64_t)((number ^ sign) - sign);
}

bool value_enter(struct value_reader *reader, struct value *value)
{
    const uint8_t *payload, *begin = reader->at;
    struct head head;

    if (!take(reader, &head, &payload))
        return false;
    switch (head.kind) {
    case HEAD_NIL:
        value->kind = VALUE_NIL;
        break;
    case HEAD_BOOLEAN:
        value->kind = VALUE_BOOLEAN;
        value->boolean = *begin == 0xc3;
        break;
    case HEAD_FIXED:
        set_signed(value, sign_extend(*begin, 1));
        break;
    case HEAD_UNSIGNED:
        value->kind = VALUE_UNSIGNED;
        value->number = head_number(payload, (size_t)head.payload);
        break;
    case HEAD_SIGNED:
        set_signed(value,
                   sign_extend(head_number(payload, (size_t)head.payload), (size_t)head.payload));
        break;
    case HEAD_FLOAT:
        value->kind = VALUE_FLOAT;
        break;
    case HEAD_TEXT:
    case HEAD_BIN:
        value->kind = head.kind == HEAD_TEXT ? VALUE_TEXT : VALUE_BIN;
        value->bytes = (struct value_bytes){.at = payload, .size = (uint32_t)head.payload};
        break;
    case HEAD_ARRAY:
    case HEAD_MAP:
        value->kind = head.kind == HEAD_ARRAY ? VALUE_ARRAY : VALUE_MAP;
        value->list = (struct value_list){
            .first = *reader,
            .count = (uint32_t)(head.kind == HEAD_MAP ? head.children / 2 : head.children)};
        break;
    }
    return true;
}

/* Pass over count values and all that is in them. No sum can overflow: each value is a byte at
 * least, and announces less than 2^33 others. */
static bool skip(struct value_reader *reader, uint64_t count)
{
    const uint8_t *payload;
    struct head head;

    for (; count > 0; count += head.children - 1)
        if (!take(reader, &head, &payload))
            return false;
    return true;
}

static uint64_t values_inside(const struct value *value)
{
    return value->kind == VALUE_ARRAY ? value->list.count
           : value->kind == VALUE_MAP ? 2 * (uint64_t)value->list.count
                                      : 0;
}

bool value_read(struct value_reader *reader, struct value *value)
{
    return value_enter(reader, value) && skip(reader, values_inside(value));
}

bool value_at(const struct value *list, uint32_t index, struct value *value)
{
    if (index >= values_inside(list))
        return false;
    struct value_reader reader = list->list.first;
    return skip(&reader, index) && value_enter(&reader, value);
}

bool value_of_key(const struct value *map, const char *key, struct value *value)
{
    struct value name;

    if (map->kind != VALUE_MAP)
        return false;
    struct value_reader reader = map->list.first;
    for (uint32_t i = 0; i < map->list.count; i++) {
        if (!value_read(&reader, &name) || !value_read(&reader, value))
            return false;
        if (value_text_is(&name, key))
            return true;
    }
    return false;
}

bool value_text_is(const struct value *value, const char *text)
{
    size_t length = strlen(text);

    return value->kind == VALUE_TEXT && value->bytes.size == length &&
           memcmp(value->bytes.at, text, length) == 0;
}

void value_text_copy(char *to, size_t size, const struct value *text)
{
    size_t length = text->bytes.size < size ? text->bytes.size : size - 1;

    memcpy(to, text->bytes.at, length);
    to[length] = '\0';
}

const char *value_kind_text(const struct value *value)
{
    static const char *const texts[] = {
        [VALUE_NIL] = "nil",
        [VALUE_BOOLEAN] = "a boolean",
        [VALUE_UNSIGNED] = "an integer",
        [VALUE_NEGATIVE] = "an integer",
        [VALUE_FLOAT] = "a float",
        [VALUE_TEXT] = "a str",
        [VALUE_BIN] = "a bin",
        [VALUE_ARRAY] = "an array",
        [VALUE_MAP] = "a map",
    };
    return texts[value->kind];
}
