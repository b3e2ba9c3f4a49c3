/* The bench's other side: the same work without spacebridge, as plainly and as fast as a C program
 * can do it.
 *
 *     theirs CASE SOCKET [NUMBER...]
 *
 * SOCKET is the path of a stub's or monitor's unix socket. Prints the seconds that the case took,
 * connecting and making ready not counted. */
#include "theirs.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int fd;
uint64_t number[8];

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

void send_all(const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
        if (sent < 0)
            give_up(strerror(errno));
        bytes += sent;
        size -= (size_t)sent;
    }
}

/* QMP human-monitor-command: each of the commands in turn, until so many were answered. Prints the
 * seconds of all, shared out over parts. */
static void qmp_commands(const char *const *commands, size_t count, size_t wanted, size_t parts)
{
    static char in[4 << 20];
    size_t have = 0;
    double start = 0;

    send_all("{\"execute\":\"qmp_capabilities\"}\n", 31);
    for (size_t answers = 0; answers <= wanted;) {
        ssize_t now = read(fd, in + have, sizeof in - 1 - have);
        if (now <= 0)
            give_up("the monitor hung up");
        in[have + (size_t)now] = 0;
        char *end = strchr(in + have, '\n');
        have += (size_t)now;
        for (; end; end = strchr(in, '\n')) {
            *end = 0;
            bool answered = strncmp(in, "{\"return\"", strlen("{\"return\"")) == 0;
            if (strncmp(in, "{\"error\"", strlen("{\"error\"")) == 0)
                give_up(in);
            have -= (size_t)(end + 1 - in);
            memmove(in, end + 1, have + 1);
            if (!answered)
                continue;
            if (answers == 0)
                start = clock_now();
            if (answers++ == wanted)
                break;
            char line[256];
            int length = snprintf(line, sizeof line,
                                  "{\"execute\":\"human-monitor-command\",\"arguments\":"
                                  "{\"command-line\":\"%s\"}}\n",
                                  commands[(answers - 1) % count]);
            send_all(line, (size_t)length);
        }
    }
    printf("%.9f\n", (clock_now() - start) / (double)parts);
}

/* Port writes: PORT COUNT. Seconds of all. */
static void qmp_ports(void)
{
    char line[64];
    const char *const commands[] = {line};

    snprintf(line, sizeof line, "o /b 0x%llx 0x20", (unsigned long long)number[0]);
    qmp_commands(commands, 1, (size_t)number[1], 1);
}

/* The memory map as QEMU prints it: COUNT. Seconds of one. */
static void qmp_map(void)
{
    static const char *const commands[] = {"info mtree -f", "info pci"};

    qmp_commands(commands, 2, 2 * (size_t)number[0], (size_t)number[0]);
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
    {"blast-write", blast_write, 3, 1},   {"blast-scattered", blast_scattered, 4, 1},
    {"blast-read", blast_read, 2, 1},     {"singles", singles, 5, 1},
    {"single-reads", single_reads, 3, 1}, {"qtest-write", qtest_write, 3, 1},
    {"qmp-ports", qmp_ports, 2, 1},       {"qmp-map", qmp_map, 1, 1},
    {"ping-pong", ping_pong, 3, 0},       {"memcpy", copy, 2, 0},
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
