/* Hides how spans become packets of the largest size, many in flight, and what each reply counts.
 */
#include "upstream/machine/transfer.h"

#include "base/buffer.h"
#include "base/hex.h"
#include "base/task.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pieces of one transfer that are queued at once: enough to fill the pipeline twice. */
#define SLOTS_MOST 256u
/* Bytes that the packets of every stub can carry. */
#define LEAST_PIECE 512u
/* "M" or "X", two numbers of 16 digits, a comma and a colon. */
#define HEADER_MOST 40

struct transfer;

/* A piece of a span that is under way. */
struct slot {
    struct rsp_operation operation;
    struct transfer *transfer;
    size_t span, offset, length;
    bool busy;
    struct buffer payload;
};

struct transfer {
    const struct transfer_settings *settings;
    struct target_span *spans;
    size_t count;
    size_t span, offset;       /* what is to be sent next */
    bool single;               /* one piece at a time */
    enum target_error refused; /* why nothing more is sent; of all that was not */
    unsigned busy;
    struct task *task;
    unsigned slots_count, slots_next;
    struct slot slots[];
};

/* Cut. Returns the bytes that one packet can carry from here, and makes its payload. */

static bool is_special(uint8_t byte)
{
    return byte == '#' || byte == '$' || byte == '}' || byte == '*';
}

static int put_header(char *header, char command, uint64_t address, size_t length)
{
    return snprintf(header, HEADER_MOST, "%c%" PRIx64 ",%zx%s", command, address, length,
                    command == 'm' ? "" : ":");
}

static bool payload_hex(struct slot *slot, uint64_t address, const uint8_t *bytes, size_t length)
{
    char header[HEADER_MOST];
    int size = put_header(header, 'M', address, length);
    if (!buffer_append(&slot->payload, header, (size_t)size))
        return false;
    uint8_t *room = buffer_reserve(&slot->payload, 2 * length);
    if (!room)
        return false;
    hex_encode((char *)room, bytes, length);
    buffer_commit(&slot->payload, 2 * length);
    return true;
}

/* How many bytes fit, counted as they go over the wire. */
static size_t binary_fit(const uint8_t *bytes, size_t length, size_t room)
{
    size_t count = 0;
    for (size_t used = 0; count < length; count++) {
        used += 1 + is_special(bytes[count]);
        if (used > room)
            break;
    }
    return count;
}

static bool payload_binary(struct slot *slot, uint64_t address, const uint8_t *bytes, size_t length)
{
    char header[HEADER_MOST];
    int size = put_header(header, 'X', address, length);
    return buffer_append(&slot->payload, header, (size_t)size) &&
           buffer_append(&slot->payload, bytes, length);
}

static bool slot_fill(struct slot *slot, const struct target_span *span)
{
    const struct transfer_settings *settings = slot->transfer->settings;
    const struct stub *stub = settings->stub;
    uint64_t address = (span->address + slot->offset) & settings->address_mask;
    const uint8_t *bytes = span->bytes + slot->offset;
    size_t left = span->length - slot->offset;
    size_t room = rsp_client_limit(stub->rsp) - HEADER_MOST;
    bool binary = settings->write && stub->binary && !settings->natural;
    buffer_clear(&slot->payload);
    slot->operation.escape = binary;
    slot->operation.shorten = settings->write && !binary && stub->qemu;
    if (binary) {
        slot->length = binary_fit(bytes, left, room);
        return payload_binary(slot, address, bytes, slot->length);
    }
    if (settings->write) {
        slot->length = left < room / 2 ? left : room / 2;
        return payload_hex(slot, address, bytes, slot->length);
    }
    slot->length = left < stub->read_most ? left : stub->read_most;
    char header[HEADER_MOST];
    int size = put_header(header, 'm', address, slot->length);
    return buffer_append(&slot->payload, header, (size_t)size);
}

/* Answers */

