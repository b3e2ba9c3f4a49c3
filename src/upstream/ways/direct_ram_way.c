/* RAM in QEMU's own memory, and what has to be done about the code that QEMU has translated from it
 * when it is written. */
#include "upstream/ways/direct_ram_way.h"

#include "base/failure.h"
#include "base/log.h"
#include "upstream/link/qmp.h"
#include "upstream/link/qtest.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/direct_ram.h"
#include "upstream/ways/gate.h"
#include "upstream/ways/hold.h"
#include "upstream/ways/qtest_way.h"
#include "upstream/ways/spans.h"

#include <inttypes.h>
#include <stdlib.h>

#define ROOM "target"

/* A write that QEMU fills first, and not by its own bytes: the least that is quicker so than
 * through qtest, all in all and of what lies together. */
#define FILL_LEAST      ((size_t)16 * 1024)
#define FILL_SPAN_LEAST ((size_t)4 * 1024)

struct direct_way {
    struct way way;
    struct direct_ram *direct;
};

static struct direct_way *of(struct way *way)
{
    return (struct direct_way *)way;
}

static struct way *make(const struct way_context *context)
{
    struct direct_way *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    way_init(&made->way, &direct_ram_way, context);
    made->direct = direct_ram_new(context->stub);
    if (made->direct)
        return &made->way;
    free(made);
    return NULL;
}

static void end(struct way *way)
{
    direct_ram_free(of(way)->direct);
    free(way);
}

static bool is_open(const struct way *way)
{
    return direct_ram_opened(((const struct direct_way *)way)->direct);
}

static void reset(struct way *way)
{
    way_note(way, "off");
}

static enum target_error open_it(struct way *way, struct failure *failure)
{
    const enum ways_choice choice = way->context->config.direct_ram;
    if (choice == WAYS_OFF)
        return TARGET_OK;
    failure_clear(failure);
    enum target_error error = direct_ram_open(of(way)->direct, failure);
    return way_opened(way, choice, error, failure);
}

static void close_it(struct way *way)
{
    direct_ram_close(of(way)->direct);
}

/* Is it open, and are writes of this kind copied as they are? */
static bool copies(const struct way *way, bool write)
{
    const struct direct_ram *direct = ((const struct direct_way *)way)->direct;
    return direct_ram_opened(direct) &&
           !(write && direct_ram_writes(direct) == DIRECT_RAM_FILLED_FIRST);
}

static bool worth_translating(const struct way *way, size_t count, size_t total, bool write)
{
    (void)count;
    (void)total;
    return copies(way, write);
}

static enum target_error copy(struct direct_way *way, const struct direct_ram_place *place,
                              uint8_t *bytes, size_t length, bool write)
{
    enum target_error error = direct_ram_move(
        way->direct, place, translate_changes(way->way.context->translate), bytes, length, write);
    if (error == TARGET_OK)
        way_count(&way->way, write, length);
    return error;
}

static enum target_error span(struct way *way, target_client client,
                              const struct target_region *region, const struct target_span *span,
                              bool write)
{
    struct direct_ram_place place;
    if (!copies(way, write))
        return TARGET_UNSUPPORTED;
    enum target_error error =
        direct_ram_find(of(way)->direct, client, region, translate_changes(way->context->translate),
                        span->address, span->length, &place);
    if (error != TARGET_OK)
        return error;
    return copy(of(way), &place, span->bytes, span->length, write);
}

/* Filled first: a write of RAM that QEMU has translated code of. QEMU fills the range with zeros,
 * which drops the code, and the bytes are copied into its memory. Nobody else of ours is at the
 * target's memory meanwhile. */

/* NULL: there is none. */
static struct qtest *qtest_of(const struct direct_way *way)
{
    const struct way *qtest = way->way.context->qtest;
    return qtest ? qtest_way_connection(qtest) : NULL;
}

/* Without QMP nobody would tell that another let the target run. */
static bool can_fill(const struct direct_way *way)
{
    const struct qmp *qmp = way->way.context->stub->monitor.qmp;
    return qtest_of(way) && qtest_connected(qtest_of(way)) && qmp && qmp_connected(qmp);
}

/* An area of a write, and where its bytes belong. */
struct filled {
    struct target_span *spans;
    size_t count, length;
    struct direct_ram_place place;
};

/* The areas that direct RAM may take; returns how many, *fills: the fills that they take. */
static size_t find_areas(struct direct_way *way, target_client client, struct target_span *spans,
                         size_t count, struct filled *areas, size_t *fills)
{
    size_t found = 0, total = 0;
    *fills = 0;
    for (size_t i = 0; i < count;) {
        struct filled area = {.spans = &spans[i]};
        struct target_region region;
        area.count = spans_together(&spans[i], count - i, &area.length);
        i += area.count;
        if (area.length >= FILL_SPAN_LEAST &&
            translate_classify(way->way.context->translate, client, area.spans->address, &region) ==
                TARGET_OK &&
            direct_ram_find(way->direct, client, &region,
                            translate_changes(way->way.context->translate), area.spans->address,
                            area.length, &area.place) == TARGET_OK) {
            total += area.length;
            *fills += (area.length - 1) / QTEST_FILL_MOST + 1;
            areas[found++] = area;
        }
    }
    return total >= FILL_LEAST ? found : 0;
}

