#include "client/result.h"

#include <string.h>

/* The daemon sent something that this call cannot mean. */
HRESULT result_nonsense(spacebridge_t *sb)
{
    link_broken(&sb->link, "a result of the wrong type");
    return E_UNEXPECTED;
}

bool result_number(const msgpack_object *object, uint64_t most, uint64_t *number)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > most)
        return false;
    *number = object->via.u64;
    return true;
}

/* Copy a str; cut where it is too long. */
bool result_text(const msgpack_object *object, char *text, size_t size)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    if (size > 0) {
        size_t length = object->via.str.size < size ? object->via.str.size : size - 1;
        if (length > 0) /* an empty one points nowhere */
            memcpy(text, object->via.str.ptr, length);
        text[length] = '\0';
    }
    return true;
}

/* The value of a map's key; NULL where it is not there. */
const msgpack_object *result_map_value(const msgpack_object *map, const char *key)
{
    for (uint32_t i = 0; i < map->via.map.size; i++)
        if (message_text_is(&map->via.map.ptr[i].key, key))
            return &map->via.map.ptr[i].val;
    return NULL;
}
