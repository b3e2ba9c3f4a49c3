/* Ready-made packets and lines, as fast as QEMU takes them. */
#include "theirs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is to be sent, ready made. */
static char *packets;
static size_t packets_length, packets_room;

static void text_add(const char *text, size_t length)
{
    while (packets_room < packets_length + length) {
        packets_room = packets_room ? packets_room * 2 : 1 << 16;
        packets = realloc(packets, packets_room);
        if (!packets)
            give_up("out of memory");
    }
    memcpy(packets + packets_length, text, length);
    packets_length += length;
}

static void packet_add(const char *payload, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + (uint8_t)payload[i]);
    const char end[3] = {'#', digits[sum >> 4], digits[sum & 15]};
    text_add("$", 1);
    text_add(payload, length);
    text_add(end, sizeof end);
}

/* The longest head of a write, "M" and two numbers, and room to spare. */
#define HEAD_SIZE 32

static void write_add(uint64_t address, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char *payload = malloc(HEAD_SIZE + 2 * size + 1);

    if (!payload)
        give_up("out of memory");
    size_t length =
        (size_t)snprintf(payload, HEAD_SIZE, "M%llx,%zx:", (unsigned long long)address, size);
    for (size_t i = 0; i < size; i++) {
        payload[length++] = digits[bytes[i] >> 4];
        payload[length++] = digits[bytes[i] & 15];
    }
    packet_add(payload, length);
    free(payload);
}

/* Whole replies in bytes; every one must be as wanted. */
typedef size_t count_fn(const char *bytes, size_t size, char wanted);

/* Of the stub; wanted: 'O' for OK, 'd' for data. */
static size_t replies_count(const char *bytes, size_t size, char wanted)
{
    static int state; /* 0: between replies, 1: its first character, 2: inside, 3 and 4: checksum */
    size_t count = 0;

    for (size_t i = 0; i < size; i++) {
        switch (state) {
        case 0:
            state = bytes[i] == '$' ? 1 : 0;
            break;
        case 1:
            if (bytes[i] == 'E' || bytes[i] == '#' || (wanted == 'O' && bytes[i] != 'O'))
                give_up("the stub refuses");
            state = 2;
            break;
        case 2: {
            const char *end = memchr(bytes + i, '#', size - i);
            i = end ? (size_t)(end - bytes) : size - 1;
            state = end ? 3 : 2;
            break;
        }
        case 3:
            state = 4;
            break;
        case 4:
            state = 0;
            count++;
        }
    }
    return count;
}

/* All packets, or lines, as fast as they go, replies read meanwhile. */
static void blast_by(count_fn *replies, size_t expected, char wanted)
{
    static char in[1 << 18];
    size_t sent = 0, count = 0;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (count < expected) {
        struct pollfd ready = {.fd = fd,
                               .events = (short)(POLLIN | (sent < packets_length ? POLLOUT : 0))};
        poll(&ready, 1, -1);
        if (ready.revents & POLLOUT) {
            ssize_t now = send(fd, packets + sent, packets_length - sent, MSG_NOSIGNAL);
            sent += now > 0 ? (size_t)now : 0;
        }
        if (ready.revents & (POLLIN | POLLHUP)) {
            ssize_t now = read(fd, in, sizeof in);
            if (now == 0 || (now < 0 && errno != EAGAIN))
                give_up("the other side hung up");
            count += now > 0 ? replies(in, (size_t)now, wanted) : 0;
        }
    }
    if (count > expected)
        give_up("there are more replies than requests");
}

static void blast(size_t expected, char wanted)
{
    blast_by(replies_count, expected, wanted);
}

/* One request, and its reply awaited. */
static void round_trip(const char *packet, size_t length, char wanted)
{
    char in[8192];

    send_all(packet, length);
    for (size_t count = 0; count == 0;) {
        ssize_t now = read(fd, in, sizeof in);
        if (now <= 0)
            give_up("the stub hung up");
        count = replies_count(in, (size_t)now, wanted);
    }
}

/* Let what the stub says because we have come be over: after the answer to this, all is ours. */
static void settle(void)
{
    char in[8192];
    size_t have = 0;

    send_all("$Hg0#df", 7);
    do {
        ssize_t now = read(fd, in + have, sizeof in - 1 - have);
        if (now <= 0 || have + (size_t)now == sizeof in - 1)
            give_up("the stub hung up");
        have += (size_t)now;
        in[have] = 0;
    } while (!strstr(in, "$OK#9a"));
}

/* The longest packet that the stub takes and sends, as it says itself: QEMU 7.2 says 0x1000, 11.1
 * 0x20020. */