/* What a reply to a write means. */
static enum target_error take_write(struct stub *stub, const struct rsp_operation *operation)
{
    if (operation->reply_length == 2 && memcmp(operation->reply, "OK", 2) == 0)
        return TARGET_OK;
    if (operation->reply_length == 0)
        return TARGET_UNSUPPORTED;
    if (operation->reply[0] == 'E')
        return TARGET_FAULT;
    rsp_client_fail(stub->rsp, "the answer to a write is '%.40s'", operation->reply);
    return TARGET_GONE;
}

/* What a reply to a read means; *got bytes were stored. */
static enum target_error take_read(struct stub *stub, const struct rsp_operation *operation,
                                   uint8_t *bytes, size_t length, size_t *got)
{
    const char *reply = operation->reply;
    size_t digits = operation->reply_length;
    if (digits == 0)
        return TARGET_UNSUPPORTED;
    /* An odd number of characters cannot be data: E01 is no 0xe0 and a half. */
    if (digits % 2 == 0 && digits / 2 <= length && hex_decode(bytes, reply, digits)) {
        *got = digits / 2;
        return TARGET_OK;
    }
    if (reply[0] == 'E' && (digits == 3 || reply[1] == '.'))
        return TARGET_FAULT;
    rsp_client_fail(stub->rsp, "the answer to a read of %zu bytes is '%.40s' (%zu characters)",
                    length, reply, digits);
    return TARGET_GONE;
}

/* Count what was acknowledged, as a prefix: pieces are answered in order, so whatever does not
 * follow on directly comes after a piece that failed or fell short. */
static void count(struct transfer *transfer, struct target_span *span, size_t offset, size_t got,
                  enum target_error error)
{
    if (span->error != TARGET_OK || offset != span->done)
        return;
    span->done += got;
    span->error = error;
    if (transfer->settings->natural && span->done < span->length) {
        if (error == TARGET_OK)
            span->error = TARGET_FAILED; /* half an access */
        transfer->refused = TARGET_CANCELLED;
    }
}

static void send_more(struct transfer *transfer);

static void slot_done(struct rsp_operation *operation)
{
    struct slot *slot = operation->context;
    struct transfer *transfer = slot->transfer;
    struct target_span *span = &transfer->spans[slot->span];
    struct stub *stub = transfer->settings->stub;
    size_t got = 0;
    enum target_error error = operation->error;
    if (error == TARGET_OK && transfer->settings->write) {
        error = take_write(stub, operation);
        got = error == TARGET_OK ? slot->length : 0;
    } else if (error == TARGET_OK) {
        error = take_read(stub, operation, span->bytes + slot->offset, slot->length, &got);
    }
    count(transfer, span, slot->offset, got, error);
    slot->busy = false;
    transfer->busy--;
    send_more(transfer);
    if (transfer->busy == 0)
        task_wake(transfer->task);
}

/* Sending */

static struct slot *slot_free(struct transfer *transfer)
{
    /* They are answered in order: the next one is free nearly always. */
    while (transfer->slots[transfer->slots_next].busy)
        transfer->slots_next = (transfer->slots_next + 1) % transfer->slots_count;
    return &transfer->slots[transfer->slots_next];
}

static unsigned slots_most(const struct transfer *transfer)
{
    return transfer->single ? 1 : transfer->slots_count;
}

static unsigned weight_of(const struct transfer_settings *settings, const struct slot *slot)
{
    size_t reply = settings->write ? 0 : 2 * slot->length;
    if (slot->payload.length + reply <= RSP_SHORT_MOST)
        return RSP_WEIGHT_SHORT;
    return settings->write ? RSP_WEIGHT_FULL : RSP_WEIGHT_READ;
}

