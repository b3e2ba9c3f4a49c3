/* Hides by which commands QEMU comes to listen with qtest. */
#define _GNU_SOURCE
#include "upstream/link/qtest_open.h"

#include "base/buffer.h"
#include "base/failure.h"
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
                                   bool *there, struct failure *failure)
{
    struct buffer text = {0};
    char name[sizeof endpoint->path + 64];
    if (qmp_facts_chardev(monitor->qmp, QTEST_NAME, name, sizeof name)) {
        *there = parse_name(name, endpoint);
        return TARGET_OK;
    }
    enum target_error error = monitor_run(monitor, 0, 0, "info chardev", &text, failure);
    *there = error == TARGET_OK && qtest_open_parse(buffer_text(&text), endpoint);
    buffer_free(&text);
    return error;
}

/* A command that prints nothing when all went well. */
static enum target_error run(const struct monitor *monitor, const char *line,
                             struct failure *failure)
{
    struct buffer text = {0};
    enum target_error error = monitor_run(monitor, 0, 0, line, &text, failure);
    if (error == TARGET_OK)
        error = monitor_complaint(&text, failure);
    buffer_free(&text);
    return error;
}

/* A name of its own in our directory, which nobody else can look into. */
static enum target_error make_endpoint(struct endpoint *endpoint, struct failure *failure)
{
    char name[48], error[ENDPOINT_ERROR_SIZE];
    unsigned long long number = 0;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        number = (unsigned long long)getpid();
    snprintf(name, sizeof name, "qtest-%016llx.sock", number);
    if (!endpoint_default(endpoint, name, error))
        return failure_set(failure, TARGET_FAILED, "%s", error);
    char *slash = strrchr(endpoint->path, '/');
    *slash = '\0';
    struct stat status;
    if ((mkdir(endpoint->path, 0700) != 0 && errno != EEXIST) ||
        lstat(endpoint->path, &status) != 0)
        return failure_set(failure, TARGET_FAILED, "%s: %s", endpoint->path, strerror(errno));
    if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || status.st_mode & 077)
        return failure_set(failure, TARGET_FAILED, "%s is not a directory of ours alone",
                           endpoint->path);
    *slash = '/';
    if (strpbrk(endpoint->path, ", \t\"\\"))
        return failure_set(failure, TARGET_FAILED, "QEMU's monitor cannot take the name %s",
                           endpoint->path);
    return TARGET_OK;
}

enum target_error qtest_open_add(const struct monitor *monitor, struct endpoint *endpoint,
                                 struct failure *failure)
{
    bool there = false;
    char line[256];
    enum target_error error = find_ours(monitor, endpoint, &there, failure);
    if (error != TARGET_OK || there)
        return error;
    error = make_endpoint(endpoint, failure);
    if (error != TARGET_OK)
        return error;
    snprintf(line, sizeof line, "chardev-add socket,id=" QTEST_NAME ",path=%s,server=on,wait=off",
             endpoint->path);
    error = run(monitor, line, failure);
    if (error != TARGET_OK)
        return error;
    error =
        run(monitor, "object_add qtest,id=" QTEST_NAME ",chardev=" QTEST_NAME ",log=none", failure);
    if (error == TARGET_OK)
        return TARGET_OK;
    run(monitor, "chardev-remove " QTEST_NAME, NULL);
    unlink(endpoint->path);
    return error;
}