static size_t packet_size(void)
{
    char in[8192];
    size_t have = 0;

    settle();
    send_all("$qSupported#37", 14);
    do {
        ssize_t now = read(fd, in + have, sizeof in - 1 - have);
        if (now <= 0 || have + (size_t)now == sizeof in - 1)
            give_up("the stub does not say what it supports");
        have += (size_t)now;
        in[have] = 0;
    } while (have < 4 || in[have - 3] != '#');
    const char *found = strstr(in, "PacketSize=");
    size_t size = found ? strtoul(found + strlen("PacketSize="), NULL, 16) : 0;
    if (size < 2 * HEAD_SIZE || size > 1 << 24)
        give_up("the stub does not say how long a packet may be");
    return size;
}

/* BASE SIZE RANDOM */
void blast_write(void)
{
    size_t size = (size_t)number[1], piece = (packet_size() - HEAD_SIZE) / 2, count = 0;
    uint8_t *bytes = calloc(1, size);

    if (!bytes)
        give_up("out of memory");
    if (number[2])
        noise_fill(bytes, size);
    for (size_t at = 0; at < size; at += piece, count++)
        write_add(number[0] + at, bytes + at, size - at < piece ? size - at : piece);
    double start = clock_now();
    blast(count, 'O');
    printf("%.9f\n", clock_now() - start);
}

/* Small writes all over the place: BASE SPAN COUNT SIZE */
void blast_scattered(void)
{
    uint64_t state = 1;
    uint8_t bytes[8] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};

    if (number[3] > sizeof bytes)
        give_up("a small write is no more than 8 bytes");
    for (size_t i = 0; i < number[2]; i++)
        write_add(address_of(0, number[0], number[1], i, &state), bytes, (size_t)number[3]);
    settle();
    double start = clock_now();
    blast((size_t)number[2], 'O');
    printf("%.9f\n", clock_now() - start);
}

static void read_add(uint64_t address, uint64_t size)
{
    char payload[64];

    packet_add(payload, (size_t)snprintf(payload, sizeof payload, "m%llx,%llx",
                                         (unsigned long long)address, (unsigned long long)size));
}

/* BASE SIZE */
void blast_read(void)
{
    uint64_t size = number[1], piece = packet_size() / 2;
    size_t count = 0;

    for (uint64_t at = 0; at < size; at += piece, count++)
        read_add(number[0] + at, size - at < piece ? size - at : piece);
    double start = clock_now();
    blast(count, 'd');
    printf("%.9f\n", clock_now() - start);
}

/* Single writes, one round trip each: BASE SPAN COUNT CONTIGUOUS SIZE. Seconds of all. */
void singles(void)
{
    uint64_t state = 1;
    uint8_t bytes[8] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};

    settle();
    double start = clock_now();
    for (size_t i = 0; i < number[2]; i++) {
        packets_length = 0;
        write_add(address_of((int)number[3], number[0], number[1], i, &state), bytes,
                  (size_t)number[4]);
        round_trip(packets, packets_length, 'O');
    }
    printf("%.9f\n", clock_now() - start);
}

/* Reads, one round trip each: BASE SIZE PIECE. Seconds of all. */
void single_reads(void)
{
    settle();
    double start = clock_now();
    for (uint64_t at = 0; at + number[2] <= number[1]; at += number[2]) {
        packets_length = 0;
        read_add(number[0] + at, number[2]);
        round_trip(packets, packets_length, 'd');
    }
    printf("%.9f\n", clock_now() - start);
}

/* qtest */

/* Every line of the answer must be OK. */
static size_t lines_count(const char *bytes, size_t size, char wanted)
{
    static const char ok[] = "OK\n";
    static size_t at; /* in the line */
    size_t count = 0;

    (void)wanted;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != ok[at])
            give_up("qtest refuses");
        at = (at + 1) % (sizeof ok - 1);
        count += at == 0;
    }
    return count;
}

static void base64_add(const uint8_t *bytes, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 |
                         (i + 1 < size ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < size ? bytes[i + 2] : 0);
        char four[4] = {digits[three >> 18], digits[three >> 12 & 63],
                        i + 1 < size ? digits[three >> 6 & 63] : '=',
                        i + 2 < size ? digits[three & 63] : '='};
        text_add(four, sizeof four);
    }
}

/* Bulk writes by lines of PIECE bytes: BASE SIZE PIECE */
void qtest_write(void)
{
    size_t size = (size_t)number[1], piece = (size_t)number[2], count = 0;
    uint8_t *bytes = malloc(size);

    if (!bytes)
        give_up("out of memory");
    noise_fill(bytes, size);
    for (size_t at = 0; at < size; at += piece, count++) {
        char head[80];
        size_t length = size - at < piece ? size - at : piece;
        text_add(head, (size_t)snprintf(head, sizeof head, "b64write 0x%llx 0x%zx ",
                                        (unsigned long long)(number[0] + at), length));
        base64_add(bytes + at, length);
        text_add("\n", 1);
    }
    double start = clock_now();
    blast_by(lines_count, count, 'O');
    printf("%.9f\n", clock_now() - start);
}
