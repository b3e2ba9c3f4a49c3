/* What lldb asks beyond the GDB manual. What cannot be said truly is left unknown: lldb then finds
 * another way. Source: lldb's docs, "lldb-gdb-remote.txt". */
#include "stub/lldb.h"

#include "base/hex.h"
#include "rsp/stop_reply.h"
#include "stub/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pages that are looked at to find how far a region goes. */
#define REGION_PAGES 64u

/* The architectures that a description can name, and lldb's words for them. */
static const struct {
    const char *architecture, *triple;
} machines[] = {
    {"i386:x86-64", "x86_64-unknown-unknown"},
    {"i386", "i386-unknown-unknown"},
    {"aarch64", "aarch64-unknown-unknown"},
    {"arm", "arm-unknown-unknown"},
    {"powerpc:common", "powerpc-unknown-unknown"},
    {"powerpc:common64", "powerpc64-unknown-unknown"},
    {"riscv:rv64", "riscv64-unknown-unknown"},
    {"riscv:rv32", "riscv32-unknown-unknown"},
    {"s390:64-bit", "s390x-unknown-unknown"},
    {"mips", "mips-unknown-unknown"},
};

static const char *triple_of(const struct machine_info *info)
{
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++) {
        if (strcmp(machines[i].architecture, info->architecture) == 0)
            return machines[i].triple;
    }
    return NULL;
}

/* Bytes of an address of the architecture, whatever mode its processor is in. */
static unsigned address_size(const struct machine_info *info)
{
    return strstr(info->architecture, "64") ? 8 : 4;
}

static void describe(struct client *client)
{
    const struct machine_info info = front_info(client->front);
    const char *triple = triple_of(&info);

    reply_text(client, "triple:");
    reply_hex(client, triple, strlen(triple));
    reply_text(client, ";ptrsize:%u;endian:%s;", address_size(&info),
               info.big_endian ? "big" : "little");
}

void lldb_do_host(struct client *client, const struct request *request)
{
    const struct machine_info info = front_info(client->front);
    (void)request;
    client->features.kind = CLIENT_LLDB;
    /* A gdbserver's process says it by its description. */
    if (info.qemu && triple_of(&info))
        describe(client);
}

void lldb_do_process(struct client *client, const struct request *request)
{
    const struct machine_info info = front_info(client->front);
    (void)request;
    if (!info.qemu || !triple_of(&info))
        return;
    reply_text(client, "pid:%" PRIx64 ";",
               (uint64_t)upstream_stub_process(&client->front->upstream, client->session));
    describe(client);
}

void lldb_do_suffix(struct client *client, const struct request *request)
{
    (void)request;
    client->thread_suffix = true;
    client->features.kind = CLIENT_LLDB;
    client->features.multiprocess = false;
    reply_ok(client);
}

void lldb_do_list(struct client *client, const struct request *request)
{
    (void)request;
    client->list_threads = true;
    reply_ok(client);
}

void lldb_do_errors(struct client *client, const struct request *request)
{
    (void)request;
    client->error_strings = true;
    reply_ok(client);
}

/* Regions */

static bool alike(const struct space_page *one, const struct space_page *other)
{
    if (one->error || other->error)
        return one->error == other->error;
    return one->region == other->region && strcmp(one->name, other->name) == 0;
}

/* Debuggers may write what the guest may not: permissions are the guest's hardware's. */
static const char *permissions(enum space_region region)
{
    switch (region) {
    case SPACE_RAM:
        return "rwx";
    case SPACE_ROM:
        return "rx";
    case SPACE_DEVICE:
        return "rw";
    case SPACE_NOTHING:
        break;
    }
    return NULL;
}

void lldb_do_region(struct client *client, const struct request *request)
{
    const char *at = request->text + strlen("qMemoryRegionInfo:");
    const char *end = request->text + request->length;
    uint64_t address, pages[REGION_PAGES];
    size_t count = 0, like = 1;

    if (at == end) { /* "is it known?" */
        reply_ok(client);
        return;
    }
    if (!hex_number(&address, &at, end) || at != end) {
        reply_error(client, ERROR_INVALID, "qMemoryRegionInfo is followed by an address");
        return;
    }
    if (!client_select_processor(client))
        return;
    struct space_page *found = calloc(REGION_PAGES, sizeof *found);
    if (!found) {
        reply_error(client, ERROR_GENERAL, "out of memory");
        return;
    }
    for (uint64_t page = address & SPACE_PAGE_MASK; count < REGION_PAGES; page += SPACE_PAGE_SIZE) {
        pages[count++] = page;
        if (page == SPACE_PAGE_MASK)
            break;
    }
    if (FAILED(session_translate(client->session, pages, count, found))) {
        reply_error(client, ERROR_BUSY, "%s", session_message(client->session));
        free(found);
        return;
    }
    while (like < count && alike(&found[0], &found[like]))
        like++;
    reply_text(client, "start:%" PRIx64 ";size:%zx;", pages[0], like * SPACE_PAGE_SIZE);
    const char *allowed = found[0].error ? NULL : permissions(found[0].region);
    if (allowed) {
        reply_text(client, "permissions:%s;", allowed);
        if (found[0].name[0]) {
            reply_text(client, "name:");
            reply_hex(client, found[0].name, strlen(found[0].name));
            reply_text(client, ";");
        }
    }
    free(found);
}

/* Stops of single threads */

void lldb_do_stop_info(struct client *client, const struct request *request)
{
    const char *at = request->text + strlen("qThreadStopInfo");
    const char *end = request->text + request->length;
    struct thread_id id;
    struct stop stop;
    char text[THREAD_TEXT_SIZE];

    if (!thread_parse(&id, &at, end) || at != end || id.thread <= 0) {
        reply_error(client, ERROR_INVALID, "qThreadStopInfo is followed by a thread");
        return;
    }
    if (!client_needs_halt(client, "asking why a thread stopped"))
        return;
    if (!upstream_stub_has_thread(&client->front->upstream, client->session, id.thread)) {
        reply_error(client, ERROR_INVALID, "there is no such thread");
        return;
    }
    bool this = id.thread == client_stop_thread(client) &&
                stop_parse(&stop, front_stop(client->front)) &&
                (stop.kind == 'T' || stop.kind == 'S');
    reply_text(client, "T%02xthread:%s;", this ? stop.signal : 0,
               thread_format(text, client->features.multiprocess,
                             upstream_stub_process(&client->front->upstream, client->session),
                             id.thread));
}

void lldb_do_threads(struct client *client, const struct request *request)
{
    (void)client;
    (void)request;
    /* Left unknown: lldb then asks qThreadStopInfo of the threads that it shows, and p of
     * registers. */
}
