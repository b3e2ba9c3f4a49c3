/* Hides how endpoints are written. */
#include "base/endpoint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool __attribute__((format(printf, 2, 3))) fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, ENDPOINT_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* Parsing and formatting */

static bool parse_unix(struct endpoint *endpoint, const char *text, const char *path, char *error)
{
    size_t length = strlen(path);
    if (length == 0)
        return fail(error, "'%.200s': the path of the unix socket is missing", text);
    if (length >= sizeof(endpoint->path))
        return fail(error, "'%.200s': the path is %zu bytes long, a unix socket's is at most %zu",
                    text, length, sizeof(endpoint->path) - 1);
    endpoint->kind = ENDPOINT_UNIX;
    memcpy(endpoint->path, path, length + 1);
    return true;
}

static bool parse_port(struct endpoint *endpoint, const char *text, const char *port, char *error)
{
    if (*port == '\0')
        return fail(error, "'%.200s': the port is missing (tcp:HOST:PORT)", text);
    unsigned long value = 0;
    for (const char *at = port; *at; at++) {
        if (*at < '0' || *at > '9')
            return fail(error, "'%.200s': the port is not a decimal number", text);
        value = value * 10 + (unsigned long)(*at - '0');
        if (value > UINT16_MAX)
            return fail(error, "'%.200s': the port is over 65535", text);
    }
    endpoint->port = (uint16_t)value;
    return true;
}

static bool parse_tcp(struct endpoint *endpoint, const char *text, const char *rest, char *error)
{
    const char *host = rest;
    const char *end;
    const char *colon;
    if (*rest == '[') {
        host = rest + 1;
        end = strchr(host, ']');
        if (!end)
            return fail(error, "'%.200s': the closing ] of the host is missing", text);
        colon = end + 1;
        if (*colon != ':')
            colon = NULL;
    } else {
        colon = strrchr(rest, ':');
        end = colon;
    }
    if (!colon)
        return fail(error, "'%.200s': the port is missing (tcp:HOST:PORT)", text);
    size_t length = (size_t)(end - host);
    if (length == 0)
        return fail(error, "'%.200s': the host is missing (tcp:HOST:PORT)", text);
    if (length >= sizeof(endpoint->host))
        return fail(error, "'%.200s': the host is too long", text);
    bool brackets = host != rest;
    if (brackets != (memchr(host, ':', length) != NULL))
        return fail(error, "'%.200s': brackets go round an IPv6 address, and only there", text);
    endpoint->kind = ENDPOINT_TCP;
    memcpy(endpoint->host, host, length);
    return parse_port(endpoint, text, colon + 1, error);
}

bool endpoint_parse(struct endpoint *endpoint, const char *text, char *error)
{
    struct endpoint parsed = {0};
    bool fine;
    if (strncmp(text, "unix:", 5) == 0)
        fine = parse_unix(&parsed, text, text + 5, error);
    else if (strncmp(text, "tcp:", 4) == 0)
        fine = parse_tcp(&parsed, text, text + 4, error);
    else
        fine = fail(error, "'%.200s': an endpoint is unix:PATH or tcp:HOST:PORT", text);
    if (fine)
        *endpoint = parsed;
    return fine;
}

const char *endpoint_format(const struct endpoint *endpoint, char *text)
{
    if (endpoint->kind == ENDPOINT_UNIX)
        snprintf(text, ENDPOINT_TEXT_SIZE, "unix:%s", endpoint->path);
    else if (strchr(endpoint->host, ':'))
        snprintf(text, ENDPOINT_TEXT_SIZE, "tcp:[%s]:%u", endpoint->host, endpoint->port);
    else
        snprintf(text, ENDPOINT_TEXT_SIZE, "tcp:%s:%u", endpoint->host, endpoint->port);
    return text;
}

/* The default */

/* In /tmp anybody may have made our directory before us, to listen in our place. */
static bool check_owner(const char *directory, char *error)
{
    struct stat status;
    if (lstat(directory, &status) != 0)
        return errno == ENOENT || fail(error, "%s: %s", directory, strerror(errno));
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 0022) != 0)
        return fail(error, "%s: not a directory that belongs to you alone", directory);
    return true;
}

bool endpoint_default(struct endpoint *endpoint, const char *name, char *error)
{
    char directory[64];
    const char *base = getenv("XDG_RUNTIME_DIR");
    const char *sub = "/spacebridge";
    /* The XDG base directory specification: a path that is not absolute is to be ignored. */
    if (!base || base[0] != '/') {
        sub = "";
        if (geteuid() == 0) {
            base = "/run/spacebridge";
        } else {
            snprintf(directory, sizeof(directory), "/tmp/spacebridge-%lu",
                     (unsigned long)geteuid());
            base = directory;
            if (!check_owner(base, error))
                return false;
        }
    }
    struct endpoint made = {.kind = ENDPOINT_UNIX};
    int length = snprintf(made.path, sizeof(made.path), "%s%s/%s", base, sub, name);
    if (length < 0 || (size_t)length >= sizeof(made.path))
        return fail(error, "'%.200s%s/%s': the path is too long for a unix socket", base, sub,
                    name);
    *endpoint = made;
    return true;
}
