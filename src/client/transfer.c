/* Memory, pointers and ports: libspacebridge's transfers. */
#include "client/call.h"
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
    enum wire_call method;
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
    union call_argument arguments[3] = {{.number = offset}, {.number = transfer->flags}};
    union call_argument *last = &arguments[transfer->has_flags ? 2 : 1];
    struct call_terms terms = {0};

    *done = 0;
    if (transfer->into) {
        *last = (union call_argument){.number = size};
        terms.into = (uint8_t *)transfer->into + at;
        terms.into_most = size;
    } else {
        last->bin =
            (struct call_bytes){size > 0 ? (const uint8_t *)transfer->from + at : NULL, size};
    }
    HRESULT hr = call_make(sb, transfer->method, arguments, &terms, &result);
    if (FAILED(hr))
        return hr;
    if (!transfer->into) {
        uint64_t written = result.values[0].number;
        *done = written <= size ? (size_t)written : 0;
        return written <= size ? hr : result_nonsense(sb);
    }
    const struct value_bytes *bin = &result.values[0].bytes;
    if (bin->size > size)
        return result_nonsense(sb);
    if (bin->size > 0 && bin->at != terms.into)
        memcpy(terms.into, bin->at, bin->size);
    *done = bin->size;
    return hr;
}

/* The whole, in as many pieces as it takes. */
static HRESULT transfer_all(const struct transfer *transfer, uint64_t offset, size_t size,
                            size_t *done)
{
    struct link *link = &transfer->sb->link;
    char warning[CLIENT_MESSAGE_SIZE] = "";
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
                 wire_call_info(transfer->method)->name, total, size, offset + total);
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
    struct transfer transfer = {.sb = sb, .method = WIRE_CALL_ReadVirtual};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_virtual(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                  size_t size, size_t *bytes_written)
{
    struct transfer transfer = {.sb = sb, .method = WIRE_CALL_WriteVirtual};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

HRESULT spacebridge_read_virtual_uncached(spacebridge_t *sb, uint64_t offset, void *buffer,
                                          size_t size, size_t *bytes_read)
{
    struct transfer transfer = {.sb = sb, .method = WIRE_CALL_ReadVirtualUncached};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_virtual_uncached(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                           size_t size, size_t *bytes_written)
{
    struct transfer transfer = {.sb = sb, .method = WIRE_CALL_WriteVirtualUncached};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

HRESULT spacebridge_read_physical(spacebridge_t *sb, uint64_t offset, void *buffer, size_t size,
                                  size_t *bytes_read)
{
    struct transfer transfer = {.sb = sb, .method = WIRE_CALL_ReadPhysical};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_physical(spacebridge_t *sb, uint64_t offset, const void *buffer,
                                   size_t size, size_t *bytes_written)
{
    struct transfer transfer = {.sb = sb, .method = WIRE_CALL_WritePhysical};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

HRESULT spacebridge_read_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags, void *buffer,
                                   size_t size, size_t *bytes_read)
{
    struct transfer transfer = {
        .sb = sb, .method = WIRE_CALL_ReadPhysical2, .has_flags = true, .flags = flags};
    return transfer_read(&transfer, offset, buffer, size, bytes_read);
}

HRESULT spacebridge_write_physical2(spacebridge_t *sb, uint64_t offset, uint32_t flags,
                                    const void *buffer, size_t size, size_t *bytes_written)
{
    struct transfer transfer = {
        .sb = sb, .method = WIRE_CALL_WritePhysical2, .has_flags = true, .flags = flags};
    return transfer_write(&transfer, offset, buffer, size, bytes_written);
}

/* Pointers */

static HRESULT too_many(spacebridge_t *sb, enum wire_call call, uint32_t count)
{
    const char *method = wire_call_info(call)->name;

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
    const union call_argument arguments[] = {{.number = count}, {.number = offset}};
    struct link_result result;

    if (count > WIRE_POINTERS_MOST)
        return too_many(sb, WIRE_CALL_ReadPointersVirtual, count);
    HRESULT hr = call_make(sb, WIRE_CALL_ReadPointersVirtual, arguments, NULL, &result);
    if (FAILED(hr))
        return hr;
    const struct value_list *array = &result.values[0].list;
    struct value_reader reader = array->first;
    struct value pointer;
    if (array->count != count)
        return result_nonsense(sb);
    for (uint32_t i = 0; i < count; i++)
        if (!value_read(&reader, &pointer) || !result_number(&pointer, UINT64_MAX, &pointers[i]))
            return result_nonsense(sb);
    return hr;
}

HRESULT spacebridge_write_pointers_virtual(spacebridge_t *sb, uint32_t count, uint64_t offset,
                                           const uint64_t *pointers)
{
    const union call_argument arguments[] = {{.number = offset},
                                             {.pointers = {.at = pointers, .count = count}}};

    if (count > WIRE_POINTERS_MOST)
        return too_many(sb, WIRE_CALL_WritePointersVirtual, count);
    return call_plain(sb, WIRE_CALL_WritePointersVirtual, arguments);
}

/* Ports */

HRESULT spacebridge_read_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                            uint32_t address_space, uint64_t offset, void *buffer, uint32_t size,
                            uint32_t *bytes_read)
{
    const union call_argument arguments[] = {{.interface_type = interface_type},
                                             {.number = bus_number},
                                             {.number = address_space},
                                             {.number = offset},
                                             {.number = size}};
    struct link_result result;

    if (bytes_read)
        *bytes_read = 0;
    HRESULT hr = call_make(sb, WIRE_CALL_ReadIo, arguments, NULL, &result);
    if (FAILED(hr))
        return hr;
    const struct value_bytes *bin = &result.values[0].bytes;
    if (bin->size > size)
        return result_nonsense(sb);
    if (bin->size > 0)
        memcpy(buffer, bin->at, bin->size);
    if (bytes_read)
        *bytes_read = bin->size;
    return hr;
}

/* Make a call whose result counts up to most of something. */
static HRESULT counted(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                       uint32_t most, uint32_t *count)
{
    uint64_t done;

    if (count)
        *count = 0;
    HRESULT hr = call_number(sb, call, arguments, &done);
    if (FAILED(hr))
        return hr;
    if (done > most)
        return result_nonsense(sb);
    if (count)
        *count = (uint32_t)done;
    return hr;
}

HRESULT spacebridge_write_io(spacebridge_t *sb, int32_t interface_type, uint32_t bus_number,
                             uint32_t address_space, uint64_t offset, const void *buffer,
                             uint32_t size, uint32_t *bytes_written)
{
    if (size > WIRE_BUFFER_MOST)
        size = WIRE_BUFFER_MOST; /* refused by the daemon all the same */
    const union call_argument arguments[] = {{.interface_type = interface_type},
                                             {.number = bus_number},
                                             {.number = address_space},
                                             {.number = offset},
                                             {.bin = {.at = buffer, .size = size}}};

    return counted(sb, WIRE_CALL_WriteIo, arguments, size, bytes_written);
}

static HRESULT fill(spacebridge_t *sb, enum wire_call call, uint64_t start, uint32_t size,
                    const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    if (pattern_size > WIRE_BUFFER_MOST)
        pattern_size = WIRE_BUFFER_MOST;
    const union call_argument arguments[] = {
        {.number = start}, {.number = size}, {.bin = {.at = pattern, .size = pattern_size}}};

    return counted(sb, call, arguments, size, filled);
}

HRESULT spacebridge_fill_virtual(spacebridge_t *sb, uint64_t start, uint32_t size,
                                 const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    return fill(sb, WIRE_CALL_FillVirtual, start, size, pattern, pattern_size, filled);
}

HRESULT spacebridge_fill_physical(spacebridge_t *sb, uint64_t start, uint32_t size,
                                  const void *pattern, uint32_t pattern_size, uint32_t *filled)
{
    return fill(sb, WIRE_CALL_FillPhysical, start, size, pattern, pattern_size, filled);
}

HRESULT spacebridge_virtual_to_physical(spacebridge_t *sb, uint64_t virtual_address,
                                        uint64_t *physical_address)
{
    const union call_argument argument = {.number = virtual_address};

    return call_number(sb, WIRE_CALL_VirtualToPhysical, &argument, physical_address);
}
