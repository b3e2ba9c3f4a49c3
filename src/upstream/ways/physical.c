/* Physical memory of which the map does not tell for sure what it is: no way but the stub, which on
 * a newer QEMU says when an access failed, and what seems to be memory is believed to be written
 * when it is read back (a stub before QEMU 11 says OK to a write of ROM). */
#include "upstream/ways/physical.h"

#include "upstream/translate/translate.h"
#include "upstream/ways/choose.h"
#include "upstream/ways/spans.h"

#include <stdlib.h>
#include <string.h>

/* While the target runs the stub cannot be had: what is open then is better than to fail. */
static enum target_error move(const struct way_rows *rows, const struct way_transfer *transfer)
{
    spans_begin(transfer->spans, transfer->count);
    if (!stub_running(rows->context->stub))
        return choose_last_resort(rows, transfer);
    if (transfer->access == TARGET_ACCESS_BULK)
        return choose_bulk(rows, transfer);
    return choose_running(rows, transfer);
}

/* Read back what was written, one span after the other. A span lies in memory of one kind: where it
 * reads otherwise in part, none of it was taken. */
static enum target_error prove(const struct way_rows *rows, const struct way_transfer *transfer)
{
    struct target_span *spans = transfer->spans;
    for (size_t i = 0; i < transfer->count; i++) {
        uint8_t *bytes = malloc(spans[i].done ? spans[i].done : 1);
        struct target_span back = {
            .address = spans[i].address, .bytes = bytes, .length = spans[i].done};
        const struct way_transfer read = {
            .client = transfer->client, .access = TARGET_ACCESS_BULK, .spans = &back, .count = 1};
        if (!bytes)
            return TARGET_NO_MEMORY;
        move(rows, &read);
        bool equal =
            back.done == spans[i].done && memcmp(bytes, spans[i].bytes, spans[i].done) == 0;
        free(bytes);
        if (equal)
            continue;
        spans[i].error = back.done == spans[i].done ? TARGET_FAULT : back.error;
        spans[i].done = 0;
    }
    return spans_first_error(spans, transfer->count);
}

/* Some of them reach an unknown region. */
static enum target_error unknown(const struct way_rows *rows, const struct way_transfer *transfer)
{
    struct target_span *spans = transfer->spans;
    struct target_region region = {.kind = REGION_DEVICE};
    enum target_error error = TARGET_OK;
    if (transfer->write && transfer->count > 0)
        error = translate_classify(rows->context->translate, transfer->client, spans[0].address,
                                   &region);
    if (error != TARGET_OK) {
        spans_begin(spans, transfer->count);
        for (size_t i = 0; i < transfer->count; i++)
            spans[i].error = error;
        return error;
    }
    error = move(rows, transfer);
    if (transfer->write && region.kind == REGION_RAM)
        error = prove(rows, transfer);
    return error;
}

enum target_error physical_spans(const struct way_rows *rows, const struct way_transfer *transfer)
{
    if (translate_unknown(rows->context->translate, transfer->spans, transfer->count))
        return unknown(rows, transfer);
    if (transfer->access == TARGET_ACCESS_BULK)
        return choose_bulk(rows, transfer);
    return choose_natural(rows, transfer);
}