static enum target_error fill(struct direct_way *way, const struct filled *areas, size_t count,
                              struct qtest_request *requests)
{
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < areas[i].length; made++) {
            size_t left = areas[i].length - at;
            requests[made] =
                (struct qtest_request){.verb = QTEST_FILL,
                                       .address = areas[i].spans->address + at,
                                       .length = left < QTEST_FILL_MOST ? left : QTEST_FILL_MOST};
            at += requests[made].length;
        }
    }
    return qtest_run(qtest_of(way), requests, made);
}

/* Is everything as it was found, so that the fill would hit what is copied to? */
static bool still_there(const struct direct_way *way, const struct filled *areas, size_t count)
{
    if (!qtest_connected(qtest_of(way)) || !direct_ram_opened(way->direct) ||
        stub_running(way->way.context->stub))
        return false;
    for (size_t i = 0; i < count; i++)
        if (areas[i].place.changes != translate_changes(way->way.context->translate))
            return false;
    return true;
}

/* In between nothing suspends, so nobody of ours lets the target run. */
static bool copy_all(struct direct_way *way, const struct filled *areas, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (copy(way, &areas[i].place, areas[i].spans->bytes, areas[i].length, true) != TARGET_OK)
            return false;
    for (size_t i = 0; i < count; i++)
        spans_settle(areas[i].spans, areas[i].count);
    return true;
}

static void unsettle(const struct filled *areas, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < areas[i].count; j++) {
            areas[i].spans[j].done = 0;
            areas[i].spans[j].error = TARGET_CANCELLED;
        }
    }
}

/* True: all is written. */
static bool fill_and_copy(struct direct_way *way, const struct filled *areas, size_t count,
                          struct qtest_request *requests)
{
    const struct qmp *qmp = way->way.context->stub->monitor.qmp;
    uint64_t heard = qmp_heard(qmp);
    if (fill(way, areas, count, requests) != TARGET_OK || !still_there(way, areas, count) ||
        !copy_all(way, areas, count))
        return false;
    /* Had somebody else let the target run, code might have been translated from the filler; the
     * event would have come before. When in doubt QEMU writes the bytes itself. */
    if (qmp_silent_since(qmp, heard))
        return true;
    unsettle(areas, count);
    return false;
}

/* Spans that are worth it are done. True: something came in between, and there may be zeros where
 * the spans that are not done belong. They have to be written by another way at once, with the
 * others still shut out, then filler_gone() is to be called. */
static bool leaves_filler(struct direct_way *way, target_client client, struct target_span *spans,
                          size_t count)
{
    const struct way_context *context = way->way.context;
    struct filled *areas = calloc(count ? count : 1, sizeof *areas);
    struct qtest_request *requests = NULL;
    size_t fills = 0, found = 0;
    bool filler = false;
    if (areas && can_fill(way))
        found = find_areas(way, client, spans, count, areas, &fills);
    if (found > 0)
        requests = calloc(fills, sizeof *requests);
    if (requests) {
        gate_shut(context->gate);
        if (still_there(way, areas, found) && hold_begin(context->hold)) {
            filler = !fill_and_copy(way, areas, found, requests);
            if (!filler)
                hold_end(context->hold);
        }
        if (!filler)
            gate_open(context->gate);
    }
    free(areas);
    free(requests);
    return filler;
}

static void filler_gone(const struct way_context *context)
{
    hold_end(context->hold);
    gate_open(context->gate);
}

/* The rest where a filler may stand. When it cannot be told whether it comes yet, what was written
 * is not counted. */
static enum target_error over_filler(const struct way_context *context,
                                     const struct way_transfer *transfer,
                                     const struct way_rest *rest)
{
    struct target_span *spans = transfer->spans;
    bool settled = qtest_way_settle(context->qtest);
    enum target_error error = rest->carry(rest->context, transfer, false);
    if (error == TARGET_NO_MEMORY || error == TARGET_INVALID)
        error = rest->carry(rest->context, transfer, true);
    for (size_t i = 0; i < transfer->count && !settled; i++) {
        spans[i].done = 0;
        spans[i].error = error = error != TARGET_OK ? error : TARGET_FAILED;
    }
    if (error != TARGET_OK && rsp_client_connected(context->stub->rsp))
        log_error(ROOM, "zeros may stand from 0x%" PRIx64 " on, where a write was cut short",
                  spans[0].address);
    return error;
}

static bool take_over(struct way *way, const struct way_transfer *transfer,
                      const struct way_rest *rest, enum target_error *error)
{
    if (!is_open(way) || !transfer->write || copies(way, true))
        return false;
    if (leaves_filler(of(way), transfer->client, transfer->spans, transfer->count)) {
        *error = over_filler(way->context, transfer, rest);
        filler_gone(way->context);
    } else {
        *error = rest->carry(rest->context, transfer, false);
    }
    return true;
}

const struct way_ops direct_ram_way = {.name = "direct-ram",
                                       .make = make,
                                       .free = end,
                                       .is_open = is_open,
                                       .reset = reset,
                                       .open = open_it,
                                       .close = close_it,
                                       .worth_translating = worth_translating,
                                       .take_over = take_over,
                                       .wants_spans = copies,
                                       .span = span};
