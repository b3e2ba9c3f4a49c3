/* The calls on pointers: how the target keeps them. */
#include "space/core.h"
#include "space/session.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the target keeps its pointers. */
struct pointer_format {
    unsigned size;
    bool big_endian;
};

static void pointer_encode(uint8_t *bytes, uint64_t value, const struct pointer_format *format)
{
    bytes_store(bytes, value, format->size, format->big_endian);
}

/* Sign-extended, as dbgeng's addresses are. */
static uint64_t pointer_decode(const uint8_t *bytes, const struct pointer_format *format)
{
    uint64_t value = bytes_load(bytes, format->size, format->big_endian);
    if (format->size == 4 && value & UINT32_C(0x80000000))
        value |= UINT64_C(0xffffffff00000000);
    return value;
}

/* The format, and room for count pointers in *bytes, of *size bytes. */
static HRESULT pointers_begin(struct session *session, const char *name, uint32_t count,
                              uint64_t offset, struct pointer_format *format, uint8_t **bytes,
                              uint32_t *size)
{
    struct target *target = session->space->target;
    const struct target_info *info = target->about->info(target);
    enum target_error error = session_memory_ready(session, true);

    if (!error && info->order_unknown)
        return session_fail(session, E_NOTIMPL,
                            "%s at 0x%" PRIx64 ": nothing tells the byte order of this target (%s)",
                            name, offset,
                            info->architecture[0] ? info->architecture : "unknown architecture");
    if (!error)
        error =
            target->processors->pointer_size(target, session->client, session->cpu, &format->size);
    if (!error && format->size != 4 && format->size != 8)
        error = TARGET_FAILED;
    if (error)
        return session_fail(session, space_hresult(error, E_FAIL), "%s at 0x%" PRIx64 ": %s", name,
                            offset, target_error_text(error));
    format->big_endian = info->big_endian;
    if (count > UINT32_MAX / format->size)
        return session_fail(session, E_INVALIDARG,
                            "%s at 0x%" PRIx64 ": %" PRIu32 " pointers are too many", name, offset,
                            count);
    *size = count * format->size;
    *bytes = malloc(*size);
    if (!*bytes)
        return session_fail(session, E_OUTOFMEMORY,
                            "%s at 0x%" PRIx64 ": no memory for %" PRIu32 " pointers", name, offset,
                            count);
    return S_OK;
}

/* All or an error. hr and moved are those of the transfer of bytes underneath. */
static HRESULT pointers_end(struct session *session, const char *name, const char *verb,
                            HRESULT fault, HRESULT hr, uint64_t offset, uint32_t count,
                            uint32_t moved)
{
    char why[SESSION_MESSAGE_SIZE];

    if (SUCCEEDED(hr) && moved == count)
        return S_OK;
    snprintf(why, sizeof(why), "%s", session->message);
    return session_fail(session, FAILED(hr) ? hr : fault,
                        "%s at 0x%" PRIx64 ": %" PRIu32 " of %" PRIu32 " pointers %s%s%.300s", name,
                        offset, moved, count, verb,
                        why[0] ? ": " : ", the address space ends there", why);
}

HRESULT session_read_pointers_virtual(struct session *session, uint32_t count, uint64_t offset,
                                      uint64_t *pointers, uint32_t *done)
{
    static const char name[] = "ReadPointersVirtual";
    struct pointer_format format;
    uint8_t *bytes = NULL;
    uint32_t size, moved = 0;

    session->message[0] = '\0';
    if (done)
        *done = 0;
    if (!count)
        return S_OK;
    HRESULT hr = pointers_begin(session, name, count, offset, &format, &bytes, &size);
    if (FAILED(hr))
        return hr;
    hr = session_read_virtual(session, offset, bytes, size, &moved);
    moved /= format.size;
    for (uint32_t i = 0; i < moved; i++)
        pointers[i] = pointer_decode(bytes + (size_t)i * format.size, &format);
    free(bytes);
    if (done)
        *done = moved;
    return pointers_end(session, name, "read", SB_ERROR_READ_FAULT, hr, offset, count, moved);
}

HRESULT session_write_pointers_virtual(struct session *session, uint32_t count, uint64_t offset,
                                       const uint64_t *pointers, uint32_t *done)
{
    static const char name[] = "WritePointersVirtual";
    struct pointer_format format;
    uint8_t *bytes = NULL;
    uint32_t size, moved = 0;

    session->message[0] = '\0';
    if (done)
        *done = 0;
    if (!count)
        return S_OK;
    HRESULT hr = pointers_begin(session, name, count, offset, &format, &bytes, &size);
    if (FAILED(hr))
        return hr;
    for (uint32_t i = 0; i < count; i++)
        pointer_encode(bytes + (size_t)i * format.size, pointers[i], &format);
    hr = session_write_virtual(session, offset, bytes, size, &moved);
    moved /= format.size;
    free(bytes);
    if (done)
        *done = moved;
    return pointers_end(session, name, "written", SB_ERROR_WRITE_FAULT, hr, offset, count, moved);
}
