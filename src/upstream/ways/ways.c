#define _GNU_SOURCE
#include "upstream/ways/ways_internal.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/monitor_text.h"
#include "upstream/link/qmp.h"
#include "upstream/link/qtest.h"
#include "upstream/link/qtest_open.h"
#include "upstream/machine/transfer.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/direct_ram.h"
#include "upstream/ways/memory_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "target"

/* By measurement, on QEMU 7.2: from here on a virtual write is quicker through qtest than through M
 * packets. A store takes QEMU three quarters of what an M packet of a few bytes does, but a halt's
 * first must find out how the processor stands, which few runs do not make up for. */
#define QTEST_BYTES_LEAST ((size_t)4 * 1024)
#define QTEST_RUNS_LEAST  ((size_t)8)
/* Single accesses that are handed over at once. */
#define NATURAL_MOST 64

static void qtest_closed(void *context, const char *reason)
{
    struct ways *ways = context;
    snprintf(ways->notes[WAY_QTEST], sizeof ways->notes[0], "lost: %s", reason);
    log_warning(ROOM, "qtest is lost, the other ways go on: %s", reason);
}

struct ways *ways_new(struct ev_loop *loop, double timeout, struct stub *stub,
                      struct translate *translate, const struct ways_config *config)
{
    struct ways *ways = calloc(1, sizeof *ways);
    if (!ways)
        return NULL;
    ways->stub = stub;
    ways->translate = translate;
    ways->config = *config;
    struct qtest_listener listener = {.context = ways, .closed = qtest_closed};
    ways->qtest = qtest_new(loop, timeout, &listener);
    ways->direct = direct_ram_new(stub);
    ways->file = memory_file_new(stub);
    if (ways->qtest)
        qtest_set_busy_poll(ways->qtest, config->busy_poll);
    if (!ways->qtest || !ways->direct || !ways->file) {
        ways_free(ways);
        return NULL;
    }
    return ways;
}

void ways_free(struct ways *ways)
{
    if (!ways)
        return;
    qtest_free(ways->qtest);
    direct_ram_free(ways->direct);
    memory_file_free(ways->file);
    free(ways);
}

/* Open and closed */

static enum target_error open_qtest(struct ways *ways, char *message, size_t size)
{
    struct endpoint endpoint = ways->config.qtest_endpoint;
    enum target_error error = TARGET_OK;
    if (!ways->config.have_qtest)
        error = qtest_open_add(&ways->stub->monitor, &endpoint, message, size);
    if (error == TARGET_OK)
        error = qtest_connect(ways->qtest, &endpoint, message, size);
    ways->qtest_endpoint = endpoint;
    return error;
}

/* What came of opening a way. */
static enum target_error opened(struct ways *ways, enum way way, enum ways_choice choice,
                                const char *name, enum target_error error, char *message,
                                size_t size)
{
    char why[160];
    if (error == TARGET_OK) {
        ways->notes[way][0] = '\0';
        return TARGET_OK;
    }
    snprintf(why, sizeof why, "%s", message[0] ? message : target_error_text(error));
    snprintf(ways->notes[way], sizeof ways->notes[0], "%s", why);
    if (choice == WAYS_ON) {
        snprintf(message, size, "--%s on cannot be had: %s", name, why);
        return error;
    }
    log_warning(ROOM, "no %s: %s", name, why);
    return TARGET_OK;
}

enum target_error ways_open(struct ways *ways, char *message, size_t size)
{
    const struct ways_config *config = &ways->config;
    const struct stub *stub = ways->stub;
    enum target_error error = TARGET_OK;
    ways_close(ways);
    ways->tells = (struct tells_state){0};
    memory_file_reset(ways->file);
    for (size_t i = 0; i < WAYS; i++)
        ways->notes[i][0] = '\0';
    if (!memory_file_open(ways->file))
        snprintf(ways->notes[WAY_MEMORY_FILE], sizeof ways->notes[0],
                 "no QEMU of this system at the other end of a unix socket");
    snprintf(ways->notes[WAY_QTEST], sizeof ways->notes[0], "off");
    snprintf(ways->notes[WAY_DIRECT_RAM], sizeof ways->notes[0], "off");
    if (config->qtest == WAYS_ON || (config->qtest == WAYS_AUTO && config->have_qtest)) {
        message[0] = '\0';
        if (stub->qemu)
            error = open_qtest(ways, message, size);
        else
            error = TARGET_UNSUPPORTED;
        error = opened(ways, WAY_QTEST, config->qtest, "qtest", error, message, size);
    }
    if (error == TARGET_OK && config->direct_ram != WAYS_OFF) {
        message[0] = '\0';
        error = direct_ram_open(ways->direct, message, size);
        error =
            opened(ways, WAY_DIRECT_RAM, config->direct_ram, "direct-ram", error, message, size);
    }
    return error;
}

