/* Physical memory of which the map does not tell for sure what it is: no way but the stub, which on
 * a newer QEMU says when an access failed, and what seems to be memory is believed to be written
 * when it is read back (a stub before QEMU 11 says OK to a write of ROM). */
#include "upstream/ways/ways_internal.h"

#include "upstream/link/qtest.h"
#include "upstream/translate/translate.h"

#include <stdlib.h>
#include <string.h>

static void begin(struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].done = 0;
        runs[i].error = TARGET_CANCELLED;
    }
}

static enum target_error first_error(const struct target_span *runs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (runs[i].error != TARGET_OK)
            return runs[i].error;
    return TARGET_OK;
}

/* While the target runs the stub cannot be had: what is open then is better than to fail. */
static enum target_error move(struct ways *ways, target_client client, enum target_access access,
                              struct target_span *runs, size_t count, bool write)
{
    bool natural = access == TARGET_ACCESS_NATURAL;
    begin(runs, count);
    if (!ways_running(ways))
        return ways_by_stub(ways, client, runs, count, natural, write);
    if (!natural)
        return ways_bulk(ways, client, runs, count, write);
    if (!qtest_connected(ways->qtest))
        return TARGET_RUNNING;
    enum target_error error = ways_natural(ways, runs, count, write);
    ways_count_runs(ways, WAY_QTEST, write, runs, count);
    return error;
}

/* Read back what was written, one run after the other. A run lies in memory of one kind: where it
 * reads otherwise in part, none of it was taken. */
static enum target_error prove(struct ways *ways, target_client client, struct target_span *runs,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *bytes = malloc(runs[i].done ? runs[i].done : 1);
        struct target_span back = {
            .address = runs[i].address, .bytes = bytes, .length = runs[i].done};
        if (!bytes)
            return TARGET_NO_MEMORY;
        move(ways, client, TARGET_ACCESS_BULK, &back, 1, false);
        bool equal = back.done == runs[i].done && memcmp(bytes, runs[i].bytes, runs[i].done) == 0;
        free(bytes);
        if (equal)
            continue;
        runs[i].error = back.done == runs[i].done ? TARGET_FAULT : back.error;
        runs[i].done = 0;
    }
    return first_error(runs, count);
}

enum target_error ways_unknown(struct ways *ways, target_client client, enum target_access access,
                               struct target_span *runs, size_t count, bool write)
{
    struct target_region region = {.kind = REGION_DEVICE};
    enum target_error error = TARGET_OK;
    if (write && count > 0)
        error = translate_classify(ways->translate, client, runs[0].address, &region);
    if (error != TARGET_OK) {
        begin(runs, count);
        for (size_t i = 0; i < count; i++)
            runs[i].error = error;
        return error;
    }
    error = move(ways, client, access, runs, count, write);
    if (write && region.kind == REGION_RAM)
        error = prove(ways, client, runs, count);
    return error;
}
