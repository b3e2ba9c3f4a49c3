/* Hides how the process behind a socket is found out, and whether it is a QEMU. */
#define _GNU_SOURCE
#include "upstream/link/process.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

pid_t process_peer(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof peer;
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid < 0)
        return 0;
    return peer.pid;
}

static bool called_qemu(const char *path)
{
    const char *name = strrchr(path, '/');
    return strstr(name ? name : path, "qemu") != NULL;
}

/* A line of /proc/PID/maps: "7f46…-7f46… r-xp 004d9000 fe:00 1100256     /usr/bin/qemu-system-arm"
 */
static bool runs_qemu(const char *line)
{
    char permissions[5];
    int path = 0;
    return sscanf(line, "%*s %4s %*s %*s %*s %n", permissions, &path) == 1 && path > 0 &&
           strchr(permissions, 'x') && line[path] == '/' && called_qemu(line + path);
}

/* Is a QEMU among the files whose code it runs? It is when its own loader was told to start it. */
static bool maps_qemu(pid_t pid)
{
    char path[64], line[1024];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = runs_qemu(line);
    if (file)
        fclose(file);
    return found;
}

bool process_is_qemu(pid_t pid)
{
    char path[64], program[512];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(path, program, sizeof program - 1);
    if (length <= 0)
        return false;
    program[length] = '\0';
    return called_qemu(program) || maps_qemu(pid);
}

bool process_shares_numbers(pid_t pid)
{
    struct stat ours, theirs;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    return stat("/proc/self/ns/pid", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}
