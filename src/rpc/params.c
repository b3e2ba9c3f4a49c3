#include "rpc/params.h"

#include "wire/message.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
    const char *call, *param;
    char *message;
};

static bool refuse(const struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(const struct check *check, const char *format, ...)
{
    char reason[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    snprintf(check->message, PARAMS_MESSAGE_SIZE, "%s: %s %s", check->call, check->param, reason);
    return false;
}

/* An integer from 0 to most. */
static bool check_unsigned(const struct check *check, const msgpack_object *object, uint64_t most,
                           uint64_t *number)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return refuse(check, "is negative (%" PRId64 ")", object->via.i64);
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return refuse(check, "must be an integer, not %s", message_kind(object));
    if (object->via.u64 > most)
        return refuse(check, "%" PRIu64 " is over %" PRIu64, object->via.u64, most);
    *number = object->via.u64;
    return true;
}

/* A count of things that one response must be able to carry. */
static bool check_size(const struct check *check, const msgpack_object *object, uint64_t most,
                       const char *what, uint64_t *number)
{
    if (!check_unsigned(check, object, UINT64_MAX, number))
        return false;
    if (*number > most)
        return refuse(check, "%" PRIu64 " is over %" PRIu64 ", the most %s that one answer carries",
                      *number, most, what);
    return true;
}

static bool check_interface(const struct check *check, const msgpack_object *object, int32_t *type)
{
    uint64_t number;

    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER && object->via.i64 >= INT32_MIN) {
        *type = (int32_t)object->via.i64;
        return true;
    }
    if (!check_unsigned(check, object, UINT32_MAX, &number))
        return false;
    *type = (int32_t)(uint32_t)number; /* a C client's ULONG holds Undefined as 0xffffffff */
    return true;
}

static bool check_pointers(const struct check *check, const msgpack_object *object,
                           msgpack_object_array *pointers)
{
    if (object->type != MSGPACK_OBJECT_ARRAY)
        return refuse(check, "must be an array of integers, not %s", message_kind(object));
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        const msgpack_object *pointer = &object->via.array.ptr[i];
        if (pointer->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
            return refuse(check, "element %" PRIu32 " is negative (%" PRId64 ")", i,
                          pointer->via.i64);
        if (pointer->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            return refuse(check, "element %" PRIu32 " must be an integer, not %s", i,
                          message_kind(pointer));
    }
    *pointers = object->via.array;
    return true;
}

static bool check_text(const struct check *check, const msgpack_object *object,
                       msgpack_object_str *text)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return refuse(check, "must be a str, not %s", message_kind(object));
    if (object->via.str.size > 0 && memchr(object->via.str.ptr, 0, object->via.str.size))
        return refuse(check, "has a NUL in it");
    *text = object->via.str;
    return true;
}

static bool check_bin(const struct check *check, const msgpack_object *object,
                      msgpack_object_bin *bin)
{
    if (object->type != MSGPACK_OBJECT_BIN)
        return refuse(check, "must be a bin, not %s%s", message_kind(object),
                      object->type == MSGPACK_OBJECT_STR ? " (a str is text, never a buffer)" : "");
    *bin = object->via.bin;
    return true;
}

static bool check_one(const struct check *check, enum param_type type, const msgpack_object *object,
                      union argument *argument)
{
    switch (type) {
    case PARAM_ULONG64:
        return check_unsigned(check, object, UINT64_MAX, &argument->number);
    case PARAM_ULONG:
        return check_unsigned(check, object, UINT32_MAX, &argument->number);
    case PARAM_INTERFACE:
        return check_interface(check, object, &argument->interface_type);
    case PARAM_SIZE:
        return check_size(check, object, WIRE_BUFFER_MOST, "bytes", &argument->number);
    case PARAM_COUNT:
        return check_size(check, object, WIRE_POINTERS_MOST, "pointers", &argument->number);
    case PARAM_BIN:
        return check_bin(check, object, &argument->bin);
    case PARAM_POINTERS:
        return check_pointers(check, object, &argument->pointers);
    case PARAM_TEXT:
        return check_text(check, object, &argument->text);
    case PARAM_MAP: /* no call takes one */
        break;
    }
    return false;
}

bool params_check(const char *call, const struct param *params, unsigned count,
                  const msgpack_object *object, union argument *arguments, char *message)
{
    struct check check = {.call = call, .param = "params", .message = message};

    if (object->type != MSGPACK_OBJECT_ARRAY)
        return refuse(&check, "must be an array, not %s", message_kind(object));
    if (object->via.array.size != count)
        return refuse(&check, "must be %u values, not %" PRIu32, count, object->via.array.size);
    for (unsigned i = 0; i < count; i++) {
        check.param = params[i].name;
        if (!check_one(&check, params[i].type, &object->via.array.ptr[i], &arguments[i]))
            return false;
    }
    return true;
}
