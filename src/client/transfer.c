/* Memory, pointers and ports: libspacebridge's transfers. */
#include "client/result.h"
#include "spacebridge/spacebridge.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_SIZE ((uint64_t)4096)
/* Bytes of one piece of a transfer that has to be split; a whole number of pages. */
#define PIECE_MOST ((size_t)(WIRE_BUFFER_MOST / PAGE_SIZE * PAGE_SIZE))

struct transfer {
    spacebridge_t *sb;
    const char *method;
    bool has_flags;
    uint32_t flags;
    void *into;       /* of a read */
    const void *from; /* of a write */
};

/* One piece: size bytes at offset, at that place of the caller's buffer. */
static HRESULT transfer_piece(const struct transfer *transfer, uint64_t offset, size_t at,
                              size_t size, size_t *done)
{
    spacebridge_t *sb = transfer->sb;
    struct link_result result;
    uint64_t written;
    HRESULT hr;

    msgpack_packer *packer = link_begin(&sb->link, transfer->method, transfer->has_flags ? 3 : 2);
    msgpack_pack_uint64(packer, offset);
    if (transfer->has_flags)
        msgpack_pack_uint32(packer, transfer->flags);
    *done = 0;
    if (transfer->into) {
        msgpack_pack_uint64(packer, size);
        link_sink(&sb->link, (uint8_t *)transfer->into + at, size);
        hr = link_call(&sb->link, NULL, 0, 0, 1, &result);
        if (FAILED(hr))
            return hr;
        const msgpack_object *bin = &result.values[0];
        if (bin->type != MSGPACK_OBJECT_BIN || bin->via.bin.size > size)
            return result_nonsense(sb);
        if (bin->via.bin.size > 0 && bin->via.bin.ptr != (char *)transfer->into + at)
            memcpy((uint8_t *)transfer->into + at, bin->via.bin.ptr, bin->via.bin.size);
        *done = bin->via.bin.size;
        return hr;
    }
    msgpack_pack_bin(packer, size);
    hr = link_call(&sb->link, size > 0 ? (const uint8_t *)transfer->from + at : NULL, size, 0, 1,
                   &result);
    if (FAILED(hr))
        return hr;
    if (!result_number(&result.values[0], size, &written))
        return result_nonsense(sb);
    *done = (size_t)written;
    return hr;
}

/* The whole, in as many pieces as it takes. */
static HRESULT transfer_all(const struct transfer *transfer, uint64_t offset, size_t size,
                            size_t *done)
{
    struct link *link = &transfer->sb->link;
    char warning[LINK_MESSAGE_SIZE] = "";
    size_t total = 0;
    HRESULT hr;

    for (;;) {
        size_t piece = size - total, moved = 0;
        uint64_t address = offset + total;
        if (piece > WIRE_BUFFER_MOST)
            piece = PIECE_MOST - (size_t)(address % PAGE_SIZE);
        hr = transfer_piece(transfer, address, total, piece, &moved);
        total += moved;
        if (warning[0] == '\0')
            snprintf(warning, sizeof warning, "%s", link->warning);
        if (FAILED(hr) || moved < piece || total == size)
            break;
        if (address + moved < address || address + moved == 0) /* the top of the address space */
            break;
    }
    snprintf(link->warning, sizeof link->warning, "%s", warning);
    /* As the daemon itself has it: a part that was done is S_OK with its count. */
    if (FAILED(hr) && total > 0 && !link_is_lost(link))
        hr = S_OK;
    if (SUCCEEDED(hr) && total < size && link->message[0] == '\0')
        snprintf(link->message, sizeof link->message, "%s: %zu of %zu bytes, up to 0x%" PRIx64,
                 transfer->method, total, size, offset + total);
    if (done)
        *done = total;
    return hr;
}

/* A NULL buffer of a read would look like a write. */
static HRESULT transfer_read(struct transfer *transfer, uint64_t offset, void *buffer, size_t size,
                             size_t *done)
{
    uint8_t nothing;

    transfer->into = size > 0 ? buffer : &nothing;
    return transfer_all(transfer, offset, size, done);
}

