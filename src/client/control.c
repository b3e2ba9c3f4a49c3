/* Run control and the view: libspacebridge's calls that move no data. */
#include "client/call.h"
#include "spacebridge/spacebridge.h"

#include <string.h>

/* Run control */

HRESULT spacebridge_get_execution_status(spacebridge_t *sb, uint32_t *status)
{
    return call_number32(sb, WIRE_CALL_GetExecutionStatus, NULL, status);
}

HRESULT spacebridge_set_execution_status(spacebridge_t *sb, uint32_t status)
{
    const union call_argument argument = {.number = status};

    return call_plain(sb, WIRE_CALL_SetExecutionStatus, &argument);
}

HRESULT spacebridge_set_interrupt(spacebridge_t *sb)
{
    return call_plain(sb, WIRE_CALL_SetInterrupt, NULL);
}

HRESULT spacebridge_wait_for_event(spacebridge_t *sb, uint32_t timeout_ms, char *text, size_t size)
{
    struct link_result result;

    if (text && size > 0)
        text[0] = '\0';
    const union call_argument argument = {.number = timeout_ms};
    const struct call_terms terms = {.longer = timeout_ms == UINT32_MAX ? -1 : timeout_ms / 1000.0};
    HRESULT hr = call_make(sb, WIRE_CALL_WaitForEvent, &argument, &terms, &result);
    if (SUCCEEDED(hr))
        result_text(&result.values[0], text, text ? size : 0);
    return hr;
}

HRESULT spacebridge_get_number_processors(spacebridge_t *sb, uint32_t *number)
{
    return call_number32(sb, WIRE_CALL_GetNumberProcessors, NULL, number);
}

HRESULT spacebridge_get_current_processor(spacebridge_t *sb, uint32_t *processor)
{
    return call_number32(sb, WIRE_CALL_GetCurrentProcessor, NULL, processor);
}

HRESULT spacebridge_set_current_processor(spacebridge_t *sb, uint32_t processor)
{
    const union call_argument argument = {.number = processor};

    return call_plain(sb, WIRE_CALL_SetCurrentProcessor, &argument);
}

/* The view */

HRESULT spacebridge_flush_cache(spacebridge_t *sb, uint64_t *bytes_flushed)
{
    return call_number(sb, WIRE_CALL_FlushCache, NULL, bytes_flushed);
}

HRESULT spacebridge_discard_cache(spacebridge_t *sb, uint64_t *bytes_dropped)
{
    return call_number(sb, WIRE_CALL_DiscardCache, NULL, bytes_dropped);
}

HRESULT spacebridge_invalidate_cache(spacebridge_t *sb)
{
    return call_plain(sb, WIRE_CALL_InvalidateCache, NULL);
}

HRESULT spacebridge_get_cache_status(spacebridge_t *sb, struct spacebridge_cache_status *status)
{
    struct link_result result;
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"size", &status->size},
        {"used", &status->used},
        {"valid_bytes", &status->valid_bytes},
        {"dirty_bytes", &status->dirty_bytes},
        {"lines", &status->lines},
        {"dirty_lines", &status->dirty_lines},
        {"hits", &status->hits},
        {"misses", &status->misses},
        {"flushes", &status->flushes},
        {"flushed_bytes", &status->flushed_bytes},
        {"lost_bytes", &status->lost_bytes},
        {"evictions", &status->evictions},
    };

    memset(status, 0, sizeof *status);
    HRESULT hr = call_make(sb, WIRE_CALL_GetCacheStatus, NULL, NULL, &result);
    if (FAILED(hr))
        return hr;
    const struct value *map = &result.values[0];
    if (!result_map_text(map, "policy", status->policy, sizeof status->policy))
        return result_nonsense(sb);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!result_map_number(map, numbers[i].name, UINT64_MAX, numbers[i].number))
            return result_nonsense(sb);
    return hr;
}

static bool take_transport(const struct value *name, const struct value *map,
                           struct spacebridge_transport *transport)
{
    const struct {
        const char *name;
        uint64_t *number;
    } numbers[] = {
        {"calls", &transport->calls},
        {"bytes_read", &transport->bytes_read},
        {"bytes_written", &transport->bytes_written},
    };
    struct value open;

    memset(transport, 0, sizeof *transport);
    if (!result_text(name, transport->name, sizeof transport->name) || map->kind != VALUE_MAP)
        return false;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (!result_map_number(map, numbers[i].name, UINT64_MAX, numbers[i].number))
            return false;
    if (!value_of_key(map, "open", &open) || open.kind != VALUE_BOOLEAN ||
        !result_map_text(map, "note", transport->note, sizeof transport->note))
        return false;
    transport->open = open.boolean;
    return true;
}

HRESULT spacebridge_get_transport_status(spacebridge_t *sb,
                                         struct spacebridge_transport *transports, size_t most,
                                         size_t *count)
{
    struct link_result result;

    *count = 0;
    HRESULT hr = call_make(sb, WIRE_CALL_GetTransportStatus, NULL, NULL, &result);
    if (FAILED(hr))
        return hr;
    const struct value_list *pairs = &result.values[0].list;
    struct value_reader reader = pairs->first;
    for (uint32_t i = 0; i < pairs->count && *count < most; i++, (*count)++) {
        struct value name, map;
        if (!value_read(&reader, &name) || !value_read(&reader, &map) ||
            !take_transport(&name, &map, &transports[*count]))
            return result_nonsense(sb);
    }
    return hr;
}

HRESULT spacebridge_set_cache_policy(spacebridge_t *sb, const char *policy)
{
    const union call_argument argument = {.text = policy};

    return call_plain(sb, WIRE_CALL_SetCachePolicy, &argument);
}
