/* Physical spans by the target's GDB stub. It is the last resort: it takes everything, and says why
 * it cannot now (the target runs, or is lost). */
#include "upstream/ways/stub_way.h"

#include "upstream/machine/transfer.h"

#include <stdlib.h>

static struct way *make(const struct way_context *context)
{
    struct way *way = malloc(sizeof *way);
    if (way)
        way_init(way, &stub_way, context);
    return way;
}

static void end(struct way *way)
{
    free(way);
}

static bool is_open(const struct way *way)
{
    return rsp_client_connected(way->context->stub->rsp);
}

/* Everything that is not done yet. */
static enum target_error carry(struct way *way, const struct way_transfer *transfer)
{
    struct target_span *spans = transfer->spans;
    const size_t count = transfer->count;
    struct transfer_settings settings = {.stub = way->context->stub,
                                         .client = transfer->client,
                                         .space = RSP_SPACE_PHYSICAL,
                                         .write = transfer->write,
                                         .natural = transfer->access == TARGET_ACCESS_NATURAL,
                                         .address_mask = UINT64_MAX};
    struct target_span *left = calloc(count ? count : 1, sizeof *left);
    size_t some = 0;
    if (!left)
        return TARGET_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (spans[i].error != TARGET_OK)
            left[some++] = (struct target_span){
                .address = spans[i].address, .bytes = spans[i].bytes, .length = spans[i].length};
    enum target_error error = some > 0 ? transfer_spans(&settings, left, some) : TARGET_OK;
    if (some > 0)
        way_count_spans(way, transfer->write, left, some);
    some = 0;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].error == TARGET_OK)
            continue;
        spans[i].done = left[some].done;
        spans[i].error = left[some++].error;
    }
    free(left);
    return error;
}

const struct way_ops stub_way = {
    .name = "rsp", .make = make, .free = end, .is_open = is_open, .spans = carry};