void ways_close(struct ways *ways)
{
    qtest_close(ways->qtest);
    direct_ram_close(ways->direct);
}

bool ways_big_endian(const struct ways *ways, bool *big_endian)
{
    *big_endian = qtest_big_endian(ways->qtest);
    return qtest_connected(ways->qtest);
}

static bool have_monitor(const struct ways *ways)
{
    return ways->stub->monitor.qmp && qmp_connected(ways->stub->monitor.qmp);
}

bool ways_running(const struct ways *ways)
{
    return rsp_client_running(ways->stub->rsp);
}

bool ways_live(const struct ways *ways)
{
    return qtest_connected(ways->qtest) && have_monitor(ways);
}

bool ways_live_virtual(const struct ways *ways)
{
    return ways_live(ways) && translate_one_space(ways->translate);
}

bool ways_file_usable(const struct ways *ways)
{
    return memory_file_open(ways->file) && have_monitor(ways);
}

/* Counting */

void ways_count(struct ways *ways, enum way way, bool write, uint64_t bytes)
{
    ways->counts[way].calls++;
    *(write ? &ways->counts[way].written : &ways->counts[way].read) += bytes;
}

void ways_count_runs(struct ways *ways, enum way way, bool write, const struct target_span *runs,
                     size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += runs[i].done;
    ways_count(ways, way, write, bytes);
}

size_t ways_list(const struct ways *ways, struct target_transport *out, size_t most)
{
    static const char *const names[WAYS] = {"rsp", "monitor", "qtest", "memory-file", "direct-ram"};
    const struct stub *stub = ways->stub;
    const bool connected = rsp_client_connected(stub->rsp);
    const bool open[WAYS] = {connected, connected && stub->qemu, qtest_connected(ways->qtest),
                             connected && stub->qemu && ways_file_usable(ways),
                             direct_ram_opened(ways->direct)};
    size_t count = most < WAYS ? most : WAYS;
    for (size_t i = 0; i < count; i++) {
        out[i] = (struct target_transport){.name = names[i],
                                           .open = open[i],
                                           .calls = ways->counts[i].calls,
                                           .bytes_read = ways->counts[i].read,
                                           .bytes_written = ways->counts[i].written};
        if (!open[i])
            snprintf(out[i].note, sizeof out[i].note, "%s", ways->notes[i]);
    }
    return count;
}

/* Single accesses */

/* What became of accesses some of which were not answered: the first of these may have happened. */
static enum target_error unanswered(struct target_span *runs, size_t count, enum target_error error)
{
    for (size_t i = 0; i < count; i++)
        runs[i].error = i == 0 ? error : TARGET_CANCELLED;
    return error;
}

enum target_error ways_natural(struct ways *ways, struct target_span *runs, size_t count,
                               bool write)
{
    bool big_endian = qtest_big_endian(ways->qtest);
    for (size_t from = 0; from < count;) {
        struct qtest_request requests[NATURAL_MOST];
        size_t some = 0;
        for (; some < NATURAL_MOST && from + some < count; some++) {
            const struct target_span *run = &runs[from + some];
            requests[some] = (struct qtest_request){.verb = write ? QTEST_STORE : QTEST_LOAD,
                                                    .width = (unsigned)run->length,
                                                    .address = run->address};
            if (run->length > 8)
                return unanswered(&runs[from], count - from, TARGET_INVALID);
            if (write)
                requests[some].value = bytes_load(run->bytes, run->length, big_endian);
        }
        enum target_error error = qtest_run(ways->qtest, requests, some);
        for (size_t i = 0; i < some; i++, from++) {
            struct target_span *run = &runs[from];
            if (!requests[i].done)
                return unanswered(run, count - from, error == TARGET_GONE ? TARGET_FAILED : error);
            run->done = run->length;
            run->error = TARGET_OK;
            if (!write)
                bytes_store(run->bytes, requests[i].value, run->length, big_endian);
        }
    }
    return TARGET_OK;
}

