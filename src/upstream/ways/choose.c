/* Which way each transfer, and each span of it, takes. */
#include "upstream/ways/choose.h"

#include "upstream/link/qmp.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/spans.h"

bool choose_live(const struct way_rows *rows)
{
    const struct qmp *qmp = rows->context->stub->monitor.qmp;
    bool open = false;
    for (size_t i = 0; i < rows->count; i++)
        open =
            open || (rows->row[i]->ops->while_running && rows->row[i]->ops->is_open(rows->row[i]));
    return open && qmp && qmp_connected(qmp);
}

bool choose_worth_translating(const struct way_rows *rows, const struct target_span *spans,
                              size_t count, bool write)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += spans[i].length;
    for (size_t i = rows->count; i-- > 0;) {
        const struct way *way = rows->row[i];
        if (way->ops->worth_translating && way->ops->worth_translating(way, count, total, write))
            return true;
    }
    return false;
}

/* Everything that is not done yet, by the ways that take any spans. */
static enum target_error rest(const struct way_rows *rows, const struct way_transfer *transfer)
{
    enum target_error error = TARGET_UNSUPPORTED;
    for (size_t i = rows->count; i-- > 0 && error == TARGET_UNSUPPORTED;)
        if (rows->row[i]->ops->spans)
            error = rows->row[i]->ops->spans(rows->row[i], transfer);
    return error;
}

enum target_error choose_last_resort(const struct way_rows *rows,
                                     const struct way_transfer *transfer)
{
    return rows->row[0]->ops->spans(rows->row[0], transfer);
}

enum target_error choose_running(const struct way_rows *rows, const struct way_transfer *transfer)
{
    for (size_t i = rows->count; i-- > 0;) {
        struct way *way = rows->row[i];
        if (way->ops->while_running && way->ops->spans && way->ops->is_open(way))
            return way->ops->spans(way, transfer);
    }
    return TARGET_RUNNING;
}

/* Single accesses */

enum target_error choose_natural(const struct way_rows *rows, const struct way_transfer *transfer)
{
    spans_begin(transfer->spans, transfer->count);
    return rest(rows, transfer);
}

/* In bulk: one way may take it over; else spans are offered to those that take them one by one,
 * and what is left then goes by those that take any spans. */

static enum target_error carry_rest(const void *context, const struct way_transfer *transfer,
                                    bool last_resort)
{
    return last_resort ? choose_last_resort(context, transfer) : rest(context, transfer);
}

/* False: nobody wants it, nothing was done. */
static bool taken_over(const struct way_rows *rows, const struct way_transfer *transfer,
                       enum target_error *error)
{
    const struct way_rest others = {.carry = carry_rest, .context = rows};
    for (size_t i = rows->count; i-- > 0;) {
        struct way *way = rows->row[i];
        if (way->ops->take_over && way->ops->take_over(way, transfer, &others, error))
            return true;
    }
    return false;
}

static bool spans_wanted(const struct way_rows *rows, bool write)
{
    for (size_t i = rows->count; i-- > 0;) {
        const struct way *way = rows->row[i];
        if (way->ops->wants_spans && way->ops->wants_spans(way, write))
            return true;
    }
    return false;
}

/* TARGET_OK: it is done. */
static enum target_error offer_span(const struct way_rows *rows, target_client client,
                                    const struct target_region *region,
                                    const struct target_span *span, bool write)
{
    enum target_error error = TARGET_UNSUPPORTED;
    for (size_t i = rows->count; i-- > 0 && error == TARGET_UNSUPPORTED;) {
        struct way *way = rows->row[i];
        if (way->ops->span)
            error = way->ops->span(way, client, region, span, write);
    }
    return error;
}

/* What is left is not done yet. */
static void offer_spans(const struct way_rows *rows, const struct way_transfer *transfer)
{
    struct target_span *spans = transfer->spans;
    for (size_t i = 0; i < transfer->count;) {
        struct target_span span = {.address = spans[i].address, .bytes = spans[i].bytes};
        struct target_region region;
        size_t some = spans_together(&spans[i], transfer->count - i, &span.length);
        if (span.length == 0)
            spans_settle(&spans[i], some);
        else if (translate_classify(rows->context->translate, transfer->client, span.address,
                                    &region) == TARGET_OK &&
                 region.first <= span.address && span.length - 1 <= region.last - span.address &&
                 !stub_running(rows->context->stub) &&
                 offer_span(rows, transfer->client, &region, &span, transfer->write) == TARGET_OK)
            spans_settle(&spans[i], some);
        i += some;
    }
}

enum target_error choose_bulk(const struct way_rows *rows, const struct way_transfer *transfer)
{
    struct target_span *spans = transfer->spans;
    enum target_error error = TARGET_OK;
    spans_begin(spans, transfer->count);
    if (stub_running(rows->context->stub)) {
        error = rest(rows, transfer);
    } else if (!taken_over(rows, transfer, &error)) {
        if (spans_wanted(rows, transfer->write))
            offer_spans(rows, transfer);
        error = rest(rows, transfer);
    }
    for (size_t i = 0; i < transfer->count; i++) {
        if (spans[i].error == TARGET_CANCELLED)
            spans[i].error = error != TARGET_OK ? error : TARGET_FAILED;
        if (error == TARGET_OK)
            error = spans[i].error;
    }
    return error;
}

enum target_error choose_fill(const struct way_rows *rows, uint64_t physical, uint64_t length,
                              uint8_t byte, uint64_t *done)
{
    enum target_error error = TARGET_UNSUPPORTED;
    *done = 0;
    for (size_t i = rows->count; i-- > 0 && error == TARGET_UNSUPPORTED;)
        if (rows->row[i]->ops->fill)
            error = rows->row[i]->ops->fill(rows->row[i], physical, length, byte, done);
    return error;
}

/* Ports */

enum target_error choose_port(const struct way_rows *rows, struct way_port *access,
                              struct failure *failure)
{
    enum target_error error = TARGET_UNSUPPORTED;
    for (size_t i = rows->count; i-- > 0 && error == TARGET_UNSUPPORTED;)
        if (rows->row[i]->ops->port)
            error = rows->row[i]->ops->port(rows->row[i], access, failure);
    return error;
}

enum target_error choose_ports_out(const struct way_rows *rows, struct target_port_write *writes,
                                   size_t count, struct failure *failure)
{
    enum target_error error = TARGET_UNSUPPORTED;
    for (size_t i = rows->count; i-- > 0 && error == TARGET_UNSUPPORTED;)
        if (rows->row[i]->ops->ports_out)
            error = rows->row[i]->ops->ports_out(rows->row[i], writes, count, failure);
    return error;
}
