/* What values may be that a call expects. */
#include "client/result.h"

/* The daemon sent something that this call cannot mean. */
HRESULT result_nonsense(spacebridge_t *sb)
{
    link_broken(&sb->link, "a result of the wrong type");
    return E_UNEXPECTED;
}

bool result_number(const struct value *object, uint64_t most, uint64_t *number)
{
    if (object->kind != VALUE_UNSIGNED || object->number > most)
        return false;
    *number = object->number;
    return true;
}

/* Copy a str; cut where it is too long. */
bool result_text(const struct value *object, char *text, size_t size)
{
    if (object->kind != VALUE_TEXT)
        return false;
    if (size > 0)
        value_text_copy(text, size, object);
    return true;
}

bool result_map_number(const struct value *map, const char *key, uint64_t most, uint64_t *number)
{
    struct value value;

    return value_of_key(map, key, &value) && result_number(&value, most, number);
}

bool result_map_text(const struct value *map, const char *key, char *text, size_t size)
{
    struct value value;

    return value_of_key(map, key, &value) && result_text(&value, text, size);
}
