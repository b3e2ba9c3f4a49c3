#define _GNU_SOURCE
#include "target/process.h"

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

bool process_is_qemu(pid_t pid)
{
    char path[64], program[512];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(path, program, sizeof program - 1);
    if (length <= 0)
        return false;
    program[length] = '\0';
    const char *name = strrchr(program, '/');
    return strstr(name ? name : program, "qemu") != NULL;
}

bool process_shares_numbers(pid_t pid)
{
    struct stat ours, theirs;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    return stat("/proc/self/ns/pid", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}