enum target_error ways_physical(struct ways *ways, target_client client, enum target_access access,
                                struct target_span *runs, size_t count, bool write)
{
    if (translate_unknown(ways->translate, runs, count))
        return ways_unknown(ways, client, access, runs, count, write);
    if (access == TARGET_ACCESS_BULK)
        return ways_bulk(ways, client, runs, count, write);
    for (size_t i = 0; i < count; i++) {
        runs[i].done = 0;
        runs[i].error = TARGET_CANCELLED;
    }
    if (!qtest_connected(ways->qtest))
        return ways_by_stub(ways, client, runs, count, true, write);
    enum target_error error = ways_natural(ways, runs, count, write);
    ways_count_runs(ways, WAY_QTEST, write, runs, count);
    return error;
}

/* Virtual memory */

/* Is it worth leaving the stub for, and is there a way? */
static bool virtual_wanted(const struct ways *ways, const struct target_span *runs, size_t count,
                           bool write)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += runs[i].length;
    if (write && direct_ram_opened(ways->direct) &&
        direct_ram_writes(ways->direct) != DIRECT_RAM_FILLED_FIRST)
        return true;
    if (write)
        return qtest_connected(ways->qtest) &&
               (total >= QTEST_BYTES_LEAST || count >= QTEST_RUNS_LEAST);
    return direct_ram_opened(ways->direct) ||
           (ways_file_usable(ways) && total >= MEMORY_FILE_LEAST);
}

/* What a virtual run must find behind its page. */
static bool in_memory(const struct target_translation *page, uint64_t at, size_t length, bool write)
{
    const struct target_region *region = &page->region;
    if (page->error != TARGET_OK || region->unreachable || region->unknown || at < region->first ||
        at > region->last || (length > 0 && length - 1 > region->last - at))
        return false;
    return region->kind == REGION_RAM || (region->kind == REGION_ROM && !region->flash && !write);
}

/* Where the runs lie. False: not all of them in RAM (or, to be read, in ROM), or it cannot be told.
 */
static bool find_physical(struct ways *ways, target_client client, unsigned cpu,
                          const struct target_span *runs, size_t count, bool write,
                          struct target_span *physical)
{
    uint64_t *pages = malloc(count * sizeof *pages);
    struct target_translation *found = malloc(count * sizeof *found);
    size_t different = 0;
    bool good = pages && found;
    for (size_t i = 0; i < count && good; i++) {
        uint64_t page = runs[i].address & TARGET_PAGE_MASK;
        if (different == 0 || pages[different - 1] != page)
            pages[different++] = page;
    }
    good =
        good && translate_pages(ways->translate, client, cpu, pages, different, found) == TARGET_OK;
    for (size_t i = 0, p = 0; i < count && good; i++) {
        if (pages[p] != (runs[i].address & TARGET_PAGE_MASK))
            p++;
        uint64_t at = found[p].physical + (runs[i].address - pages[p]);
        good = in_memory(&found[p], at, runs[i].length, write);
        physical[i] =
            (struct target_span){.address = at, .bytes = runs[i].bytes, .length = runs[i].length};
    }
    free(pages);
    free(found);
    return good;
}

bool ways_virtual(struct ways *ways, target_client client, unsigned cpu, struct target_span *runs,
                  size_t count, bool write)
{
    if (count == 0 || ways->holds > 0 || !virtual_wanted(ways, runs, count, write))
        return false;
    struct target_span *physical = calloc(count, sizeof *physical);
    bool plain = false;
    if (!physical)
        return false;
    ways->busy++;
    bool taken = translate_plain(ways->translate, client, cpu, &plain) == TARGET_OK && plain &&
                 find_physical(ways, client, cpu, runs, count, write, physical) &&
                 !ways_running(ways) && ways->holds == 0;
    if (taken) {
        if (write)
            translate_written(ways->translate, physical, count);
        ways_bulk(ways, client, physical, count, write);
        if (write)
            translate_written(ways->translate, physical, count);
        for (size_t i = 0; i < count; i++) {
            runs[i].done = physical[i].done;
            runs[i].error = physical[i].error;
        }
    }
    free(physical);
    ways_end(ways);
    return taken;
}

