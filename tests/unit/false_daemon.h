/* A daemon that is none: a child process that accepts one connection and plays a script on it, for
 * tests of what the client library makes of it. */
#ifndef SB_TESTS_FALSE_DAEMON_H
#define SB_TESTS_FALSE_DAEMON_H

#include "msgpack_words.h"

#include <stdint.h>
#include <sys/types.h>

struct false_daemon {
    char directory[64];
    char endpoint[128];
    pid_t child;
};

/* Listen, and play script on the first connection; the connection ends when script returns. */
void false_daemon_start(struct false_daemon *daemon, void (*script)(int fd, void *context),
                        void *context);
/* Wait until the script is over. The test fails when it failed. */
void false_daemon_end(struct false_daemon *daemon);

/* For scripts. The next request's msgid, -1 at the end of the stream; method (NULL: any) must be
 * its. */
int64_t script_request(int fd, const char *method);
/* Pack and send one message. */
#define SCRIPT_SEND(fd, ...)                                                                       \
    do {                                                                                           \
        struct buffer script_buffer_ = {0};                                                        \
        words_pack(&script_buffer_, __VA_ARGS__);                                                  \
        script_bytes(fd, buffer_bytes(&script_buffer_), script_buffer_.length);                    \
        buffer_free(&script_buffer_);                                                              \
    } while (0)
void script_bytes(int fd, const void *bytes, size_t size);
/* Answer the Hello that the library begins with, as a good daemon does. */
void script_hello(int fd);
/* Read until the peer closes. */
void script_wait_end(int fd);

#endif
