/* Memory: m, M, x, X, qSearch:memory, qCRC. All of it goes through the client's view. */
#ifdef HAVE_CONFIG_H
#include <config.h> /* memmem */
#endif
#include "base/bytes.h"
#include "base/hex.h"
#include "base/log.h"
#include "stub/handlers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "stub"

/* The most that one reply can hold. A longer read is answered with its beginning, which the
 * protocol allows and clients ask on from. */
#define READ_HEX_MOST    ((FEATURES_PACKET_SIZE - 16) / 2)
#define READ_BINARY_MOST ((FEATURES_PACKET_SIZE - 16) / 2) /* every byte may be escaped */
#define SCAN_STEP        ((size_t)64 * 1024)

/* What an HRESULT of the session is for a client. */
static void reply_hresult(struct client *client, HRESULT hr)
{
    const char *message = session_message(client->session);

    if (hr == SB_ERROR_READ_FAULT || hr == SB_ERROR_WRITE_FAULT)
        reply_error(client, ERROR_FAULT, "%s", message);
    else if (hr == E_UNEXPECTED && front_state(client->front) == TARGET_STATE_RUNNING)
        reply_error(client, ERROR_BUSY, "%s", message);
    else if (hr == E_INVALIDARG)
        reply_error(client, ERROR_INVALID, "%s", message);
    else if (hr == E_UNEXPECTED)
        reply_error(client, ERROR_GONE, "%s", message);
    else
        reply_error(client, ERROR_GENERAL, "%s", message);
}

bool memory_read(struct client *client, uint64_t address, void *bytes, uint32_t size,
                 uint32_t *done)
{
    HRESULT hr;

    *done = 0;
    front_wait_settled(client->front);
    if (client->physical) {
        hr = session_read_physical(client->session, "ReadPhysical", address, DEBUG_PHYSICAL_DEFAULT,
                                   bytes, size, done);
    } else if (!client_select_processor(client)) {
        return false;
    } else if (front_state(client->front) == TARGET_STATE_RUNNING) {
        hr = session_read_live(client->session, address, bytes, size, done);
    } else {
        hr = session_read_virtual(client->session, address, bytes, size, done);
    }
    if (SUCCEEDED(hr) && (*done > 0 || size == 0))
        return true;
    reply_hresult(client, FAILED(hr) ? hr : SB_ERROR_READ_FAULT);
    return false;
}

static bool read_request(struct client *client, const struct request *request, size_t most,
                         uint8_t **bytes, uint32_t *done)
{
    uint64_t address, length;

    *bytes = NULL;
    *done = 0;
    if (!request_range(request, 1, &address, &length)) {
        reply_error(client, ERROR_INVALID, "a read is ADDRESS,LENGTH in hexadecimal digits");
        return false;
    }
    uint32_t size = (uint32_t)(length < most ? length : most);
    *bytes = malloc(size + 1);
    if (!*bytes) {
        reply_error(client, ERROR_GENERAL, "out of memory");
        return false;
    }
    if (size == 0 || memory_read(client, address, *bytes, size, done))
        return true;
    free(*bytes);
    *bytes = NULL;
    return false;
}

void memory_do_read(struct client *client, const struct request *request)
{
    uint8_t *bytes;
    uint32_t done;

    if (!read_request(client, request, READ_HEX_MOST, &bytes, &done))
        return;
    reply_hex(client, bytes, done);
    free(bytes);
}

static bool looks_like_error(const uint8_t *bytes, size_t length)
{
    return length >= 3 && bytes[0] == 'E' && hex_digit(bytes[1]) >= 0 && hex_digit(bytes[2]) >= 0 &&
           (length == 3 || bytes[3] == ';');
}

/* Does this client want a b before the bytes of an x reply? It was told so in our reply to its
 * qSupported. One that does not know of it asks for 0 bytes first, takes OK for yes, and wants them
 * bare. */
static bool is_marked(struct client *client, const struct request *request)
{
    uint64_t address, length;

    if (client->x_form == X_FORM_OPEN && request_range(request, 1, &address, &length))
        client->x_form = client->announced.modern && length > 0 ? X_FORM_MARKED : X_FORM_BARE;
    return client->x_form == X_FORM_MARKED;
}

void memory_do_read_binary(struct client *client, const struct request *request)
{
    bool marked = is_marked(client, request);
    uint8_t *bytes;
    uint32_t done;

    if (!read_request(client, request, READ_BINARY_MOST, &bytes, &done))
        return;
    if (marked) {
        reply_text(client, "b");
        reply_bytes(client, bytes, done);
    } else if (done == 0) {
        reply_ok(client);
    } else {
        /* Bytes that read as an error reply: one of them does not, and a short reply is asked on
         * from. */
        reply_bytes(client, bytes, looks_like_error(bytes, done) ? 1 : done);
    }
    free(bytes);
}

/* May this client write now? A target that runs is written where a way is that needs no halt, as by
 * any other connection. */
static bool may_write(struct client *client)
{
    const struct front *front = client->front;

    front_wait_settled(client->front);
    if (front_state(front) == TARGET_STATE_RUNNING &&
        (client->physical ? front_info(front)->live_physical : front_info(front)->live_virtual))
        return true;
    return client_needs_halt(client, "a write");
}

