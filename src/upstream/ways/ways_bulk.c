/* RAM and ROM in bulk: which way each span takes. */
#include "upstream/ways/ways_internal.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/qtest.h"
#include "upstream/machine/transfer.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/direct_ram.h"
#include "upstream/ways/memory_file.h"

#include <inttypes.h>
#include <stdlib.h>

/* In bulk. A run that is not done yet has done 0 and error TARGET_CANCELLED. */

/* How many runs from here lie behind each other, at the target and here; *length: all of them. */
size_t ways_span(const struct target_span *runs, size_t count, size_t *length)
{
    size_t some = 1;
    *length = runs[0].length;
    while (some < count && runs[some].address == runs[0].address + *length &&
           runs[some].bytes == runs[0].bytes + *length) {
        *length += runs[some].length;
        some++;
    }
    return some;
}

void ways_settle(struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].done = runs[i].length;
        runs[i].error = TARGET_OK;
    }
}

/* A read through the files. Each file brings every second piece: while we take in the one, QEMU
 * fills the other. */
struct file_read {
    struct ways *ways;
    target_client client;
    uint64_t physical;
    uint8_t *bytes;
    size_t length;
    enum target_error error; /* the first; the others stop */
    unsigned under_way;
    struct task_cond ended;
};

static void read_pieces(struct file_read *all, unsigned which)
{
    for (size_t at = which * MEMORY_FILE_MOST; at < all->length && all->error == TARGET_OK;
         at += MEMORY_FILES * MEMORY_FILE_MOST) {
        size_t piece = all->length - at < MEMORY_FILE_MOST ? all->length - at : MEMORY_FILE_MOST;
        enum target_error error = memory_file_read(all->ways->file, which, all->client,
                                                   all->physical + at, all->bytes + at, piece);
        if (error == TARGET_OK)
            ways_count(all->ways, WAY_MEMORY_FILE, false, piece);
        else
            all->error = error;
    }
    if (--all->under_way == 0)
        task_cond_broadcast(&all->ended);
}

static void read_second(void *context)
{
    read_pieces(context, 1);
}

static enum target_error by_memory_file(struct ways *ways, target_client client,
                                        const struct target_region *region, uint64_t physical,
                                        uint8_t *bytes, size_t length)
{
    struct file_read all = {.ways = ways,
                            .client = client,
                            .physical = physical,
                            .bytes = bytes,
                            .length = length,
                            .under_way = MEMORY_FILES};
    if (length < MEMORY_FILE_LEAST || !ways_file_usable(ways) || region->flash ||
        (region->kind != REGION_RAM && region->kind != REGION_ROM))
        return TARGET_UNSUPPORTED;
    if (length <= MEMORY_FILE_MOST ||
        !task_spawn(task_loop(task_self()), "read", read_second, &all))
        read_second(&all);
    read_pieces(&all, 0);
    while (all.under_way > 0)
        task_cond_wait(&all.ended, -1);
    return all.error;
}

static bool is_width(size_t length)
{
    return length == 1 || length == 2 || length == 4 || length == 8;
}

/* RAM does not ask how its bytes come: as a number they take QEMU least. */
static struct qtest_request store_of(const struct ways *ways, const struct target_span *run,
                                     size_t length)
{
    return (struct qtest_request){
        .verb = QTEST_STORE,
        .width = (unsigned)length,
        .address = run->address,
        .length = length,
        .value = bytes_load(run->bytes, length, qtest_big_endian(ways->qtest))};
}

/* Everything that is not done yet, as one batch of requests. */
static enum target_error by_qtest(struct ways *ways, struct target_span *runs, size_t count,
                                  bool write)
{
    size_t pieces = 0, made = 0, length;
    for (size_t i = 0; i < count; i++)
        if (runs[i].error != TARGET_OK)
            pieces += runs[i].length / QTEST_PIECE_MOST + 1;
    if (pieces == 0)
        return TARGET_OK;
    struct qtest_request *requests = calloc(pieces, sizeof *requests);
    if (!requests)
        return TARGET_NO_MEMORY;
    for (size_t i = 0; i < count;) {
        if (runs[i].error == TARGET_OK) {
            i++;
            continue;
        }
        size_t some = ways_span(&runs[i], count - i, &length);
        if (write && is_width(length)) {
            requests[made++] = store_of(ways, &runs[i], length);
            i += some;
            continue;
        }
        for (size_t at = 0; at < length; made++) {
            size_t piece = length - at < QTEST_PIECE_MOST ? length - at : QTEST_PIECE_MOST;
            requests[made] = (struct qtest_request){.verb = write ? QTEST_WRITE : QTEST_READ,
                                                    .address = runs[i].address + at,
                                                    .length = piece,
                                                    .bytes = runs[i].bytes + at};
            at += piece;
        }
        i += some;
    }
    enum target_error error = qtest_run(ways->qtest, requests, made);
    uint64_t moved = 0;
    /* Requests and runs come in the same order: give each run what was answered of it. */
    size_t r = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].error == TARGET_OK)
            continue;
        bool whole = true;
        for (size_t at = 0; at < runs[i].length;) {
            size_t part = requests[r].length - used;
            if (part > runs[i].length - at)
                part = runs[i].length - at;
            whole = whole && requests[r].done;
            runs[i].done += whole ? part : 0;
            at += part;
            used += part;
            if (used == requests[r].length) {
                r++;
                used = 0;
            }
        }
        moved += runs[i].done;
        if (whole)
            runs[i].error = TARGET_OK;
    }
    free(requests);
    ways_count(ways, WAY_QTEST, write, moved);
    return error;
}

