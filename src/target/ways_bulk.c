/* RAM and ROM in bulk: which way each span takes. */
#include "target/ways_internal.h"

#include "target/direct_ram.h"
#include "target/memory_file.h"
#include "target/qtest.h"
#include "target/transfer.h"
#include "target/translate.h"

#include <stdlib.h>

/* In bulk. A run that is not done yet has done 0 and error TARGET_CANCELLED. */

/* How many runs from here lie behind each other, at the target and here; *length: all of them. */
static size_t span(const struct target_run *runs, size_t count, size_t *length)
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

static void settle(struct target_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].done = runs[i].length;
        runs[i].error = TARGET_OK;
    }
}

/* QEMU writes the last byte of each page's part itself: what it has translated of it goes. */
static enum target_error touch_pages(struct ways *ways, target_client client, uint64_t physical,
                                     uint8_t *bytes, size_t length)
{
    size_t count = (size_t)(physical % TARGET_PAGE_SIZE + length - 1) / TARGET_PAGE_SIZE + 1;
    struct target_run *run = calloc(count, sizeof *run);
    enum target_error error = run ? TARGET_OK : TARGET_NO_MEMORY;
    for (size_t i = 0, at = 0; i < count && run; i++) {
        at += TARGET_PAGE_SIZE - (size_t)((physical + at) % TARGET_PAGE_SIZE);
        if (at > length)
            at = length;
        run[i] =
            (struct target_run){.address = physical + at - 1, .bytes = bytes + at - 1, .length = 1};
    }
    if (run && qtest_connected(ways->qtest)) {
        error = ways_natural(ways, run, count, true);
    } else if (run) {
        struct transfer_settings settings = {.stub = ways->monitor->stub,
                                             .client = client,
                                             .space = RSP_SPACE_PHYSICAL,
                                             .write = true,
                                             .address_mask = UINT64_MAX};
        error = transfer_runs(&settings, run, count);
    }
    free(run);
    return error;
}

static enum target_error by_direct_ram(struct ways *ways, target_client client,
                                       const struct target_region *region, uint64_t physical,
                                       uint8_t *bytes, size_t length, bool write)
{
    enum direct_ram_writes writes = direct_ram_writes(ways->direct);
    if (!direct_ram_opened(ways->direct) || (write && writes == DIRECT_RAM_NO_WRITES))
        return TARGET_UNSUPPORTED;
    enum target_error error =
        direct_ram_move(ways->direct, client, region, translate_changes(ways->translate), physical,
                        bytes, length, write);
    if (error == TARGET_OK && write && writes == DIRECT_RAM_TOUCHED_LAST)
        error = touch_pages(ways, client, physical, bytes, length);
    if (error == TARGET_OK)
        ways_count(ways, WAY_DIRECT_RAM, write, length);
    return error;
}

static enum target_error by_memory_file(struct ways *ways, target_client client,
                                        const struct target_region *region, uint64_t physical,
                                        uint8_t *bytes, size_t length)
{
    if (length < MEMORY_FILE_LEAST || !ways_file_usable(ways) || region->flash ||
        (region->kind != REGION_RAM && region->kind != REGION_ROM))
        return TARGET_UNSUPPORTED;
    for (size_t done = 0; done < length;) {
        size_t piece = length - done < MEMORY_FILE_MOST ? length - done : MEMORY_FILE_MOST;
        enum target_error error =
            memory_file_read(ways->file, client, physical + done, bytes + done, piece);
        if (error != TARGET_OK)
            return error;
        ways_count(ways, WAY_MEMORY_FILE, false, piece);
        done += piece;
    }
    return TARGET_OK;
}

static bool is_width(size_t length)
{
    return length == 1 || length == 2 || length == 4 || length == 8;
}

/* RAM does not ask how its bytes come: as a number they take QEMU least. */
static struct qtest_request store_of(const struct ways *ways, const struct target_run *run,
                                     size_t length)
{
    return (struct qtest_request){
        .verb = QTEST_STORE,
        .width = (unsigned)length,
        .address = run->address,
        .length = length,
        .value = ways_decode(run->bytes, length, qtest_big_endian(ways->qtest))};
}

/* Everything that is not done yet, as one batch of requests. */
static enum target_error by_qtest(struct ways *ways, struct target_run *runs, size_t count,
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
        size_t some = span(&runs[i], count - i, &length);
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
enum target_error ways_by_stub(struct ways *ways, target_client client, struct target_run *runs,
                               size_t count, bool is_natural, bool write)
{
    struct transfer_settings settings = {.stub = ways->monitor->stub,
                                         .client = client,
                                         .space = RSP_SPACE_PHYSICAL,
                                         .write = write,
                                         .natural = is_natural,
                                         .address_mask = UINT64_MAX};
    struct target_run *left = calloc(count ? count : 1, sizeof *left);
    size_t some = 0;
    if (!left)
        return TARGET_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (runs[i].error != TARGET_OK)
            left[some++] = (struct target_run){
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
static void by_spans(struct ways *ways, target_client client, struct target_run *runs, size_t count,
                     bool write)
{
    size_t length;
    for (size_t i = 0; i < count;) {
        struct target_region region;
        size_t some = span(&runs[i], count - i, &length);
        if (length == 0) {
            settle(&runs[i], some);
        } else if (translate_classify(ways->translate, client, runs[i].address, &region) ==
                       TARGET_OK &&
                   region.first <= runs[i].address && length - 1 <= region.last - runs[i].address &&
                   !ways_running(ways)) {
            enum target_error error =
                by_direct_ram(ways, client, &region, runs[i].address, runs[i].bytes, length, write);
            if (error == TARGET_UNSUPPORTED && !write)
                error =
                    by_memory_file(ways, client, &region, runs[i].address, runs[i].bytes, length);
            if (error == TARGET_OK)
                settle(&runs[i], some);
        }
        i += some;
    }
}

enum target_error ways_bulk(struct ways *ways, target_client client, struct target_run *runs,
                            size_t count, bool write)
{
    bool fast = direct_ram_opened(ways->direct) || (!write && ways_file_usable(ways));
    enum target_error error = TARGET_OK;
    for (size_t i = 0; i < count; i++) {
        runs[i].done = 0;
        runs[i].error = TARGET_CANCELLED;
    }
    if (fast && !ways_running(ways))
        by_spans(ways, client, runs, count, write);
    if (qtest_connected(ways->qtest)) {
        error = by_qtest(ways, runs, count, write);
        if (error != TARGET_GONE)
            goto done;
    }
    /* RAM may be written once more: what qtest had not acknowledged goes by the stub. */
    error = ways_by_stub(ways, client, runs, count, false, write);
done:
    for (size_t i = 0; i < count; i++) {
        if (runs[i].error == TARGET_CANCELLED)
            runs[i].error = error != TARGET_OK ? error : TARGET_FAILED;
        if (error == TARGET_OK)
            error = runs[i].error;
    }
    return error;
}