static HRESULT transfer_write(struct transfer *transfer, uint64_t offset, const void *buffer,
                              size_t size, size_t *done)
{
    transfer->from = buffer;
    return transfer_all(transfer, offset, size, done);
}

HRESULT spacebridge_read_virtual(spacebridge_t *sb, uint64_t offset, void *buffer, size_t size,
                                 size_t *bytes_read)
{
    struct transfer transfer = {.sb = sb, .method = "ReadVirtual"};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_virtual(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                  size_t size, size_t *bytes_written)
{
    struct transfer transfer = {.sb = sb, .method = "WriteVirtual"};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

HRESULT spacebridge_read_virtual_uncached(spacebridge_t *sb, uint64_t offset, void *buffer,
                                          size_t size, size_t *bytes_read)
{
    struct transfer transfer = {.sb = sb, .method = "ReadVirtualUncached"};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_virtual_uncached(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                           size_t size, size_t *bytes_written)
{
    struct transfer transfer = {.sb = sb, .method = "WriteVirtualUncached"};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

HRESULT spacebridge_read_physical(spacebridge_t *sb, uint64_t offset, void *buffer, size_t size,
                                  size_t *bytes_read)
{
    struct transfer transfer = {.sb = sb, .method = "ReadPhysical"};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_physical(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                   size_t size, size_t *bytes_written)
{
    struct transfer transfer = {.sb = sb, .method = "WritePhysical"};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

HRESULT spacebridge_read_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags, void *buffer,
                                   size_t size, size_t *bytes_read)
{
    struct transfer transfer = {
        .sb = sb, .method = "ReadPhysical2", .has_flags = true, .flags = flags};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags,
                                    const void *buffer, size_t size, size_t *bytes_written)
{
    struct transfer transfer = {
        .sb = sb, .method = "WritePhysical2", .has_flags = true, .flags = flags};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

/* Pointers */

static HRESULT too_many(spacebridge_t *sb, const char *method, uint32_t count)
{
    link_begin(&sb->link, method, 0); /* only for a clean slate: nothing is sent */
    if (spacebridge_is_lost(sb))
        return E_UNEXPECTED;
    snprintf(sb->link.message, sizeof sb->link.message,
             "%s: %" PRIu32 " pointers are more than the %" PRIu32 " that one call carries", method,
             count, WIRE_POINTERS_MOST);
    return E_INVALIDARG;
}

HRESULT spacebridge_read_pointers_virtual(spacebridge_t *sb, uint32_t count, uint64_t offset,
                                          uint64_t *pointers)
{
    struct link_result result;

    if (count > WIRE_POINTERS_MOST)
        return too_many(sb, "ReadPointersVirtual", count);
    msgpack_packer *packer = link_begin(&sb->link, "ReadPointersVirtual", 2);
    msgpack_pack_uint32(packer, count);
    msgpack_pack_uint64(packer, offset);
    HRESULT hr = link_call(&sb->link, NULL, 0, 0, 1, &result);
    if (FAILED(hr))
        return hr;
    const msgpack_object *array = &result.values[0];
    if (array->type != MSGPACK_OBJECT_ARRAY || array->via.array.size != count)
        return result_nonsense(sb);
    for (uint32_t i = 0; i < count; i++)
        if (!result_number(&array->via.array.ptr[i], UINT64_MAX, &pointers[i]))
            return result_nonsense(sb);
    return hr;
}

HRESULT spacebridge_write_pointers_virtual(spacebridge_t *sb, uint32_t count, uint64_t offset,
                                           const uint64_t *pointers)
{
    if (count > WIRE_POINTERS_MOST)
        return too_many(sb, "WritePointersVirtual", count);
    msgpack_packer *packer = link_begin(&sb->link, "WritePointersVirtual", 2);
    msgpack_pack_uint64(packer, offset);
    msgpack_pack_array(packer, count);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint64(packer, pointers[i]);
    return result_of_nothing(sb);
}

/* Ports */

static msgpack_packer *io_begin(spacebridge_t *sb, const char *method, int32_t interface_type,
                                uint32_t bus_number, uint32_t address_space, uint64_t offset)
{
    msgpack_packer *packer = link_begin(&sb->link, method, 5);

    msgpack_pack_int32(packer, interface_type);
    msgpack_pack_uint32(packer, bus_number);
    msgpack_pack_uint32(packer, address_space);
    msgpack_pack_uint64(packer, offset);
    return packer;
}

HRESULT spacebridge_read_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                            uint32_t address_space, uint64_t offset, void *buffer, uint32_t size,
                            uint32_t *bytes_read)
{
    struct link_result result;

    if (bytes_read)
        *bytes_read = 0;
    msgpack_packer *packer =
        io_begin(sb, "ReadIo", interface_type, bus_number, address_space, offset);
    msgpack_pack_uint32(packer, size);
    HRESULT hr = link_call(&sb->link, NULL, 0, 0, 1, &result);
    if (FAILED(hr))
        return hr;
    const msgpack_object *bin = &result.values[0];
    if (bin->type != MSGPACK_OBJECT_BIN || bin->via.bin.size > size)
        return result_nonsense(sb);
    if (bin->via.bin.size > 0)
        memcpy(buffer, bin->via.bin.ptr, bin->via.bin.size);
    if (bytes_read)
        *bytes_read = bin->via.bin.size;
    return hr;
}

HRESULT spacebridge_write_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                             uint32_t address_space, uint64_t offset, const void *buffer,
                             uint32_t size, uint32_t *bytes_written)
{
    struct link_result result;
    uint64_t written = 0;

    if (bytes_written)
        *bytes_written = 0;
    msgpack_packer *packer =
        io_begin(sb, "WriteIo", interface_type, bus_number, address_space, offset);
    if (size > WIRE_BUFFER_MOST)
        size = WIRE_BUFFER_MOST; /* refused by the daemon all the same */
    msgpack_pack_bin(packer, size);
    HRESULT hr = link_call(&sb->link, buffer, size, 0, 1, &result);
    if (FAILED(hr))
        return hr;
    if (!result_number(&result.values[0], size, &written))
        return result_nonsense(sb);
    if (bytes_written)
        *bytes_written = (uint32_t)written;
    return hr;
}

static HRESULT fill(spacebridge_t *sb, const char *method, uint64_t start, uint32_t size,
                    const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    struct link_result result;
    uint64_t done = 0;

    if (filled)
        *filled = 0;
    msgpack_packer *packer = link_begin(&sb->link, method, 3);
    if (pattern_size > WIRE_BUFFER_MOST)
        pattern_size = WIRE_BUFFER_MOST;
    msgpack_pack_uint64(packer, start);
    msgpack_pack_uint32(packer, size);
    msgpack_pack_bin(packer, pattern_size);
    HRESULT hr =
        link_call(&sb->link, pattern_size > 0 ? pattern : NULL, pattern_size, 0, 1, &result);
    if (FAILED(hr))
        return hr;
    if (!result_number(&result.values[0], size, &done))
        return result_nonsense(sb);
    if (filled)
        *filled = (uint32_t)done;
    return hr;
}

HRESULT spacebridge_fill_virtual(spacebridge_t *sb, uint64_t start, uint32_t size,
                                 const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    return fill(sb, "FillVirtual", start, size, pattern, pattern_size, filled);
}

HRESULT spacebridge_fill_physical(spacebridge_t *sb, uint64_t start, uint32_t size,
                                  const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    return fill(sb, "FillPhysical", start, size, pattern, pattern_size, filled);
}

HRESULT spacebridge_virtual_to_physical(spacebridge_t *sb, uint64_t virtual_address,
                                        uint64_t *physical_address)
{
    msgpack_pack_uint64(link_begin(&sb->link, "VirtualToPhysical", 1), virtual_address);
    return result_of_number(sb, UINT64_MAX, physical_address);
}