static void send_piece(struct transfer *transfer)
{
    struct target_span *span = &transfer->spans[transfer->span];
    struct slot *slot = slot_free(transfer);
    slot->transfer = transfer;
    slot->span = transfer->span;
    slot->offset = transfer->offset;
    enum target_error error = TARGET_NO_MEMORY;
    if (slot_fill(slot, span)) {
        struct rsp_operation *operation = &slot->operation;
        operation->payload = buffer_bytes(&slot->payload);
        operation->length = slot->payload.length;
        operation->kind = RSP_REQUEST;
        operation->weight = weight_of(transfer->settings, slot);
        operation->client = transfer->settings->client;
        operation->thread = transfer->settings->thread;
        operation->space = transfer->settings->space;
        operation->done = slot_done;
        operation->context = slot;
        error = rsp_client_submit(transfer->settings->stub->rsp, operation);
    }
    if (error == TARGET_OK) {
        slot->busy = true;
        transfer->busy++;
        transfer->offset += slot->length;
        return;
    }
    transfer->refused = error;
}

static void send_more(struct transfer *transfer)
{
    while (transfer->busy < slots_most(transfer) && transfer->span < transfer->count &&
           transfer->refused == TARGET_OK) {
        const struct target_span *span = &transfer->spans[transfer->span];
        if (transfer->offset >= span->length || span->error != TARGET_OK) {
            transfer->span++;
            transfer->offset = 0;
            continue;
        }
        send_piece(transfer);
    }
}

static void carry_out(struct transfer *transfer)
{
    send_more(transfer);
    rsp_client_kick(transfer->settings->stub->rsp);
    while (transfer->busy > 0)
        task_suspend();
}

/* A stub may answer a read with less than was asked for: go on behind it, until it refuses. */
static void complete(struct transfer *transfer, size_t count_all)
{
    transfer->single = true;
    for (size_t i = 0; i < count_all; i++) {
        struct target_span *span = &transfer->spans[i];
        while (transfer->refused == TARGET_OK && span->error == TARGET_OK &&
               span->done < span->length) {
            size_t before = span->done;
            transfer->span = i;
            transfer->offset = span->done;
            transfer->count = i + 1;
            carry_out(transfer);
            if (span->done == before && span->error == TARGET_OK && transfer->refused == TARGET_OK)
                span->error = TARGET_FAILED;
        }
    }
}

/* Slots for no more pieces than there are, and than the pipeline takes. */
static unsigned slots_wanted(const struct transfer_settings *settings,
                             const struct target_span *spans, size_t count_all)
{
    unsigned depth = rsp_client_depth(settings->stub->rsp);
    size_t most = depth > 1 ? 2 * (size_t)depth * RSP_WEIGHT_FULL : 2, pieces = 0;
    if (most > SLOTS_MOST)
        most = SLOTS_MOST;
    for (size_t i = 0; i < count_all && pieces < most; i++)
        pieces += 1 + spans[i].length / LEAST_PIECE;
    return (unsigned)(settings->natural || pieces == 0 ? 1 : pieces < most ? pieces : most);
}

enum target_error transfer_spans(const struct transfer_settings *settings,
                                 struct target_span *spans, size_t count_all)
{
    unsigned slots = slots_wanted(settings, spans, count_all);
    struct transfer *transfer = calloc(1, sizeof *transfer + slots * sizeof *transfer->slots);
    for (size_t i = 0; i < count_all; i++) {
        spans[i].done = 0;
        if (!transfer)
            spans[i].error = TARGET_NO_MEMORY;
    }
    if (!transfer)
        return TARGET_NO_MEMORY;
    transfer->slots_count = slots;
    transfer->settings = settings;
    transfer->spans = spans;
    transfer->count = count_all;
    transfer->single = settings->natural;
    transfer->task = task_self();
    carry_out(transfer);
    complete(transfer, count_all);
    enum target_error first = TARGET_OK;
    for (size_t i = 0; i < count_all; i++) {
        struct target_span *span = &spans[i];
        if (span->error == TARGET_OK && span->done < span->length)
            span->error = transfer->refused != TARGET_OK ? transfer->refused : TARGET_FAILED;
        if (first == TARGET_OK)
            first = span->error;
    }
    for (unsigned i = 0; i < transfer->slots_count; i++)
        buffer_free(&transfer->slots[i].payload);
    free(transfer);
    return first;
}
