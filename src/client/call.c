/* Marshalling: hides how arguments are packed, and what a result must be. */
#include "client/call.h"

#include <string.h>

/* Pack what a call takes. The bytes of a bin are not packed: they are returned, to be sent from
 * where they are. */
static struct call_bytes pack(msgpack_packer *packer, const struct param *params,
                              const union call_argument *arguments)
{
    struct call_bytes body = {0};

    for (uint32_t i = 0; params[i].name; i++) {
        const union call_argument *argument = &arguments[i];
        switch (params[i].type) {
        case PARAM_ULONG64:
        case PARAM_ULONG:
        case PARAM_SIZE:
        case PARAM_COUNT:
            msgpack_pack_uint64(packer, argument->number);
            break;
        case PARAM_INTERFACE:
            msgpack_pack_int32(packer, argument->interface_type);
            break;
        case PARAM_BIN:
            msgpack_pack_bin(packer, argument->bin.size);
            body = argument->bin;
            break;
        case PARAM_POINTERS:
            msgpack_pack_array(packer, argument->pointers.count);
            for (uint32_t k = 0; k < argument->pointers.count; k++)
                msgpack_pack_uint64(packer, argument->pointers.at[k]);
            break;
        case PARAM_TEXT:
            msgpack_pack_str(packer, strlen(argument->text));
            msgpack_pack_str_body(packer, argument->text, strlen(argument->text));
            break;
        case PARAM_MAP: /* no call takes one */
            break;
        }
    }
    return body;
}

static bool value_good(enum param_type type, const msgpack_object *value)
{
    uint64_t number;

    switch (type) {
    case PARAM_ULONG:
    case PARAM_INTERFACE:
    case PARAM_SIZE:
    case PARAM_COUNT:
        return result_number(value, UINT32_MAX, &number);
    case PARAM_ULONG64:
        return result_number(value, UINT64_MAX, &number);
    case PARAM_BIN:
        return value->type == MSGPACK_OBJECT_BIN;
    case PARAM_POINTERS:
        return value->type == MSGPACK_OBJECT_ARRAY;
    case PARAM_TEXT:
        return value->type == MSGPACK_OBJECT_STR;
    case PARAM_MAP:
        return value->type == MSGPACK_OBJECT_MAP;
    }
    return false;
}

HRESULT call_make(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                  const struct call_terms *terms, struct link_result *result)
{
    const struct wire_call_info *info = wire_call_info(call);
    uint32_t outs = wire_params_count(info->results);

    struct call_bytes body =
        pack(link_begin(&sb->link, info->name, wire_params_count(info->params)), info->params,
             arguments);
    if (terms && terms->into)
        link_sink(&sb->link, terms->into, terms->into_most);
    HRESULT hr = link_call(&sb->link, body.at, body.size, terms ? terms->longer : 0, outs, result);
    for (uint32_t i = 0; SUCCEEDED(hr) && i < outs; i++)
        if (!value_good(info->results[i].type, &result->values[i]))
            hr = result_nonsense(sb);
    return hr;
}

HRESULT call_plain(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments)
{
    struct link_result result;

    return call_make(sb, call, arguments, NULL, &result);
}

HRESULT call_number(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                    uint64_t *number)
{
    struct link_result result;

    HRESULT hr = call_make(sb, call, arguments, NULL, &result);
    if (number)
        *number = SUCCEEDED(hr) ? result.values[0].via.u64 : 0;
    return hr;
}

HRESULT call_number32(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                      uint32_t *number)
{
    uint64_t value;

    HRESULT hr = call_number(sb, call, arguments, &value);
    if (number)
        *number = (uint32_t)value;
    return hr;
}

HRESULT call_queue(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                   void *into, uint64_t most, uint64_t *ticket)
{
    const struct wire_call_info *info = wire_call_info(call);
    const struct link_queued expect = {.expect = !info->results[0].name ? LINK_EXPECT_NOTHING
                                                 : info->results[0].type == PARAM_BIN
                                                     ? LINK_EXPECT_BIN
                                                     : LINK_EXPECT_NUMBER,
                                       .most = most,
                                       .into = into};

    struct call_bytes body =
        pack(link_queue_begin(&sb->link, info->name, wire_params_count(info->params)), info->params,
             arguments);
    return link_queue_end(&sb->link, body.at, body.size, &expect, ticket);
}
