/* Marshalling: hides how arguments are packed, and what a result must be. */
#include "client/call.h"

/* Pack what a call takes. The bytes of a bin are not packed: they are returned, to be sent from
 * where they are. */
static struct call_bytes pack_arguments(struct pack *pack, const struct param *params,
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
            pack_unsigned(pack, argument->number);
            break;
        case PARAM_INTERFACE:
            pack_signed(pack, argument->interface_type);
            break;
        case PARAM_BIN:
            pack_bin_head(pack, (uint32_t)argument->bin.size);
            body = argument->bin;
            break;
        case PARAM_POINTERS:
            pack_array(pack, argument->pointers.count);
            for (uint32_t k = 0; k < argument->pointers.count; k++)
                pack_unsigned(pack, argument->pointers.at[k]);
            break;
        case PARAM_TEXT:
            pack_text(pack, argument->text);
            break;
        case PARAM_MAP: /* no call takes one */
            break;
        }
    }
    return body;
}

static bool value_good(enum param_type type, const struct value *value)
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
        return value->kind == VALUE_BIN;
    case PARAM_POINTERS:
        return value->kind == VALUE_ARRAY;
    case PARAM_TEXT:
        return value->kind == VALUE_TEXT;
    case PARAM_MAP:
        return value->kind == VALUE_MAP;
    }
    return false;
}

HRESULT call_make(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                  const struct call_terms *terms, struct link_result *result)
{
    const struct wire_call_info *info = wire_call_info(call);
    uint32_t outs = wire_params_count(info->results);

    struct call_bytes body =
        pack_arguments(link_begin(&sb->link, info->name, wire_params_count(info->params)),
                       info->params, arguments);
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
        *number = SUCCEEDED(hr) ? result.values[0].number : 0;
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
        pack_arguments(link_queue_begin(&sb->link, info->name, wire_params_count(info->params)),
                       info->params, arguments);
    return link_queue_end(&sb->link, body.at, body.size, &expect, ticket);
}
