/* Hides framing, checksums, escapes and run lengths. */
#include "rsp/packet.h"

#include "base/hex.h"

#include <string.h>

/* The longest run one count can stand for, besides its first character: count '~' (126). */
#define REPEATS_MOST 97
/* Three is the least that a printable count (' ', 32) can say. */
#define REPEATS_LEAST 3
#define COUNT_BASE    29

/* The characters that mean something inside a packet, and so are escaped in a payload. */
static const bool special[256] = {['#'] = true, ['$'] = true, ['}'] = true, ['*'] = true};

/* Writing */

static uint8_t sum_of(const uint8_t *bytes, size_t length)
{
    unsigned sum = 0;
    for (size_t i = 0; i < length; i++)
        sum += bytes[i];
    return (uint8_t)sum;
}

/* Room for a packet whose every byte is escaped. */
static uint8_t *frame_begin(struct buffer *out, size_t length)
{
    if (length > (SIZE_MAX - 4) / 2)
        return NULL;
    uint8_t *start = buffer_reserve(out, 2 * length + 4);
    if (start)
        *start = '$';
    return start;
}

static bool frame_end(struct buffer *out, uint8_t *start, uint8_t *end)
{
    uint8_t sum = sum_of(start + 1, (size_t)(end - start) - 1);
    *end++ = '#';
    hex_encode((char *)end, &sum, 1);
    buffer_commit(out, (size_t)(end + 2 - start));
    return true;
}

bool packet_frame(struct buffer *out, const void *payload, size_t length, bool escape)
{
    const uint8_t *from = payload;
    uint8_t *start = frame_begin(out, length);
    if (!start)
        return false;
    uint8_t *to = start + 1;
    if (!escape) {
        if (length > 0)
            memcpy(to, from, length);
        return frame_end(out, start, to + length);
    }
    for (size_t i = 0; i < length; i++) {
        if (special[from[i]]) {
            *to++ = '}';
            *to++ = from[i] ^ 0x20;
        } else {
            *to++ = from[i];
        }
    }
    return frame_end(out, start, to);
}

/* How many of that many repeats one count shall say. Counts that would read as $ # + or - must not
 * be used; * and } are left out too, for decoders that look for these before they look for
 * counts. */
static size_t repeats_now(size_t repeats)
{
    if (repeats > REPEATS_MOST)
        repeats = REPEATS_MOST;
    for (;;) {
        uint8_t count = (uint8_t)(repeats + COUNT_BASE);
        if (!special[count] && count != '+' && count != '-')
            return repeats;
        repeats--;
    }
}

/* Looked at together, with the three that follow: plain loops over as many compile to a few vector
 * instructions. */
#define BLOCK 64

/* Is there nothing in a block to escape, and does no run begin in it? Reads REPEATS_LEAST bytes
 * behind the block. */
static bool block_plain(const uint8_t *bytes)
{
    uint8_t odd = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t byte = bytes[i];
        odd |=
            (uint8_t)(((byte == bytes[i + 1]) & (byte == bytes[i + 2]) & (byte == bytes[i + 3])) |
                      (byte == '#') | (byte == '$') | (byte == '}') | (byte == '*'));
    }
    return odd == 0;
}

/* Bytes from here on that go out as they are. */
static size_t plain_stretch(const uint8_t *bytes, size_t length)
{
    size_t count = 0;
    while (length - count >= BLOCK + REPEATS_LEAST && block_plain(bytes + count))
        count += BLOCK;
    return count;
}

bool packet_frame_rle(struct buffer *out, const void *payload, size_t length)
{
    const uint8_t *from = payload;
    uint8_t *start = frame_begin(out, length);
    if (!start)
        return false;
    uint8_t *to = start + 1;
    for (size_t i = 0, look = 0; i < length;) {
        /* Once a block: in the midst of runs there is nothing to be found. */
        if (i >= look) {
            size_t plain = plain_stretch(from + i, length - i);
            memcpy(to, from + i, plain);
            to += plain;
            i += plain;
            look = i + BLOCK;
            if (i == length)
                break;
        }
        uint8_t byte = from[i++];
        if (special[byte]) {
            /* Never the base of a run: some decoders repeat the byte that was meant, others the
             * second byte of the pair. */
            *to++ = '}';
            *to++ = byte ^ 0x20;
            continue;
        }
        *to++ = byte;
        size_t most = length - i < REPEATS_MOST ? length - i : REPEATS_MOST;
        size_t repeats = 0;
        while (repeats < most && from[i + repeats] == byte)
            repeats++;
        if (repeats < REPEATS_LEAST)
            continue;
        repeats = repeats_now(repeats);
        *to++ = '*';
        *to++ = (uint8_t)(repeats + COUNT_BASE);
        i += repeats;
    }
    return frame_end(out, start, to);
}

