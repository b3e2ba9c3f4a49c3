/* Accesses of devices: by a way that tells whether the device took them, where there is one. */
#include "upstream/ways/ways_internal.h"

#include "upstream/link/qtest.h"
#include "upstream/machine/transfer.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/tells.h"

#include <stdlib.h>

static const char this_qemu[] = "this QEMU cannot tell";
static const char while_running[] = "qtest, by which a running target is reached, cannot tell";

/* One access after the other through the stub; seen: by virtual addresses. */
static enum target_error by_stub(struct ways *ways, target_client client,
                                 const struct target_seen *seen, struct target_span *runs,
                                 size_t count, bool write)
{
    struct stub *stub = ways->stub;
    struct transfer_settings settings = {.stub = stub,
                                         .client = client,
                                         .space = seen ? RSP_SPACE_VIRTUAL : RSP_SPACE_PHYSICAL,
                                         .thread = seen ? stub_memory_thread(stub, seen->cpu) : 0,
                                         .write = write,
                                         .natural = true,
                                         .address_mask = UINT64_MAX};
    const uint64_t offset = seen && count > 0 ? seen->address - runs[0].address : 0;
    for (size_t i = 0; i < count; i++) {
        runs[i].address += offset;
        runs[i].error = TARGET_OK;
    }
    enum target_error error = transfer_runs(&settings, runs, count);
    for (size_t i = 0; i < count; i++)
        runs[i].address -= offset;
    ways_count_runs(ways, WAY_RSP, write, runs, count);
    return error;
}

/* By the way that takes them where none tells. */
static enum target_error untold(struct ways *ways, target_client client, struct target_span *runs,
                                size_t count, bool write, const char **doubt)
{
    *doubt = ways_running(ways) ? while_running : this_qemu;
    return ways_physical(ways, client, TARGET_ACCESS_NATURAL, runs, count, write);
}

/* The target was resumed meanwhile, and nothing was sent of these. */
static enum target_error go_on_live(struct ways *ways, target_client client,
                                    struct target_span *runs, size_t count, bool write,
                                    const char **doubt)
{
    size_t done = 0;
    while (done < count && runs[done].error == TARGET_OK)
        done++;
    if (done == count || runs[done].error != TARGET_RUNNING || !ways_live(ways))
        return done < count ? runs[done].error : TARGET_OK;
    return untold(ways, client, &runs[done], count - done, write, doubt);
}

enum target_error ways_device(struct ways *ways, target_client client,
                              const struct target_seen *seen, struct target_span *runs,
                              size_t count, bool write, const char **doubt)
{
    struct target_seen narrow;
    *doubt = NULL;
    if (count == 0)
        return TARGET_OK;
    enum tells_by by = tells_find(ways, client, seen, runs[0].address, write, &narrow);
    if (by == TELLS_BY_NONE || ways_running(ways))
        return untold(ways, client, runs, count, write, doubt);
    by_stub(ways, client, by == TELLS_BY_VIRTUAL ? &narrow : NULL, runs, count, write);
    return go_on_live(ways, client, runs, count, write, doubt);
}
