/* Hides what each type of parameter may be, and how a refusal is worded. */
#include "rpc/params.h"

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
static bool check_unsigned(const struct check *check, const struct value *object, uint64_t most,
                           uint64_t *number)
{
    if (object->kind == VALUE_NEGATIVE)
        return refuse(check, "is negative (%" PRId64 ")", object->negative);
    if (object->kind != VALUE_UNSIGNED)
        return refuse(check, "must be an integer, not %s", value_kind_text(object));
    if (object->number > most)
        return refuse(check, "%" PRIu64 " is over %" PRIu64, object->number, most);
    *number = object->number;
    return true;
}

/* A count of things that one response must be able to carry. */
static bool check_size(const struct check *check, const struct value *object, uint64_t most,
                       const char *what, uint64_t *number)
{
    if (!check_unsigned(check, object, UINT64_MAX, number))
        return false;
    if (*number > most)
        return refuse(check, "%" PRIu64 " is over %" PRIu64 ", the most %s that one answer carries",
                      *number, most, what);
    return true;
}

static bool check_interface(const struct check *check, const struct value *object, int32_t *type)
{
    uint64_t number;

    if (object->kind == VALUE_NEGATIVE && object->negative >= INT32_MIN) {
        *type = (int32_t)object->negative;
        return true;
    }
    if (!check_unsigned(check, object, UINT32_MAX, &number))
        return false;
    *type = (int32_t)(uint32_t)number; /* a C client's ULONG holds Undefined as 0xffffffff */
    return true;
}

static bool check_pointers(const struct check *check, const struct value *object,
                           struct value_list *pointers)
{
    struct value_reader reader;
    struct value pointer;

    if (object->kind != VALUE_ARRAY)
        return refuse(check, "must be an array of integers, not %s", value_kind_text(object));
    reader = object->list.first;
    for (uint32_t i = 0; i < object->list.count; i++) {
        if (!value_read(&reader, &pointer))
            return refuse(check, "is not whole");
        if (pointer.kind == VALUE_NEGATIVE)
            return refuse(check, "element %" PRIu32 " is negative (%" PRId64 ")", i,
                          pointer.negative);
        if (pointer.kind != VALUE_UNSIGNED)
            return refuse(check, "element %" PRIu32 " must be an integer, not %s", i,
                          value_kind_text(&pointer));
    }
    *pointers = object->list;
    return true;
}

static bool check_text(const struct check *check, const struct value *object,
                       struct value_bytes *text)
{
    if (object->kind != VALUE_TEXT)
        return refuse(check, "must be a str, not %s", value_kind_text(object));
    if (object->bytes.size > 0 && memchr(object->bytes.at, 0, object->bytes.size))
        return refuse(check, "has a NUL in it");
    *text = object->bytes;
    return true;
}

static bool check_bin(const struct check *check, const struct value *object,
                      struct value_bytes *bin)
{
    if (object->kind != VALUE_BIN)
        return refuse(check, "must be a bin, not %s%s", value_kind_text(object),
                      object->kind == VALUE_TEXT ? " (a str is text, never a buffer)" : "");
    *bin = object->bytes;
    return true;
}

static bool check_one(const struct check *check, enum param_type type, const struct value *object,
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
                  const struct value *object, union argument *arguments, char *message)
{
    struct check check = {.call = call, .param = "params", .message = message};

    if (object->kind != VALUE_ARRAY)
        return refuse(&check, "must be an array, not %s", value_kind_text(object));
    if (object->list.count != count)
        return refuse(&check, "must be %u values, not %" PRIu32, count, object->list.count);
    struct value_reader reader = object->list.first;
    for (unsigned i = 0; i < count; i++) {
        struct value value;
        check.param = params[i].name;
        if (!value_read(&reader, &value))
            return refuse(&check, "is not whole");
        if (!check_one(&check, params[i].type, &value, &arguments[i]))
            return false;
    }
    return true;
}