/* Reading. Runs are expanded before escapes are taken off, as gdb and gdbserver do: what is
 * repeated is the character that stood on the wire. */

enum state {
    STATE_BETWEEN,
    STATE_PAYLOAD,
    STATE_COUNT, /* after '*' */
    STATE_CHECKSUM_HIGH,
    STATE_CHECKSUM_LOW,
};

void packet_reader_init(struct packet_reader *reader, size_t limit)
{
    *reader = (struct packet_reader){.limit = limit};
}

void packet_reader_free(struct packet_reader *reader)
{
    buffer_free(&reader->text);
    packet_reader_reset(reader);
}

void packet_reader_reset(struct packet_reader *reader)
{
    buffer_clear(&reader->text);
    reader->payload = NULL;
    reader->length = 0;
    reader->state = STATE_BETWEEN;
}

static void packet_begin(struct packet_reader *reader, bool notification)
{
    buffer_clear(&reader->text);
    reader->state = STATE_PAYLOAD;
    reader->outcome = notification ? PACKET_NOTIFICATION : PACKET_DATA;
    reader->sum = 0;
    reader->escaped = false;
    reader->last = -1;
}

/* The packet cannot be delivered; the first reason is the one that is told. */
static void packet_spoil(struct packet_reader *reader, enum packet_event reason)
{
    if (reader->outcome == PACKET_DATA || reader->outcome == PACKET_NOTIFICATION) {
        reader->outcome = reason;
        buffer_clear(&reader->text);
    }
}

static bool packet_spoilt(const struct packet_reader *reader)
{
    return reader->outcome != PACKET_DATA && reader->outcome != PACKET_NOTIFICATION;
}

/* Room for size more bytes of payload, NULL when the packet is spoilt (by now). */
static uint8_t *payload_room(struct packet_reader *reader, size_t size)
{
    if (packet_spoilt(reader))
        return NULL;
    if (size > reader->limit || reader->text.length > reader->limit - size) {
        packet_spoil(reader, PACKET_TOO_LONG);
        return NULL;
    }
    uint8_t *room = buffer_reserve(&reader->text, size + 1); /* the NUL that will follow */
    if (!room)
        packet_spoil(reader, PACKET_NO_MEMORY);
    return room;
}

static void payload_append(struct packet_reader *reader, const uint8_t *bytes, size_t size)
{
    uint8_t *room = payload_room(reader, size);
    if (room) {
        memcpy(room, bytes, size);
        buffer_commit(&reader->text, size);
    }
}

static void payload_repeat(struct packet_reader *reader, uint8_t byte, size_t count)
{
    uint8_t *room = payload_room(reader, count);
    if (room) {
        memset(room, byte, count);
        buffer_commit(&reader->text, count);
    }
}

/* Characters that need no look: a run of those is taken in one go. Returns its length. */
static size_t payload_plain(struct packet_reader *reader, const uint8_t *bytes, size_t size)
{
    uint8_t sum = reader->sum;
    size_t length = 0;
    for (; length < size && !special[bytes[length]]; length++)
        sum = (uint8_t)(sum + bytes[length]);
    if (length == 0)
        return 0;
    reader->sum = sum;
    reader->last = bytes[length - 1];
    payload_append(reader, bytes, length);
    return length;
}

static void payload_count(struct packet_reader *reader, uint8_t count)
{
    if (count < REPEATS_LEAST + COUNT_BASE || count > REPEATS_MOST + COUNT_BASE ||
        reader->last < 0) {
        packet_spoil(reader, PACKET_BAD_CHECKSUM);
        return;
    }
    size_t repeats = count - COUNT_BASE;
    if (reader->last == '}' && !reader->keep_escapes) {
        /* Nobody should, but } can be repeated: each two of them are one escaped ']'. */
        repeats += reader->escaped;
        payload_repeat(reader, '}' ^ 0x20, repeats / 2);
        reader->escaped = repeats % 2;
    } else {
        payload_repeat(reader, (uint8_t)reader->last, repeats);
    }
}

