/* Hides the forms of a log line. */
#include "base/log.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A pipe that is ready for writing takes this much at once (PIPE_BUF on Linux). */
#define LINE_SIZE 4096
/* A message after escaping. As JSON each of its characters may become two. */
#define MESSAGE_SIZE 1920

static enum log_level threshold = LOG_LEVEL_INFO;
static enum log_format chosen = LOG_FORMAT_TEXT;

static const char *const level_names[] = {"error", "warning", "info", "debug", "trace"};
static const char *const format_names[] = {"text", "json"};

void log_configure(enum log_level level, enum log_format format)
{
    threshold = level;
    chosen = format;
}

bool log_enabled(enum log_level level)
{
    return level <= threshold;
}

static int find(const char *const *names, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -1;
}

bool log_level_parse(enum log_level *level, const char *text)
{
    int found = find(level_names, sizeof(level_names) / sizeof(level_names[0]), text);
    if (found >= 0)
        *level = (enum log_level)found;
    return found >= 0;
}

bool log_format_parse(enum log_format *format, const char *text)
{
    int found = find(format_names, sizeof(format_names) / sizeof(format_names[0]), text);
    if (found >= 0)
        *format = (enum log_format)found;
    return found >= 0;
}

/* The length of the printable UTF-8 character at text (a NUL ends it), 0 where there is none. */
static size_t printable(const unsigned char *text)
{
    if (text[0] < 0x80)
        return text[0] >= 0x20 && text[0] != 0x7f;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    unsigned code = text[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    /* Shortest form only, no surrogates, no C1 controls: terminals obey those, too. */
    static const unsigned least[] = {0, 0, 0xa0, 0x800, 0x10000};
    if (text[0] < 0xc2 || text[0] > 0xf4 || code < least[length] || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

/* Copy text, with all that is not printable as \xNN and an ellipsis where it does not fit. */
static void make_safe(char *safe, size_t size, const char *text)
{
    static const char ellipsis[] = "...";
    const unsigned char *from = (const unsigned char *)text;
    size_t used = 0;
    while (*from) {
        size_t length = printable(from);
        if (used + 4 + sizeof(ellipsis) > size) {
            memcpy(safe + used, ellipsis, sizeof(ellipsis));
            return;
        }
        if (length > 0) {
            memcpy(safe + used, from, length);
            used += length;
            from += length;
        } else {
            used += (size_t)snprintf(safe + used, 5, "\\x%02x", *from++);
        }
    }
    safe[used] = '\0';
}

static void format_time(char *text, size_t size)
{
    struct timespec time;
    struct tm date;
    clock_gettime(CLOCK_REALTIME, &time);
    gmtime_r(&time.tv_sec, &date);
    size_t used = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &date);
    snprintf(text + used, size - used, ".%03ldZ", time.tv_nsec / 1000000);
}

static size_t format_json(char *line, const char *time, enum log_level level, const char *room,
                          const char *message)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "time", time, "level", level_names[level],
                               "room", room, "message", message);
    /* json_dumpb() counts what it would have written, beyond the size too. */
    size_t length = object ? json_dumpb(object, line, LINE_SIZE - 1, JSON_COMPACT) : 0;
    json_decref(object);
    if (length == 0 || length > LINE_SIZE - 1)
        return 0;
    line[length] = '\n';
    return length + 1;
}

/* Write to a file that is not a socket, not raising SIGPIPE when it is a pipe without a reader. */
static void write_quietly(const char *line, size_t length)
{
    sigset_t pipe_signal, pending, before;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    if (write(STDERR_FILENO, line, length) < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipe_signal, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* A reader of our log that has stopped reading must not stop us: the line is lost then. */
static void write_line(const char *line, size_t length)
{
    if (send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != ENOTSOCK)
        return;
    struct pollfd poll_fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLOUT) != 0)
        write_quietly(line, length);
}

void log_line(enum log_level level, const char *room, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    int kept = errno;
    char raw[MESSAGE_SIZE + 1];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(raw, sizeof(raw), format, arguments);
    va_end(arguments);
    char message[MESSAGE_SIZE];
    make_safe(message, sizeof(message), wanted < 0 ? format : raw);
    char time[32];
    format_time(time, sizeof(time));
    char line[LINE_SIZE];
    size_t length = 0;
    if (chosen == LOG_FORMAT_JSON) {
        length = format_json(line, time, level, room, message);
    } else {
        int count =
            snprintf(line, sizeof(line), "%s %s %s: %s\n", time, level_names[level], room, message);
        length = count > 0 && (size_t)count < sizeof(line) ? (size_t)count : 0;
    }
    if (length > 0)
        write_line(line, length);
    errno = kept;
}