/* Everything that is not done yet, through the stub. */
enum target_error ways_by_stub(struct ways *ways, target_client client, struct target_span *runs,
                               size_t count, bool is_natural, bool write)
{
    struct transfer_settings settings = {.stub = ways->stub,
                                         .client = client,
                                         .space = RSP_SPACE_PHYSICAL,
                                         .write = write,
                                         .natural = is_natural,
                                         .address_mask = UINT64_MAX};
    struct target_span *left = calloc(count ? count : 1, sizeof *left);
    size_t some = 0;
    if (!left)
        return TARGET_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (runs[i].error != TARGET_OK)
            left[some++] = (struct target_span){
                .address = runs[i].address, .bytes = runs[i].bytes, .length = runs[i].length};
    enum target_error error = some > 0 ? transfer_runs(&settings, left, some) : TARGET_OK;
    if (some > 0)
        ways_count_runs(ways, WAY_RSP, write, left, some);
    some = 0;
    for (size_t i = 0; i < count; i++) {
        if (runs[i].error == TARGET_OK)
            continue;
        runs[i].done = left[some].done;
        runs[i].error = left[some++].error;
    }
    free(left);
    return error;
}

/* By the ways that take one span after the other. What they leave is not done yet. */
static void by_spans(struct ways *ways, target_client client, struct target_span *runs,
                     size_t count, bool write)
{
    size_t length;
    for (size_t i = 0; i < count;) {
        struct target_region region;
        size_t some = ways_span(&runs[i], count - i, &length);
        if (length == 0) {
            ways_settle(&runs[i], some);
        } else if (translate_classify(ways->translate, client, runs[i].address, &region) ==
                       TARGET_OK &&
                   region.first <= runs[i].address && length - 1 <= region.last - runs[i].address &&
                   !ways_running(ways)) {
            enum target_error error = ways_by_direct_ram(ways, client, &region, runs[i].address,
                                                         runs[i].bytes, length, write);
            if (error == TARGET_UNSUPPORTED && !write)
                error =
                    by_memory_file(ways, client, &region, runs[i].address, runs[i].bytes, length);
            if (error == TARGET_OK)
                ways_settle(&runs[i], some);
        }
        i += some;
    }
}

/* qtest was lost with a fill unanswered, which QEMU may carry out yet. A new connection is served
 * when all of the old one was carried out. */
static bool settle_qtest(struct ways *ways)
{
    char message[160] = "";
    if (qtest_connected(ways->qtest))
        return true;
    if (!rsp_client_connected(ways->stub->rsp) ||
        qtest_connect(ways->qtest, &ways->qtest_endpoint, message, sizeof message) != TARGET_OK)
        return false;
    ways->notes[WAY_QTEST][0] = '\0';
    log_info("target", "qtest is back");
    return true;
}

/* What is not done yet, by the ways that QEMU takes part in. */
static enum target_error by_qemu(struct ways *ways, target_client client, struct target_span *runs,
                                 size_t count, bool write)
{
    if (qtest_connected(ways->qtest)) {
        enum target_error error = by_qtest(ways, runs, count, write);
        if (error != TARGET_GONE)
            return error;
    }
    /* RAM may be written once more: what qtest had not acknowledged goes by the stub. */
    return ways_by_stub(ways, client, runs, count, false, write);
}

/* The same where a filler may stand. When it cannot be told whether it comes yet, what was written
 * is not counted. */
static enum target_error over_filler(struct ways *ways, target_client client,
                                     struct target_span *runs, size_t count)
{
    bool settled = settle_qtest(ways);
    enum target_error error = by_qemu(ways, client, runs, count, true);
    if (error == TARGET_NO_MEMORY || error == TARGET_INVALID)
        error = ways_by_stub(ways, client, runs, count, false, true);
    for (size_t i = 0; i < count && !settled; i++) {
        runs[i].done = 0;
        runs[i].error = error = error != TARGET_OK ? error : TARGET_FAILED;
    }
    if (error != TARGET_OK && rsp_client_connected(ways->stub->rsp))
        log_error("target", "zeros may stand from 0x%" PRIx64 " on, where a write was cut short",
                  runs[0].address);
    return error;
}

enum target_error ways_bulk(struct ways *ways, target_client client, struct target_span *runs,
                            size_t count, bool write)
{
    bool direct = direct_ram_opened(ways->direct), filler = false;
    enum target_error error = TARGET_OK;
    for (size_t i = 0; i < count; i++) {
        runs[i].done = 0;
        runs[i].error = TARGET_CANCELLED;
    }
    if (ways_running(ways))
        ; /* by those that go on then */
    else if (direct && write && direct_ram_writes(ways->direct) == DIRECT_RAM_FILLED_FIRST)
        filler = ways_fill_and_copy(ways, client, runs, count);
    else if (direct || (!write && ways_file_usable(ways)))
        by_spans(ways, client, runs, count, write);
    if (filler) {
        error = over_filler(ways, client, runs, count);
        ways_filler_gone(ways);
    } else {
        error = by_qemu(ways, client, runs, count, write);
    }
    for (size_t i = 0; i < count; i++) {
        if (runs[i].error == TARGET_CANCELLED)
            runs[i].error = error != TARGET_OK ? error : TARGET_FAILED;
        if (error == TARGET_OK)
            error = runs[i].error;
    }
    return error;
}
