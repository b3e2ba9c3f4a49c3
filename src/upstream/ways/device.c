/* Accesses of devices: by a way that tells whether the device took them, where there is one. */
#include "upstream/ways/device.h"

#include "upstream/machine/transfer.h"
#include "upstream/ways/choose.h"
#include "upstream/ways/physical.h"

static const char this_qemu[] = "this QEMU cannot tell";
static const char while_running[] = "qtest, by which a running target is reached, cannot tell";

/* One access after the other through the stub; seen: by virtual addresses. */
static void by_stub(const struct way_rows *rows, const struct target_seen *seen,
                    const struct way_transfer *transfer)
{
    struct stub *stub = rows->context->stub;
    struct target_span *spans = transfer->spans;
    struct transfer_settings settings = {.stub = stub,
                                         .client = transfer->client,
                                         .space = seen ? RSP_SPACE_VIRTUAL : RSP_SPACE_PHYSICAL,
                                         .thread = seen ? stub_memory_thread(stub, seen->cpu) : 0,
                                         .write = transfer->write,
                                         .natural = true,
                                         .address_mask = UINT64_MAX};
    const uint64_t offset = seen ? seen->address - spans[0].address : 0;
    for (size_t i = 0; i < transfer->count; i++) {
        spans[i].address += offset;
        spans[i].error = TARGET_OK;
    }
    transfer_spans(&settings, spans, transfer->count);
    for (size_t i = 0; i < transfer->count; i++)
        spans[i].address -= offset;
    way_count_spans(rows->row[0], transfer->write, spans, transfer->count);
}

/* By the way that takes them where none tells. */
static enum target_error untold(const struct way_rows *rows, const struct way_transfer *transfer,
                                const char **doubt)
{
    *doubt = stub_running(rows->context->stub) ? while_running : this_qemu;
    return physical_spans(rows, transfer);
}

/* The target was resumed meanwhile, and nothing was sent of these. */
static enum target_error go_on_live(const struct way_rows *rows,
                                    const struct way_transfer *transfer, const char **doubt)
{
    struct target_span *spans = transfer->spans;
    struct way_transfer left = *transfer;
    size_t done = 0;
    while (done < transfer->count && spans[done].error == TARGET_OK)
        done++;
    if (done == transfer->count || spans[done].error != TARGET_RUNNING || !choose_live(rows))
        return done < transfer->count ? spans[done].error : TARGET_OK;
    left.spans = &spans[done];
    left.count = transfer->count - done;
    return untold(rows, &left, doubt);
}

enum target_error device_spans(const struct way_rows *rows, struct tells *tells,
                               const struct target_seen *seen, const struct way_transfer *transfer,
                               const char **doubt)
{
    struct target_seen narrow;
    *doubt = NULL;
    if (transfer->count == 0)
        return TARGET_OK;
    enum tells_by by = tells_find(tells, rows->context, transfer->client, seen,
                                  transfer->spans[0].address, transfer->write, &narrow);
    if (by == TELLS_BY_NONE || stub_running(rows->context->stub))
        return untold(rows, transfer, doubt);
    by_stub(rows, by == TELLS_BY_VIRTUAL ? &narrow : NULL, transfer);
    return go_on_live(rows, transfer, doubt);
}
