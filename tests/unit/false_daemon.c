#include "false_daemon.h"

#include "base/endpoint.h"
#include "wire/frame.h"
#include "wire/message.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

void false_daemon_start(struct false_daemon *daemon, void (*script)(int fd, void *context),
                        void *context)
{
    struct endpoint endpoint;
    char error[ENDPOINT_ERROR_SIZE];

    strcpy(daemon->directory, "/tmp/false_daemon.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(daemon->directory));
    snprintf(daemon->endpoint, sizeof daemon->endpoint, "unix:%s/rpc.sock", daemon->directory);
    ck_assert(endpoint_parse(&endpoint, daemon->endpoint, error));
    int listener = endpoint_listen(&endpoint, error);
    ck_assert_msg(listener >= 0, "%s", error);
    daemon->child = fork();
    ck_assert_int_ge(daemon->child, 0);
    if (daemon->child == 0) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        if (poll(&ready, 1, 30000) != 1)
            _exit(1);
        int fd = accept(listener, NULL, NULL); /* blocks, unlike endpoint_accept's */
        if (fd < 0)
            _exit(1);
        script(fd, context);
        close(fd);
        _exit(0);
    }
    close(listener);
}

void false_daemon_end(struct false_daemon *daemon)
{
    char path[128];
    int status;

    ck_assert_int_eq(waitpid(daemon->child, &status, 0), daemon->child);
    snprintf(path, sizeof path, "%s/rpc.sock", daemon->directory);
    unlink(path);
    rmdir(daemon->directory);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the script failed (%d)", status);
}

int64_t script_request(int fd, const char *method)
{
    struct buffer input = {0};
    struct frame_scanner scanner;
    struct message message;
    const char *fault;
    uint8_t byte;

    frame_scanner_init(&scanner);
    /* As much at once as cannot be part of the next message. */
    while (frame_scan(&scanner, buffer_bytes(&input), input.length) == FRAME_INCOMPLETE) {
        if (scanner.payload > 0) {
            if (buffer_read_fd(&input, fd, (size_t)scanner.payload) <= 0)
                goto end;
        } else if (read(fd, &byte, 1) != 1 || !buffer_append_byte(&input, byte)) {
            goto end;
        }
    }
    if (scanner.fault || !message_decode(&message, buffer_bytes(&input), input.length, &fault))
        _exit(2);
    if (message.type != MESSAGE_REQUEST || (method && !value_text_is(&message.method, method)))
        _exit(3);
    int64_t id = message.id;
    buffer_free(&input);
    return id;
end:
    buffer_free(&input);
    return -1;
}

void script_bytes(int fd, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t count = send(fd, at, size, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return; /* the client has gone: its right */
        at += count;
        size -= (size_t)count;
    }
}

void script_hello(int fd)
{
    uint64_t id = (uint64_t)script_request(fd, "Hello");

    SCRIPT_SEND(fd, "[iun[is{sssisfsisiss}]]", 1, id, 0, "0.1", "architecture", "i386:x86-64",
                "pointer_size", 8, "big_endian", "processors", 2, "page_size", 4096, "upstream",
                "a script");
}

void script_wait_end(int fd)
{
    char waste[65536];

    while (read(fd, waste, sizeof waste) > 0)
        ;
}
