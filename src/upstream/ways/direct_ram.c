/* How QEMU's process is found and held, and where in it each region of the map lies. */
#define _GNU_SOURCE
#include "upstream/ways/direct_ram.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "base/hex.h"
#include "base/log.h"
#include "upstream/link/process.h"
#include "upstream/link/qmp_facts.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Regions whose host addresses are kept. */
#define EXTENTS_MOST 16

struct extent {
    uint64_t first, last, host;
};

struct direct_ram {
    struct stub *stub;
    pid_t pid;
    int pidfd; /* -1: closed */
    enum direct_ram_writes writes;
    uint64_t changes; /* the map's number when the extents were asked for */
    struct extent extents[EXTENTS_MOST];
    size_t count;
};

struct direct_ram *direct_ram_new(struct stub *stub)
{
    struct direct_ram *direct = calloc(1, sizeof *direct);
    if (!direct)
        return NULL;
    direct->stub = stub;
    direct->pidfd = -1;
    return direct;
}

void direct_ram_free(struct direct_ram *direct)
{
    if (!direct)
        return;
    direct_ram_close(direct);
    free(direct);
}

void direct_ram_close(struct direct_ram *direct)
{
    if (direct->pidfd >= 0)
        close(direct->pidfd);
    direct->pidfd = -1;
    direct->count = 0;
}

bool direct_ram_opened(const struct direct_ram *direct)
{
    return direct->pidfd >= 0;
}

enum direct_ram_writes direct_ram_writes(const struct direct_ram *direct)
{
    return direct->writes;
}

/* Texts */

bool direct_ram_parse_host(const char *text, uint64_t physical, const char *name, uint64_t *host)
{
    /* "Host virtual address for 0x7c00 (pc.ram) is 0x7f0123456000" */
    char start[192];
    snprintf(start, sizeof start, "Host virtual address for 0x%" PRIx64 " (%s) is 0x", physical,
             name);
    size_t length = strlen(start);
    if (strncmp(text, start, length) != 0)
        return false;
    text += length;
    return hex_number(host, &text, text + strspn(text, "0123456789abcdef")) && *host != 0 &&
           text[strspn(text, "\r\n")] == '\0';
}

enum direct_ram_writes direct_ram_parse_writes(const char *kvm)
{
    static const char enabled[] = "kvm support: enabled";
    return strncmp(kvm, enabled, strlen(enabled)) == 0 ? DIRECT_RAM_PLAIN : DIRECT_RAM_FILLED_FIRST;
}

static enum target_error ask_writes(struct direct_ram *direct, struct failure *failure)
{
    struct buffer text = {0};
    bool kvm = false;
    if (qmp_facts_kvm(direct->stub->monitor.qmp, &kvm)) {
        direct->writes = kvm ? DIRECT_RAM_PLAIN : DIRECT_RAM_FILLED_FIRST;
        return TARGET_OK;
    }
    enum target_error error = monitor_run(&direct->stub->monitor, 0, 0, "info kvm", &text, failure);
    if (error == TARGET_OK)
        direct->writes = direct_ram_parse_writes(buffer_text(&text));
    buffer_free(&text);
    return error;
}

/* The process */

static bool alive(const struct direct_ram *direct)
{
    struct pollfd poller = {.fd = direct->pidfd, .events = POLLIN};
    return direct->pidfd >= 0 && poll(&poller, 1, 0) == 0;
}

enum target_error direct_ram_open(struct direct_ram *direct, struct failure *failure)
{
    const struct stub *stub = direct->stub;
    direct_ram_close(direct);
    pid_t pid = rsp_client_peer(stub->rsp);
    if (!stub->qemu || pid <= 0)
        return failure_set(failure, TARGET_UNSUPPORTED,
                           "no QEMU at the other end of a unix socket");
    enum target_error error = ask_writes(direct, failure);
    if (error != TARGET_OK)
        return error;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Checked once the process is held: its number cannot mean another any more. */
    if (pidfd < 0 || !process_is_qemu(pid) || !rsp_client_connected(stub->rsp)) {
        if (pidfd >= 0)
            close(pidfd);
        return failure_set(failure, TARGET_UNSUPPORTED,
                           "process %d is not to be opened, or no QEMU", (int)pid);
    }
    direct->pid = pid;
    direct->pidfd = pidfd;
    return TARGET_OK;
}

