/* Hides how a large write is recognised by its head, and cut into pieces. */
#include "rpc/bulk_write.h"

#include "base/bytes.h"
#include "rpc/calls.h"
#include "wire/message.h"

#include <stdio.h>
#include <string.h>

/* The longest head of such a frame: an array of values of their longest forms, and a name. */
#define HEAD_MOST 96u
#define BIN_32    0xc6u
#define BIN_HEAD  5u /* bin 32 and its length; no shorter form holds so much */

/* Is this one of the calls, with good arguments? */
static bool take_call(struct bulk_write *bulk, const struct message *message)
{
    union argument arguments[PARAMS_MOST];

    if (call_is(message, WIRE_CALL_WritePhysical, arguments)) {
        bulk->method = WIRE_CALL_WritePhysical;
        bulk->flags = DEBUG_PHYSICAL_DEFAULT;
    } else if (call_is(message, WIRE_CALL_WritePhysical2, arguments)) {
        bulk->method = WIRE_CALL_WritePhysical2;
        bulk->flags = (uint32_t)arguments[1].number;
    } else if (call_is(message, WIRE_CALL_WriteVirtualUncached, arguments)) {
        bulk->method = WIRE_CALL_WriteVirtualUncached;
    } else {
        return false;
    }
    bulk->call = wire_call_info(bulk->method)->name;
    bulk->id = message->id;
    bulk->offset = arguments[0].number;
    return true;
}

/* The frame up to its bytes (before bytes of it) with an empty bin in place of them: a whole
 * message, if what stands there is the last value's head. */
static bool take_head(struct bulk_write *bulk, const uint8_t *bytes, size_t before)
{
    uint8_t frame[HEAD_MOST + 2];
    struct frame_scanner scanner;
    struct message message;
    const char *fault;

    memcpy(frame, bytes, before);
    frame[before] = 0xc4; /* bin 8, of no bytes */
    frame[before + 1] = 0;
    frame_scanner_init(&scanner);
    if (frame_scan(&scanner, frame, before + 2) != FRAME_COMPLETE ||
        scanner.scanned != before + 2 || !message_decode(&message, frame, before + 2, &fault))
        return false;
    return take_call(bulk, &message);
}

size_t bulk_write_begin(struct bulk_write *bulk, const uint8_t *bytes, size_t length,
                        const struct frame_scanner *scanner)
{
    uint64_t whole = scanner->scanned + scanner->payload;

    if (scanner->owed > 0 || scanner->payload == 0 || whole < BULK_WRITE_LEAST)
        return 0;
    *bulk = (struct bulk_write){.hr = S_OK};
    for (size_t head = BIN_HEAD; head <= length && head <= HEAD_MOST; head++) {
        size_t before = head - BIN_HEAD;
        if (bytes[before] != BIN_32 || bytes_load(bytes + before + 1, 4, true) != whole - head ||
            !take_head(bulk, bytes, before))
            continue;
        bulk->size = bulk->left = bulk->missing = (size_t)(whole - head);
        return head;
    }
    return 0;
}

size_t bulk_write_piece(const struct bulk_write *bulk, size_t here)
{
    if (bulk->missing == 0 || bulk->ended) /* the last one, or only to be dropped */
        return here;
    size_t beyond = (size_t)((bulk->offset + bulk->done + here) % SPACE_PAGE_SIZE);
    return here < BULK_WRITE_PIECE || here <= beyond ? 0 : here - beyond;
}

static HRESULT write_piece(const struct bulk_write *bulk, struct session *session,
                           const uint8_t *bytes, uint32_t length, uint32_t *done)
{
    uint64_t offset = bulk->offset + bulk->done;

    if (bulk->method == WIRE_CALL_WriteVirtualUncached)
        return session_write_virtual_uncached(session, offset, bytes, length, done);
    return session_write_physical(session, bulk->call, offset, bulk->flags, bytes, length, done);
}

void bulk_write_step(struct bulk_write *bulk, struct session *session, const uint8_t *bytes,
                     size_t length)
{
    uint32_t done = 0;

    bulk->left -= length;
    if (bulk->ended)
        return;
    session_parts_of(session, (uint32_t)bulk->size);
    HRESULT hr = write_piece(bulk, session, bytes, (uint32_t)length, &done);
    session_parts_of(session, 0);
    /* As of one call: it has failed only when nothing was written. A call that overtakes may be
     * carried out, and say why it failed, before this one is answered. */
    if (bulk->done == 0)
        bulk->hr = hr;
    if (FAILED(bulk->hr))
        snprintf(bulk->message, sizeof bulk->message, "%s", session_message(session));
    bulk->done += done;
    bulk->ended = FAILED(hr) || done < length || bulk->offset + bulk->done < bulk->offset;
}

bool bulk_write_answer(const struct bulk_write *bulk, struct session *session, const char *name,
                       struct buffer *reply)
{
    return call_answer_number(session, name, bulk->call, bulk->id, bulk->hr, bulk->message,
                              bulk->done, reply);
}