bool ways_begin(struct ways *ways)
{
    if (ways->holds > 0)
        return false;
    ways->busy++;
    return true;
}

void ways_end(struct ways *ways)
{
    if (--ways->busy == 0)
        task_cond_broadcast(&ways->idle);
}

void ways_enter(struct ways *ways)
{
    gate_enter(&ways->gate);
}

void ways_leave(struct ways *ways)
{
    gate_leave(&ways->gate);
}

void ways_hold(struct ways *ways)
{
    ways->holds++;
}

void ways_release(struct ways *ways)
{
    ways->holds--;
}

bool ways_drain(struct ways *ways)
{
    bool waited = ways->busy > 0;
    while (ways->busy > 0)
        task_cond_wait(&ways->idle, -1);
    return waited;
}

/* Ports and fills */

static const char port_lost[] =
    "qtest was lost: the access may have been made, and is not made again";

enum target_error ways_port(struct ways *ways, uint16_t port, unsigned size, uint32_t *value,
                            bool write, char *message, size_t message_size)
{
    struct qtest_request request = {.verb = write ? QTEST_OUT : QTEST_IN,
                                    .width = size,
                                    .address = port,
                                    .value = write ? *value : 0};
    if (!qtest_connected(ways->qtest))
        return TARGET_UNSUPPORTED;
    enum target_error error = qtest_run(ways->qtest, &request, 1);
    if (error == TARGET_GONE) {
        snprintf(message, message_size, "%s", port_lost);
        return TARGET_FAILED;
    }
    if (error == TARGET_OK)
        ways_count(ways, WAY_QTEST, write, size);
    if (error == TARGET_OK && !write)
        *value = (uint32_t)request.value;
    return error;
}

enum target_error ways_ports_out(struct ways *ways, struct target_port_write *writes, size_t count,
                                 char *message, size_t message_size)
{
    struct qtest_request *requests;
    if (!qtest_connected(ways->qtest) || (requests = calloc(count, sizeof *requests)) == NULL)
        return TARGET_UNSUPPORTED;
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct qtest_request){.verb = QTEST_OUT,
                                             .width = writes[i].size,
                                             .address = writes[i].port,
                                             .value = writes[i].value};
    enum target_error error = qtest_run(ways->qtest, requests, count);
    if (error == TARGET_GONE) {
        snprintf(message, message_size, "%s", port_lost);
        error = TARGET_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        writes[i].error = requests[i].done ? TARGET_OK : error;
        if (requests[i].done)
            ways_count(ways, WAY_QTEST, true, writes[i].size);
    }
    free(requests);
    return error;
}

enum target_error ways_fill(struct ways *ways, uint64_t physical, uint64_t length, uint8_t byte,
                            uint64_t *done)
{
    const struct target_span whole = {.address = physical, .length = (size_t)length};
    *done = 0;
    if (translate_unknown(ways->translate, &whole, 1))
        return TARGET_UNSUPPORTED;
    while (*done < length) {
        struct qtest_request requests[16];
        size_t count = 0;
        uint64_t at = *done;
        if (!qtest_connected(ways->qtest))
            return TARGET_UNSUPPORTED;
        for (; count < 16 && at < length; count++) {
            size_t piece = length - at < QTEST_FILL_MOST ? (size_t)(length - at) : QTEST_FILL_MOST;
            requests[count] = (struct qtest_request){
                .verb = QTEST_FILL, .address = physical + at, .length = piece, .value = byte};
            at += piece;
        }
        enum target_error error = qtest_run(ways->qtest, requests, count);
        for (size_t i = 0; i < count && requests[i].done; i++) {
            *done += requests[i].length;
            ways_count(ways, WAY_QTEST, true, requests[i].length);
        }
        if (error != TARGET_OK)
            return error == TARGET_GONE ? TARGET_UNSUPPORTED : error;
    }
    return TARGET_OK;
}