/* The bytes are checked already; data has as many as are to be written. */
static void write_bytes(struct client *client, uint64_t address, const void *data, uint32_t size)
{
    uint32_t done = 0;
    HRESULT hr;

    if (client->physical)
        hr = session_write_physical(client->session, "WritePhysical", address,
                                    DEBUG_PHYSICAL_DEFAULT, data, size, &done);
    else if (!client_select_processor(client))
        return;
    else
        hr = session_write_virtual(client->session, address, data, size, &done);
    if (SUCCEEDED(hr) && done == size) {
        reply_ok(client);
        return;
    }
    if (done > 0)
        log_warning(ROOM,
                    "%s: a write of 0x%" PRIx32 " bytes at 0x%" PRIx64 " stopped after 0x%" PRIx32
                    " bytes, the rest was not written",
                    client->name, size, address, done);
    if (SUCCEEDED(hr))
        reply_error(client, ERROR_FAULT, "only 0x%" PRIx32 " of 0x%" PRIx32 " bytes were written",
                    done, size);
    else
        reply_hresult(client, hr);
}

void memory_do_write(struct client *client, const struct request *request)
{
    struct request_write write;

    if (!request_write(request, &write) || write.length > FEATURES_PACKET_SIZE) {
        reply_error(client, ERROR_INVALID,
                    "a write is ADDRESS,LENGTH:DATA, with as much data as its length says");
        return;
    }
    if (write.length == 0) { /* how debuggers ask whether X is known */
        reply_ok(client);
        return;
    }
    if (!may_write(client))
        return;
    if (request->text[0] == 'X') {
        write_bytes(client, write.address, write.data, (uint32_t)write.length);
        return;
    }
    uint8_t *bytes = malloc(write.length);
    if (!bytes) {
        reply_error(client, ERROR_GENERAL, "out of memory");
        return;
    }
    hex_decode(bytes, write.data, 2 * write.length);
    write_bytes(client, write.address, bytes, (uint32_t)write.length);
    free(bytes);
}

/* Search and checksum: over ranges that may be long, step by step. */

/* Returns how many bytes could be read; where that is not all, the reply says why: a page that is
 * not there ends both with an error, as in the debugger itself. */
static size_t scan_read(struct client *client, uint64_t address, uint8_t *bytes, size_t size)
{
    size_t at = 0;

    for (uint32_t done; at < size; at += done) {
        if (client->gone ||
            !memory_read(client, address + at, bytes + at, (uint32_t)(size - at), &done))
            break;
    }
    /* What is in the view is read without waiting for anything: others want a turn, too. */
    if (task_self())
        task_yield();
    return at;
}

void memory_do_search(struct client *client, const struct request *request)
{
    struct request_search search;

    if (!request_search(request, &search)) {
        reply_error(client, ERROR_INVALID, "a search is ADDRESS;LENGTH;PATTERN");
        return;
    }
    size_t overlap = search.pattern_length - 1, kept = 0;
    uint64_t at = search.address, left = bytes_clip(at, search.length);
    uint8_t *bytes = malloc(overlap + SCAN_STEP);
    if (!bytes) {
        reply_error(client, ERROR_GENERAL, "out of memory");
        return;
    }
    while (left > 0) {
        size_t step = left < SCAN_STEP ? (size_t)left : SCAN_STEP;
        size_t got = scan_read(client, at, bytes + kept, step);
        const uint8_t *found = memmem(bytes, kept + got, search.pattern, search.pattern_length);
        if (found) {
            buffer_clear(&client->reply);
            reply_text(client, "1,%" PRIx64, at - kept + (uint64_t)(found - bytes));
            goto done;
        }
        if (got < step)
            goto done;
        at += step;
        left -= step;
        size_t have = kept + step;
        kept = have < overlap ? have : overlap;
        memmove(bytes, bytes + have - kept, kept);
    }
    reply_text(client, "0");
done:
    free(bytes);
}

/* CRC-32 with the bits of a byte taken from the most significant one on, as the GDB manual has it
 * for qCRC: polynomial 0x04c11db7, start 0xffffffff, nothing inverted at the end. */
static uint32_t crc_add(uint32_t crc, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= (uint32_t)bytes[i] << 24;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x80000000u ? crc << 1 ^ 0x04c11db7u : crc << 1;
    }
    return crc;
}

void memory_do_crc(struct client *client, const struct request *request)
{
    uint64_t address, length;
    uint32_t crc = UINT32_MAX;

    if (!request_range(request, strlen("qCRC:"), &address, &length) ||
        bytes_clip(address, length) != length) {
        reply_error(client, ERROR_INVALID, "qCRC is ADDRESS,LENGTH, within the address space");
        return;
    }
    uint8_t *bytes = malloc(SCAN_STEP);
    if (!bytes) {
        reply_error(client, ERROR_GENERAL, "out of memory");
        return;
    }
    while (length > 0) {
        size_t step = length < SCAN_STEP ? (size_t)length : SCAN_STEP;
        if (scan_read(client, address, bytes, step) < step)
            goto done;
        crc = crc_add(crc, bytes, step);
        address += step;
        length -= step;
    }
    reply_text(client, "C%" PRIx32, crc);
done:
    free(bytes);
}