/* Where regions lie */

static enum target_error ask_host(struct direct_ram *direct, target_client client,
                                  const struct target_region *region, uint64_t physical,
                                  uint64_t *host)
{
    struct buffer text = {0};
    char line[64];
    snprintf(line, sizeof line, "gpa2hva 0x%" PRIx64, physical);
    enum target_error error = monitor_run(&direct->stub->monitor, client, 0, line, &text, NULL);
    if (error == TARGET_OK &&
        !direct_ram_parse_host(buffer_text(&text), physical, region->name, host))
        error = TARGET_UNSUPPORTED;
    buffer_free(&text);
    return error;
}

/* A range of the map is one piece of one block: its two ends lie as far apart in the host. */
static enum target_error ask_extent(struct direct_ram *direct, target_client client,
                                    const struct target_region *region, struct extent *extent)
{
    uint64_t last = 0;
    *extent = (struct extent){.first = region->first, .last = region->last};
    enum target_error error = ask_host(direct, client, region, region->first, &extent->host);
    if (error == TARGET_OK)
        error = ask_host(direct, client, region, region->last, &last);
    if (error == TARGET_OK && last - extent->host != region->last - region->first)
        error = TARGET_UNSUPPORTED;
    return error;
}

static enum target_error find_extent(struct direct_ram *direct, target_client client,
                                     const struct target_region *region, uint64_t changes,
                                     struct extent *extent)
{
    if (direct->changes != changes)
        direct->count = 0;
    direct->changes = changes;
    for (size_t i = 0; i < direct->count; i++) {
        *extent = direct->extents[i];
        if (extent->first == region->first && extent->last == region->last)
            return TARGET_OK;
    }
    enum target_error error = ask_extent(direct, client, region, extent);
    if (error == TARGET_OK && direct->changes == changes && direct->count < EXTENTS_MOST)
        direct->extents[direct->count++] = *extent;
    return error;
}

enum target_error direct_ram_find(struct direct_ram *direct, target_client client,
                                  const struct target_region *region, uint64_t changes,
                                  uint64_t physical, size_t length, struct direct_ram_place *place)
{
    struct extent extent;
    if (!direct_ram_opened(direct) || region->kind != REGION_RAM || region->pci_bar ||
        physical < region->first || physical > region->last || length == 0 ||
        length - 1 > region->last - physical)
        return TARGET_UNSUPPORTED;
    enum target_error error = find_extent(direct, client, region, changes, &extent);
    if (error != TARGET_OK)
        return error == TARGET_FAILED ? TARGET_UNSUPPORTED : error;
    *place = (struct direct_ram_place){.host = extent.host + (physical - extent.first),
                                       .changes = changes};
    return TARGET_OK;
}

enum target_error direct_ram_move(struct direct_ram *direct, const struct direct_ram_place *place,
                                  uint64_t changes, uint8_t *bytes, size_t length, bool write)
{
    if (stub_running(direct->stub))
        return TARGET_RUNNING;
    if (place->changes != changes || !alive(direct))
        return TARGET_UNSUPPORTED;
    for (size_t done = 0; done < length;) {
        struct iovec here = {.iov_base = bytes + done, .iov_len = length - done};
        struct iovec there = {.iov_base = (void *)(uintptr_t)(place->host + done),
                              .iov_len = length - done};
        ssize_t moved = write ? process_vm_writev(direct->pid, &here, 1, &there, 1, 0)
                              : process_vm_readv(direct->pid, &here, 1, &there, 1, 0);
        if (moved <= 0) {
            log_warning("target", "direct RAM is given up: %s",
                        moved == 0 ? "nothing was moved" : strerror(errno));
            direct_ram_close(direct);
            /* What was written so far is written again: it is the same. */
            return TARGET_UNSUPPORTED;
        }
        done += (size_t)moved;
    }
    return TARGET_OK;
}
