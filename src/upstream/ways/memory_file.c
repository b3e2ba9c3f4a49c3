/* Files without a name that QEMU writes to, and when another's file could be hit instead. */
#define _GNU_SOURCE
#include "upstream/ways/memory_file.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/monitor_text.h"
#include "upstream/link/process.h"
#include "upstream/link/qmp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct memory_file {
    struct stub *stub;
    int fd[MEMORY_FILES]; /* -1: there is none */
    bool refused;
    struct task_mutex mutex[MEMORY_FILES]; /* of each file, for all */
};

struct memory_file *memory_file_new(struct stub *stub)
{
    struct memory_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->stub = stub;
    for (unsigned i = 0; i < MEMORY_FILES; i++)
        file->fd[i] = memfd_create("spacebridge-memory", MFD_CLOEXEC);
    return file;
}

void memory_file_free(struct memory_file *file)
{
    if (!file)
        return;
    for (unsigned i = 0; i < MEMORY_FILES; i++)
        if (file->fd[i] >= 0)
            close(file->fd[i]);
    free(file);
}

bool memory_file_open(const struct memory_file *file)
{
    for (unsigned i = 0; i < MEMORY_FILES; i++)
        if (file->fd[i] < 0)
            return false;
    return !file->refused;
}

/* Elsewhere the same name may be another's file, and QEMU would overwrite that. */
static bool may_open(pid_t qemu)
{
    return qemu > 0 && process_is_qemu(qemu) && process_shares_numbers(qemu);
}

void memory_file_reset(struct memory_file *file)
{
    const struct qmp *qmp = file->stub->monitor.qmp;
    file->refused =
        !may_open(rsp_client_peer(file->stub->rsp)) && !(qmp && may_open(qmp_peer(qmp)));
}

static bool take(int fd, uint8_t *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = pread(fd, bytes + done, length - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

static enum target_error save(struct memory_file *file, int fd, target_client client,
                              uint64_t physical, uint8_t *bytes, size_t length)
{
    struct buffer text = {0};
    struct stat status;
    struct failure failure = {0};
    char line[128];
    /* What was there before must not pass for what was read. */
    if (ftruncate(fd, 0) != 0)
        return TARGET_UNSUPPORTED;
    /* Without quotes the monitor would divide the size by something. */
    snprintf(line, sizeof line, "pmemsave 0x%" PRIx64 " 0x%zx \"/proc/%d/fd/%d\"", physical, length,
             (int)getpid(), fd);
    enum target_error error = monitor_run(&file->stub->monitor, client, 0, line, &text, &failure);
    if (error == TARGET_OK)
        error = monitor_complaint(&text, &failure);
    buffer_free(&text);
    if (error != TARGET_OK && error != TARGET_FAILED)
        return error;
    if (error == TARGET_OK && fstat(fd, &status) == 0 && status.st_size == (off_t)length &&
        take(fd, bytes, length))
        return TARGET_OK;
    log_debug("target", "no bulk reads through a file: %s",
              failure.text[0] ? failure.text : "it is short");
    file->refused = true;
    return TARGET_UNSUPPORTED;
}

enum target_error memory_file_read(struct memory_file *file, unsigned which, target_client client,
                                   uint64_t physical, uint8_t *bytes, size_t length)
{
    if (!memory_file_open(file) || length == 0 || length > MEMORY_FILE_MOST)
        return TARGET_UNSUPPORTED;
    task_mutex_lock(&file->mutex[which]);
    enum target_error error = save(file, file->fd[which], client, physical, bytes, length);
    if (ftruncate(file->fd[which], 0) != 0)
        log_debug("target", "ftruncate: %s", strerror(errno));
    task_mutex_unlock(&file->mutex[which]);
    return error;
}
