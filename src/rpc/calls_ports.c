/* The processor's port space. */
#include "rpc/handler.h"

HRESULT call_read_io(struct running *running)
{
    const union argument *arguments = running->arguments;
    uint32_t size = (uint32_t)arguments[4].number;
    uint32_t done = 0;
    uint8_t *bytes = call_bin_reserve(running, size);

    if (!bytes)
        return E_OUTOFMEMORY;
    HRESULT hr = session_read_io(running->session, arguments[0].interface_type,
                                 (uint32_t)arguments[1].number, (uint32_t)arguments[2].number,
                                 arguments[3].number, bytes, size, &done);
    return call_result_bin(running, hr, done);
}

HRESULT call_write_io(struct running *running)
{
    const union argument *arguments = running->arguments;
    const struct value_bytes *bin = &arguments[4].bin;
    uint32_t done = 0;

    HRESULT hr = session_write_io(running->session, arguments[0].interface_type,
                                  (uint32_t)arguments[1].number, (uint32_t)arguments[2].number,
                                  arguments[3].number, bin->at, bin->size, &done);
    return call_result_number(running, hr, done);
}