/* One character of a payload that is not plain, '#' and '$' apart. */
static void payload_character(struct packet_reader *reader, uint8_t byte)
{
    reader->sum = (uint8_t)(reader->sum + byte);
    if (byte == '*' && !reader->no_rle) {
        reader->state = STATE_COUNT;
        return;
    }
    reader->last = byte;
    if (reader->escaped) {
        reader->escaped = false;
        payload_repeat(reader, byte ^ 0x20, 1);
    } else if (byte == '}' && !reader->keep_escapes) {
        reader->escaped = true;
    } else {
        payload_repeat(reader, byte, 1);
    }
}

static enum packet_event packet_end(struct packet_reader *reader, uint8_t low)
{
    int high_digit = hex_digit(reader->checksum_high);
    int low_digit = hex_digit(low);
    reader->state = STATE_BETWEEN;
    if (!reader->ignore_checksum &&
        (high_digit < 0 || low_digit < 0 || high_digit * 16 + low_digit != reader->sum))
        packet_spoil(reader, PACKET_BAD_CHECKSUM);
    if (packet_spoilt(reader))
        return reader->outcome;
    if (!buffer_terminate(&reader->text))
        return PACKET_NO_MEMORY;
    reader->payload = buffer_bytes(&reader->text);
    reader->length = reader->text.length;
    return reader->outcome;
}

/* A byte outside a packet. */
static enum packet_event between(struct packet_reader *reader, uint8_t byte)
{
    switch (byte) {
    case '$':
    case '%':
        packet_begin(reader, byte == '%');
        return PACKET_NONE;
    case '+':
        return PACKET_ACK;
    case '-':
        return PACKET_NAK;
    case 0x03:
        return PACKET_INTERRUPT;
    default:
        reader->byte = byte;
        return PACKET_GARBAGE;
    }
}

/* A byte inside a packet that payload_plain() did not take. */
static enum packet_event inside(struct packet_reader *reader, uint8_t byte)
{
    if (byte == '$') {
        /* Its sender gave the packet up and begins anew. */
        packet_spoil(reader, PACKET_BAD_CHECKSUM);
        enum packet_event outcome = reader->outcome;
        packet_begin(reader, false);
        return outcome;
    }
    switch (reader->state) {
    case STATE_PAYLOAD:
    case STATE_COUNT:
        if (byte == '#') {
            if (reader->escaped || reader->state == STATE_COUNT)
                packet_spoil(reader, PACKET_BAD_CHECKSUM);
            reader->state = STATE_CHECKSUM_HIGH;
        } else if (reader->state == STATE_COUNT) {
            reader->sum = (uint8_t)(reader->sum + byte);
            reader->state = STATE_PAYLOAD;
            payload_count(reader, byte);
        } else {
            payload_character(reader, byte);
        }
        return PACKET_NONE;
    case STATE_CHECKSUM_HIGH:
        reader->checksum_high = byte;
        reader->state = STATE_CHECKSUM_LOW;
        return PACKET_NONE;
    default:
        return packet_end(reader, byte);
    }
}

enum packet_event packet_next(struct packet_reader *reader, const uint8_t **bytes, size_t *size)
{
    reader->payload = NULL;
    reader->length = 0;
    if (reader->state == STATE_BETWEEN)
        buffer_clear(&reader->text); /* what was handed out by the last call */
    while (*size > 0) {
        if (reader->state == STATE_PAYLOAD && !reader->escaped) {
            size_t taken = payload_plain(reader, *bytes, *size);
            *bytes += taken;
            *size -= taken;
            if (*size == 0)
                break;
        }
        uint8_t byte = *(*bytes)++;
        (*size)--;
        enum packet_event event =
            reader->state == STATE_BETWEEN ? between(reader, byte) : inside(reader, byte);
        if (event != PACKET_NONE)
            return event;
    }
    return PACKET_NONE;
}
