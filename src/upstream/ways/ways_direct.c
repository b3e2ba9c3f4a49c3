/* RAM in QEMU's own memory, and what has to be done about the code that QEMU has translated from it
 * when it is written. */
#include "upstream/ways/ways_internal.h"

#include "upstream/link/qmp.h"
#include "upstream/link/qtest.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/direct_ram.h"

#include <stdlib.h>

static enum target_error copy(struct ways *ways, const struct direct_ram_place *place,
                              uint8_t *bytes, size_t length, bool write)
{
    enum target_error error = direct_ram_move(
        ways->direct, place, translate_changes(ways->translate), bytes, length, write);
    if (error == TARGET_OK)
        ways_count(ways, WAY_DIRECT_RAM, write, length);
    return error;
}

enum target_error ways_by_direct_ram(struct ways *ways, target_client client,
                                     const struct target_region *region, uint64_t physical,
                                     uint8_t *bytes, size_t length, bool write)
{
    struct direct_ram_place place;
    if (!direct_ram_opened(ways->direct) ||
        (write && direct_ram_writes(ways->direct) == DIRECT_RAM_FILLED_FIRST))
        return TARGET_UNSUPPORTED;
    enum target_error error = direct_ram_find(
        ways->direct, client, region, translate_changes(ways->translate), physical, length, &place);
    if (error != TARGET_OK)
        return error;
    return copy(ways, &place, bytes, length, write);
}

/* Filled first */

/* A span of a write, and where its bytes belong. */
struct filled {
    struct target_span *runs;
    size_t count, length;
    struct direct_ram_place place;
};

/* The spans that direct RAM may take; returns how many, *requests: the fills that they take. */
static size_t find_spans(struct ways *ways, target_client client, struct target_span *runs,
                         size_t count, struct filled *spans, size_t *fills)
{
    size_t found = 0, total = 0;
    *fills = 0;
    for (size_t i = 0; i < count;) {
        struct filled span = {.runs = &runs[i]};
        struct target_region region;
        span.count = ways_span(&runs[i], count - i, &span.length);
        i += span.count;
        if (span.length >= FILL_SPAN_LEAST &&
            translate_classify(ways->translate, client, span.runs->address, &region) == TARGET_OK &&
            direct_ram_find(ways->direct, client, &region, translate_changes(ways->translate),
                            span.runs->address, span.length, &span.place) == TARGET_OK) {
            total += span.length;
            *fills += (span.length - 1) / QTEST_FILL_MOST + 1;
            spans[found++] = span;
        }
    }
    return total >= FILL_LEAST ? found : 0;
}

static enum target_error fill(struct ways *ways, const struct filled *spans, size_t count,
                              struct qtest_request *requests)
{
    size_t made = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < spans[i].length; made++) {
            size_t left = spans[i].length - at;
            requests[made] =
                (struct qtest_request){.verb = QTEST_FILL,
                                       .address = spans[i].runs->address + at,
                                       .length = left < QTEST_FILL_MOST ? left : QTEST_FILL_MOST};
            at += requests[made].length;
        }
    }
    return qtest_run(ways->qtest, requests, made);
}

/* Is everything as it was found, so that the fill would hit what is copied to? */
static bool still_there(const struct ways *ways, const struct filled *spans, size_t count)
{
    if (!qtest_connected(ways->qtest) || !direct_ram_opened(ways->direct) || ways_running(ways))
        return false;
    for (size_t i = 0; i < count; i++)
        if (spans[i].place.changes != translate_changes(ways->translate))
            return false;
    return true;
}

/* In between nothing suspends, so nobody of ours lets the target run. */
static bool copy_all(struct ways *ways, const struct filled *spans, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (copy(ways, &spans[i].place, spans[i].runs->bytes, spans[i].length, true) != TARGET_OK)
            return false;
    for (size_t i = 0; i < count; i++)
        ways_settle(spans[i].runs, spans[i].count);
    return true;
}

static void unsettle(const struct filled *spans, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < spans[i].count; j++) {
            spans[i].runs[j].done = 0;
            spans[i].runs[j].error = TARGET_CANCELLED;
        }
    }
}

/* True: all is written. */
static bool fill_and_copy(struct ways *ways, const struct filled *spans, size_t count,
                          struct qtest_request *requests)
{
    const struct qmp *qmp = ways->stub->monitor.qmp;
    uint64_t heard = qmp_heard(qmp);
    if (fill(ways, spans, count, requests) != TARGET_OK || !still_there(ways, spans, count) ||
        !copy_all(ways, spans, count))
        return false;
    /* Had somebody else let the target run, code might have been translated from the filler; the
     * event would have come before. When in doubt QEMU writes the bytes itself. */
    if (qmp_silent_since(qmp, heard))
        return true;
    unsettle(spans, count);
    return false;
}

bool ways_fill_and_copy(struct ways *ways, target_client client, struct target_span *runs,
                        size_t count)
{
    struct filled *spans = calloc(count ? count : 1, sizeof *spans);
    struct qtest_request *requests = NULL;
    size_t fills = 0, found = 0;
    bool filler = false;
    /* Without QMP nobody would tell that another let the target run. */
    if (spans && ways_live(ways))
        found = find_spans(ways, client, runs, count, spans, &fills);
    if (found > 0)
        requests = calloc(fills, sizeof *requests);
    if (requests) {
        gate_shut(&ways->gate);
        if (still_there(ways, spans, found) && ways_begin(ways)) {
            filler = !fill_and_copy(ways, spans, found, requests);
            if (!filler)
                ways_end(ways);
        }
        if (!filler)
            gate_open(&ways->gate);
    }
    free(spans);
    free(requests);
    return filler;
}

void ways_filler_gone(struct ways *ways)
{
    ways_end(ways);
    gate_open(&ways->gate);
}
