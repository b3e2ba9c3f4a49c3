/* Many calls at once: libspacebridge's queue. */
#include "client/result.h"
#include "spacebridge/spacebridge.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdio.h>

struct queued_call {
    const char *method;
    uint32_t params; /* size or buffer included */
    size_t size;
    void *into;       /* of a read */
    const void *from; /* of a write */
};

static HRESULT too_large(spacebridge_t *sb, const struct queued_call *call)
{
    if (spacebridge_is_lost(sb))
        return E_UNEXPECTED;
    snprintf(sb->link.message, sizeof sb->link.message,
             "%s: %zu bytes are more than the %" PRIu32 " that one message carries", call->method,
             call->size, (uint32_t)WIRE_BUFFER_MOST);
    return E_INVALIDARG;
}

/* The end of every transfer: the size of a read, the bytes of a write. */
static HRESULT transfer_end(spacebridge_t *sb, const struct queued_call *call, uint64_t *ticket)
{
    struct link_queued expect = {.most = call->size};

    if (call->from) {
        expect.expect = LINK_EXPECT_NUMBER;
        msgpack_pack_bin(&sb->link.packer, call->size);
        return link_queue_end(&sb->link, call->from, call->size, &expect, ticket);
    }
    expect.expect = LINK_EXPECT_BIN;
    expect.into = call->into;
    msgpack_pack_uint64(&sb->link.packer, call->size);
    return link_queue_end(&sb->link, NULL, 0, &expect, ticket);
}

static HRESULT transfer(spacebridge_t *sb, const struct queued_call *call, uint64_t offset,
                        uint64_t *ticket)
{
    if (call->size > WIRE_BUFFER_MOST)
        return too_large(sb, call);
    msgpack_pack_uint64(link_queue_begin(&sb->link, call->method, call->params), offset);
    return transfer_end(sb, call, ticket);
}

/* A write from nowhere of no bytes is a write all the same. */
static const void *of_write(const void *buffer)
{
    return buffer ? buffer : "";
}

HRESULT spacebridge_queue_read_virtual(spacebridge_t *sb, uint64_t offset, void *buffer,
                                       size_t size, uint64_t *ticket)
{
    struct queued_call call = {.method = "ReadVirtual", .params = 2, .into = buffer, .size = size};
    return transfer(sb, &call, offset, ticket);
}

HRESULT spacebridge_queue_write_virtual(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                        size_t size, uint64_t *ticket)
{
    struct queued_call call = {
        .method = "WriteVirtual", .params = 2, .from = of_write(buffer), .size = size};
    return transfer(sb, &call, offset, ticket);
}

HRESULT spacebridge_queue_read_virtual_uncached(spacebridge_t *sb, uint64_t offset, void *buffer,
                                                size_t size, uint64_t *ticket)
{
    struct queued_call call = {
        .method = "ReadVirtualUncached", .params = 2, .into = buffer, .size = size};
    return transfer(sb, &call, offset, ticket);
}

HRESULT spacebridge_queue_write_virtual_uncached(spacebridge_t *sb, uint64_t offset,
                                                 const void *buffer, size_t size, uint64_t *ticket)
{
    struct queued_call call = {
        .method = "WriteVirtualUncached", .params = 2, .from = of_write(buffer), .size = size};
    return transfer(sb, &call, offset, ticket);
}

static HRESULT transfer_physical(spacebridge_t *sb, const struct queued_call *call, uint64_t offset,
                                 uint32_t flags, uint64_t *ticket)
{
    if (call->size > WIRE_BUFFER_MOST)
        return too_large(sb, call);
    msgpack_packer *packer = link_queue_begin(&sb->link, call->method, call->params);
    msgpack_pack_uint64(packer, offset);
    msgpack_pack_uint32(packer, flags);
    return transfer_end(sb, call, ticket);
}

HRESULT spacebridge_queue_read_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags,
                                         void *buffer, size_t size, uint64_t *ticket)
{
    struct queued_call call = {
        .method = "ReadPhysical2", .params = 3, .into = buffer, .size = size};
    return transfer_physical(sb, &call, offset, flags, ticket);
}

HRESULT spacebridge_queue_write_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags,
                                          const void *buffer, size_t size, uint64_t *ticket)
{
    struct queued_call call = {
        .method = "WritePhysical2", .params = 3, .from = of_write(buffer), .size = size};
    return transfer_physical(sb, &call, offset, flags, ticket);
}

static HRESULT transfer_io(spacebridge_t *sb, const struct queued_call *call,
                           int32_t interface_type, uint32_t bus_number, uint32_t address_space,
                           uint64_t offset, uint64_t *ticket)
{
    if (call->size > WIRE_BUFFER_MOST)
        return too_large(sb, call);
    msgpack_packer *packer = link_queue_begin(&sb->link, call->method, call->params);
    msgpack_pack_int32(packer, interface_type);
    msgpack_pack_uint32(packer, bus_number);
    msgpack_pack_uint32(packer, address_space);
    msgpack_pack_uint64(packer, offset);
    return transfer_end(sb, call, ticket);
}

HRESULT spacebridge_queue_read_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                                  uint32_t address_space, uint64_t offset, void *buffer,
                                  uint32_t size, uint64_t *ticket)
{
    struct queued_call call = {.method = "ReadIo", .params = 5, .into = buffer, .size = size};
    return transfer_io(sb, &call, interface_type, bus_number, address_space, offset, ticket);
}

HRESULT spacebridge_queue_write_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                                   uint32_t address_space, uint64_t offset, const void *buffer,
                                   uint32_t size, uint64_t *ticket)
{
    struct queued_call call = {
        .method = "WriteIo", .params = 5, .from = of_write(buffer), .size = size};
    return transfer_io(sb, &call, interface_type, bus_number, address_space, offset, ticket);
}

HRESULT spacebridge_queue_virtual_to_physical(spacebridge_t *sb, uint64_t virtual_address,
                                              uint64_t *ticket)
{
    const struct link_queued expect = {.expect = LINK_EXPECT_NUMBER, .most = UINT64_MAX};

    msgpack_pack_uint64(link_queue_begin(&sb->link, "VirtualToPhysical", 1), virtual_address);
    return link_queue_end(&sb->link, NULL, 0, &expect, ticket);
}

HRESULT spacebridge_queue_flush_cache(spacebridge_t *sb, uint64_t *ticket)
{
    const struct link_queued expect = {.expect = LINK_EXPECT_NUMBER, .most = UINT64_MAX};

    link_queue_begin(&sb->link, "FlushCache", 0);
    return link_queue_end(&sb->link, NULL, 0, &expect, ticket);
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
