/* The bench's other side: the same work without spacebridge, as plainly and as fast as a C program
 * can do it.
 *
 *     theirs CASE SOCKET [NUMBER...]
 *
 * SOCKET is the path of a stub's or monitor's unix socket. Prints the seconds that the case took,
 * connecting and making ready not counted. */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd;
static uint64_t number[8];

static void join(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof name.sun_path)
        give_up("the socket's path is too long");
    strcpy(name.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name) != 0)
        give_up(strerror(errno));
}

static void send_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            give_up(strerror(errno));
        bytes += sent;
        size -= (size_t)sent;
    }
}

/* RSP */

static char *packets;
static size_t packets_length, packets_room;

static void packet_add(const char *payload, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;

    while (packets_room < packets_length + length + 4) {
        packets_room = packets_room ? packets_room * 2 : 1 << 16;
        packets = realloc(packets, packets_room);
        if (!packets)
            give_up("out of memory");
    }
    char *at = packets + packets_length;
    *at++ = '$';
    for (size_t i = 0; i < length; i++) {
        *at++ = payload[i];
        sum = (uint8_t)(sum + (uint8_t)payload[i]);
    }
    *at++ = '#';
    *at++ = digits[sum >> 4];
    *at++ = digits[sum & 15];
    packets_length += length + 4;
}

static void write_add(uint64_t address, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    char payload[8192];
    size_t length = (size_t)snprintf(payload, 64, "M%llx,%zx:", (unsigned long long)address, size);

    for (size_t i = 0; i < size; i++) {
        payload[length++] = digits[bytes[i] >> 4];
        payload[length++] = digits[bytes[i] & 15];
    }
    packet_add(payload, length);
}

/* Count the whole replies in bytes; every one must be as wanted: 'O' for OK, 'd' for data. */
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

/* All packets as fast as they go, replies read meanwhile. */
static void blast(size_t expected, char wanted)
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
                give_up("the stub hung up");
            count += now > 0 ? replies_count(in, (size_t)now, wanted) : 0;
        }
    }
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

/* BASE SIZE PIECE RANDOM */
static void blast_write(void)
{
    size_t size = (size_t)number[1], piece = (size_t)number[2], count = 0;
    uint8_t *bytes = calloc(1, size);

    if (!bytes)
        give_up("out of memory");
    if (number[3])
        noise_fill(bytes, size);
    for (size_t at = 0; at < size; at += piece, count++)
        write_add(number[0] + at, bytes + at, size - at < piece ? size - at : piece);
    settle();
    double start = clock_now();
    blast(count, 'O');
    printf("%.9f\n", clock_now() - start);
}

/* BASE SIZE PIECE */
static void blast_read(void)
{
    size_t count = 0;

    for (uint64_t at = 0; at < number[1]; at += number[2], count++) {
        char payload[64];
        uint64_t piece = number[1] - at < number[2] ? number[1] - at : number[2];
        packet_add(payload, (size_t)snprintf(payload, sizeof payload, "m%llx,%llx",
                                             (unsigned long long)(number[0] + at),
                                             (unsigned long long)piece));
    }
    settle();
    double start = clock_now();
    blast(count, 'd');
    printf("%.9f\n", clock_now() - start);
}

/* Single writes, one round trip each: BASE SPAN COUNT CONTIGUOUS SIZE. Seconds of all. */
static void singles(void)
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

/* QMP human-monitor-command, `o /b PORT 0x20`: PORT COUNT. Seconds of all. */
static void qmp_ports(void)
{
    static char in[1 << 16];
    char line[256];
    size_t have = 0;

    send_all("{\"execute\":\"qmp_capabilities\"}\n", 31);
    int length = snprintf(line, sizeof line,
                          "{\"execute\":\"human-monitor-command\",\"arguments\":"
                          "{\"command-line\":\"o /b 0x%llx 0x20\"}}\n",
                          (unsigned long long)number[0]);
    double start = 0;
    for (size_t answers = 0; answers <= number[1];) {
        ssize_t now = read(fd, in + have, sizeof in - 1 - have);
        if (now <= 0)
            give_up("the monitor hung up");
        have += (size_t)now;
        in[have] = 0;
        for (char *end; (end = strchr(in, '\n'));) {
            *end = 0;
            bool answered = strstr(in, "\"return\"") != NULL;
            if (strstr(in, "\"error\""))
                give_up(in);
            have -= (size_t)(end + 1 - in);
            memmove(in, end + 1, have + 1);
            if (!answered)
                continue;
            if (answers++ == 0)
                start = clock_now();
            if (answers <= number[1])
                send_all(line, (size_t)length);
        }
    }
    printf("%.9f\n", clock_now() - start);
}

/* A plain ping-pong over a unix socket, as many bytes each way as a small cached write has on the
 * wire: COUNT THERE BACK. Seconds of one. */
static void ping_pong(void)
{
    int ends[2];
    char bytes[256] = {0};

    if (number[1] > sizeof bytes || number[2] > sizeof bytes ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        give_up("ping-pong");
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        while (read(ends[1], bytes, sizeof bytes) > 0)
            if (write(ends[1], bytes, (size_t)number[2]) < 0)
                break;
        _exit(0);
    }
    close(ends[1]);
    double start = clock_now();
    for (size_t i = 0; i < number[0]; i++)
        if (write(ends[0], bytes, (size_t)number[1]) < 0 || read(ends[0], bytes, sizeof bytes) <= 0)
            give_up("ping-pong");
    printf("%.9f\n", (clock_now() - start) / (double)number[0]);
    close(ends[0]);
    waitpid(child, NULL, 0);
}

/* memcpy of SIZE bytes, COUNT times. Seconds of one. */
static void copy(void)
{
    size_t size = (size_t)number[0];
    uint8_t *from = malloc(size), *to = malloc(size);

    if (!from || !to)
        give_up("out of memory");
    memset(from, 1, size);
    memset(to, 2, size);
    double start = clock_now();
    for (uint64_t i = 0; i < number[1]; i++) {
        memcpy(to, from, size);
        __asm__ volatile("" ::"r"(to) : "memory");
    }
    printf("%.9f\n", (clock_now() - start) / (double)number[1]);
}

static const struct {
    const char *name;
    void (*run)(void);
    int numbers;
    int joined;
} cases[] = {
    {"blast-write", blast_write, 4, 1}, {"blast-read", blast_read, 3, 1},
    {"singles", singles, 5, 1},         {"qmp-ports", qmp_ports, 2, 1},
    {"ping-pong", ping_pong, 3, 0},     {"memcpy", copy, 2, 0},
};

int main(int argc, char **argv)
{
    if (argc < 3)
        give_up("usage: theirs CASE SOCKET [NUMBER...]");
    for (int i = 0; i < argc - 3 && i < 8; i++)
        number[i] = strtoull(argv[3 + i], NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(argv[1], cases[i].name) != 0)
            continue;
        if (argc - 3 != cases[i].numbers)
            give_up("the case takes another count of numbers");
        if (cases[i].joined)
            join(argv[2]);
        cases[i].run();
        return 0;
    }
    give_up("there is no such case");
}
