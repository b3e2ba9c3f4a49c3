/* Memory by virtual and by physical address, pointers, fills, and where a page lies. */
#include "rpc/handler.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef HRESULT read_fn(struct session *, uint64_t, void *, uint32_t, uint32_t *);
typedef HRESULT write_fn(struct session *, uint64_t, const void *, uint32_t, uint32_t *);

static HRESULT read_virtual(struct running *running, read_fn *read)
{
    uint32_t size = (uint32_t)running->arguments[1].number;
    uint32_t done = 0;
    uint8_t *bytes = call_bin_reserve(running, size);

    if (!bytes)
        return E_OUTOFMEMORY;
    HRESULT hr = read(running->session, running->arguments[0].number, bytes, size, &done);
    return call_result_bin(running, hr, done);
}

HRESULT call_read_virtual(struct running *running)
{
    return read_virtual(running, session_read_virtual);
}

HRESULT call_read_virtual_uncached(struct running *running)
{
    return read_virtual(running, session_read_virtual_uncached);
}

static HRESULT write_virtual(struct running *running, write_fn *write)
{
    const struct value_bytes *bin = &running->arguments[1].bin;
    uint32_t done = 0;

    HRESULT hr = write(running->session, running->arguments[0].number, bin->at, bin->size, &done);
    return call_result_number(running, hr, done);
}

HRESULT call_write_virtual(struct running *running)
{
    return write_virtual(running, session_write_virtual);
}

HRESULT call_write_virtual_uncached(struct running *running)
{
    return write_virtual(running, session_write_virtual_uncached);
}

/* count pointers, zero for a read's; NULL with the message set when there is no memory. */
static uint64_t *pointers_new(struct running *running, uint32_t count)
{
    uint64_t *pointers = calloc(count > 0 ? count : 1, sizeof *pointers);

    if (!pointers)
        snprintf(running->message, sizeof running->message,
                 "%s: no memory for %" PRIu32 " pointers", running->call, count);
    return pointers;
}

HRESULT call_read_pointers_virtual(struct running *running)
{
    uint32_t count = (uint32_t)running->arguments[0].number;
    uint32_t done = 0;
    uint64_t *pointers = pointers_new(running, count);

    if (!pointers)
        return E_OUTOFMEMORY;
    HRESULT hr = session_read_pointers_virtual(running->session, count,
                                               running->arguments[1].number, pointers, &done);
    if (SUCCEEDED(hr)) {
        struct pack *pack = answer_result(&running->answer, hr, 1);
        pack_array(pack, count);
        for (uint32_t i = 0; i < count && !running->answer.pack.no_memory; i++)
            pack_unsigned(pack, pointers[i]);
    }
    free(pointers);
    return hr;
}

HRESULT call_write_pointers_virtual(struct running *running)
{
    const struct value_list *list = &running->arguments[1].pointers;
    struct value_reader reader = list->first;
    uint32_t done = 0;
    uint64_t *pointers = pointers_new(running, list->count);
    struct value pointer;

    if (!pointers)
        return E_OUTOFMEMORY;
    for (uint32_t i = 0; i < list->count && value_read(&reader, &pointer); i++)
        pointers[i] = pointer.number; /* checked before to be one */
    HRESULT hr = session_write_pointers_virtual(running->session, list->count,
                                                running->arguments[0].number, pointers, &done);
    free(pointers);
    return call_result_nothing(running, hr);
}

static HRESULT read_physical(struct running *running, uint32_t flags, uint32_t size)
{
    uint32_t done = 0;
    uint8_t *bytes = call_bin_reserve(running, size);

    if (!bytes)
        return E_OUTOFMEMORY;
    HRESULT hr = session_read_physical(running->session, running->call,
                                       running->arguments[0].number, flags, bytes, size, &done);
    return call_result_bin(running, hr, done);
}

HRESULT call_read_physical(struct running *running)
{
    return read_physical(running, DEBUG_PHYSICAL_DEFAULT, (uint32_t)running->arguments[1].number);
}

HRESULT call_read_physical2(struct running *running)
{
    return read_physical(running, (uint32_t)running->arguments[1].number,
                         (uint32_t)running->arguments[2].number);
}

static HRESULT write_physical(struct running *running, uint32_t flags,
                              const struct value_bytes *bin)
{
    uint32_t done = 0;

    HRESULT hr =
        session_write_physical(running->session, running->call, running->arguments[0].number, flags,
                               bin->at, bin->size, &done);
    return call_result_number(running, hr, done);
}

HRESULT call_write_physical(struct running *running)
{
    return write_physical(running, DEBUG_PHYSICAL_DEFAULT, &running->arguments[1].bin);
}

HRESULT call_write_physical2(struct running *running)
{
    return write_physical(running, (uint32_t)running->arguments[1].number,
                          &running->arguments[2].bin);
}

typedef HRESULT fill_fn(struct session *, uint64_t, uint32_t, const void *, uint32_t, uint32_t *);

static HRESULT fill(struct running *running, fill_fn *fill_range)
{
    const struct value_bytes *pattern = &running->arguments[2].bin;
    uint32_t filled = 0;

    HRESULT hr =
        fill_range(running->session, running->arguments[0].number,
                   (uint32_t)running->arguments[1].number, pattern->at, pattern->size, &filled);
    return call_result_number(running, hr, filled);
}

HRESULT call_fill_virtual(struct running *running)
{
    return fill(running, session_fill_virtual);
}

HRESULT call_fill_physical(struct running *running)
{
    return fill(running, session_fill_physical);
}

HRESULT call_virtual_to_physical(struct running *running)
{
    uint64_t physical = 0;
    HRESULT hr =
        session_virtual_to_physical(running->session, running->arguments[0].number, &physical);
    return call_result_number(running, hr, physical);
}
