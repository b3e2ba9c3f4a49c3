/* Hides by which commands QEMU comes to listen with qtest. */
#define _GNU_SOURCE
#include "upstream/link/qtest_open.h"

#include "base/buffer.h"
#include "upstream/link/monitor_text.h"
#include "upstream/link/qmp_facts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* "disconnected:unix:/run/…/qtest.sock,server=on" */
static bool parse_name(const char *name, struct endpoint *endpoint)
{
    const char *path = strstr(name, "unix:");
    if (!path || path >= name + strcspn(name, "\r\n"))
        return false;
    path += strlen("unix:");
    size_t length = strcspn(path, ",\r\n");
    if (length == 0 || length >= sizeof endpoint->path)
        return false;
    *endpoint = (struct endpoint){.kind = ENDPOINT_UNIX};
    memcpy(endpoint->path, path, length);
    return true;
}

bool qtest_open_parse(const char *text, struct endpoint *endpoint)
{
    static const char start[] = QTEST_NAME ": filename=";
    const char *at = strstr(text, start);
    return at && parse_name(at + strlen(start), endpoint);
}

/* The one that we, or another of us, made before. */
static enum target_error find_ours(const struct monitor *monitor, struct endpoint *endpoint,
                                   bool *there, char *message, size_t size)
{
    struct buffer text = {0};
    char name[sizeof endpoint->path + 64];
    if (qmp_facts_chardev(monitor->qmp, QTEST_NAME, name, sizeof name)) {
        *there = parse_name(name, endpoint);
        return TARGET_OK;
    }
    enum target_error error = monitor_run(monitor, 0, 0, "info chardev", &text, message, size);
    *there = error == TARGET_OK && qtest_open_parse(monitor_printed(&text), endpoint);
    buffer_free(&text);
    return error;
}

/* A command that prints nothing when all went well. */
static enum target_error run(const struct monitor *monitor, const char *line, char *message,
                             size_t size)
{
    struct buffer text = {0};
    enum target_error error = monitor_run(monitor, 0, 0, line, &text, message, size);
    if (error == TARGET_OK && text.length > 0 &&
        monitor_text_message((const char *)buffer_bytes(&text), message, size)[0])
        error = TARGET_FAILED;
    buffer_free(&text);
    return error;
}

/* A name of its own in our directory, which nobody else can look into. */
static bool make_endpoint(struct endpoint *endpoint, char *message, size_t size)
{
    char name[48], error[ENDPOINT_ERROR_SIZE];
    unsigned long long number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (unsigned long long)getpid();
    snprintf(name, sizeof name, "qtest-%016llx.sock", number);
    if (!endpoint_default(endpoint, name, error)) {
        snprintf(message, size, "%s", error);
        return false;
    }
    char *slash = strrchr(endpoint->path, '/');
    *slash = '\0';
    struct stat status;
    if ((mkdir(endpoint->path, 0700) != 0 && errno != EEXIST) ||
        lstat(endpoint->path, &status) != 0) {
        snprintf(message, size, "%s: %s", endpoint->path, strerror(errno));
        return false;
    }
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || status.st_mode & 077) {
        snprintf(message, size, "%s is not a directory of ours alone", endpoint->path);
        return false;
    }
    *slash = '/';
    if (strpbrk(endpoint->path, ", \t\"\\")) {
        snprintf(message, size, "QEMU's monitor cannot take the name %s", endpoint->path);
        return false;
    }
    return true;
}

enum target_error qtest_open_add(const struct monitor *monitor, struct endpoint *endpoint,
                                 char *message, size_t size)
{
    bool there = false;
    char line[256];
    enum target_error error = find_ours(monitor, endpoint, &there, message, size);
    if (error != TARGET_OK || there)
        return error;
    if (!make_endpoint(endpoint, message, size))
        return TARGET_FAILED;
    snprintf(line, sizeof line, "chardev-add socket,id=" QTEST_NAME ",path=%s,server=on,wait=off",
             endpoint->path);
    error = run(monitor, line, message, size);
    if (error != TARGET_OK)
        return error;
    error = run(monitor, "object_add qtest,id=" QTEST_NAME ",chardev=" QTEST_NAME ",log=none",
                message, size);
    if (error == TARGET_OK)
        return TARGET_OK;
    char ignored[64];
    run(monitor, "chardev-remove " QTEST_NAME, ignored, sizeof ignored);
    unlink(endpoint->path);
    return error;
}
