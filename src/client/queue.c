/* Many calls at once: libspacebridge's queue. */
#include "client/call.h"
#include "spacebridge/spacebridge.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdio.h>

static HRESULT too_large(spacebridge_t *sb, enum wire_call call, size_t size)
{
    if (spacebridge_is_lost(sb))
        return E_UNEXPECTED;
    snprintf(sb->link.message, sizeof sb->link.message,
             "%s: %zu bytes are more than the %" PRIu32 " that one message carries",
             wire_call_info(call)->name, size, (uint32_t)WIRE_BUFFER_MOST);
    return E_INVALIDARG;
}

/* Whose last argument is the size of a buffer, which the result goes to. */
static HRESULT queue_read(spacebridge_t *sb, enum wire_call call, union call_argument *arguments,
                          void *buffer, size_t size, uint64_t *ticket)
{
    if (size > WIRE_BUFFER_MOST)
        return too_large(sb, call, size);
    arguments[wire_params_count(wire_call_info(call)->params) - 1].number = size;
    return call_queue(sb, call, arguments, buffer, size, ticket);
}

/* Whose last argument is a buffer. */
static HRESULT queue_write(spacebridge_t *sb, enum wire_call call, union call_argument *arguments,
                           const void *buffer, size_t size, uint64_t *ticket)
{
    if (size > WIRE_BUFFER_MOST)
        return too_large(sb, call, size);
    arguments[wire_params_count(wire_call_info(call)->params) - 1].bin =
        (struct call_bytes){.at = buffer, .size = size};
    return call_queue(sb, call, arguments, NULL, size, ticket);
}

HRESULT spacebridge_queue_read_virtual(spacebridge_t *sb, uint64_t offset, void *buffer,
                                       size_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.number = offset}, {0}};

    return queue_read(sb, WIRE_CALL_ReadVirtual, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_write_virtual(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                        size_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.number = offset}, {0}};

    return queue_write(sb, WIRE_CALL_WriteVirtual, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_read_virtual_uncached(spacebridge_t *sb, uint64_t offset, void *buffer,
                                                size_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.number = offset}, {0}};

    return queue_read(sb, WIRE_CALL_ReadVirtualUncached, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_write_virtual_uncached(spacebridge_t *sb, uint64_t offset,
                                                 const void *buffer, size_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.number = offset}, {0}};

    return queue_write(sb, WIRE_CALL_WriteVirtualUncached, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_read_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags,
                                         void *buffer, size_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.number = offset}, {.number = flags}, {0}};

    return queue_read(sb, WIRE_CALL_ReadPhysical2, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_write_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags,
                                          const void *buffer, size_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.number = offset}, {.number = flags}, {0}};

    return queue_write(sb, WIRE_CALL_WritePhysical2, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_read_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                                  uint32_t address_space, uint64_t offset, void *buffer,
                                  uint32_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.interface_type = interface_type},
                                       {.number = bus_number},
                                       {.number = address_space},
                                       {.number = offset},
                                       {0}};

    return queue_read(sb, WIRE_CALL_ReadIo, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_write_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                                   uint32_t address_space, uint64_t offset, const void *buffer,
                                   uint32_t size, uint64_t *ticket)
{
    union call_argument arguments[] = {{.interface_type = interface_type},
                                       {.number = bus_number},
                                       {.number = address_space},
                                       {.number = offset},
                                       {0}};

    return queue_write(sb, WIRE_CALL_WriteIo, arguments, buffer, size, ticket);
}

HRESULT spacebridge_queue_virtual_to_physical(spacebridge_t *sb, uint64_t virtual_address,
                                              uint64_t *ticket)
{
    const union call_argument argument = {.number = virtual_address};

    return call_queue(sb, WIRE_CALL_VirtualToPhysical, &argument, NULL, UINT64_MAX, ticket);
}

HRESULT spacebridge_queue_flush_cache(spacebridge_t *sb, uint64_t *ticket)
{
    return call_queue(sb, WIRE_CALL_FlushCache, NULL, NULL, UINT64_MAX, ticket);
}

HRESULT spacebridge_send_queued(spacebridge_t *sb)
{
    return link_queue_send(&sb->link);
}

HRESULT spacebridge_collect(spacebridge_t *sb, struct spacebridge_outcome *outcome)
{
    struct link_queued queued;

    if (!link_queue_collect(&sb->link, &queued))
        return S_FALSE;
    *outcome = (struct spacebridge_outcome){
        .ticket = queued.ticket, .hresult = queued.hr, .value = queued.value};
    return S_OK;
}

size_t spacebridge_queued(const spacebridge_t *sb)
{
    return sb->link.pending.count;
}
