/* Virtual spans that lie in memory, carried out by the physical addresses behind them. */
#include "upstream/ways/virtual.h"

#include "upstream/translate/translate.h"
#include "upstream/ways/choose.h"
#include "upstream/ways/hold.h"

#include <stdlib.h>

/* What a virtual span must find behind its page. */
static bool in_memory(const struct target_translation *page, uint64_t at, size_t length, bool write)
{
    const struct target_region *region = &page->region;
    if (page->error != TARGET_OK || region->unreachable || region->unknown || at < region->first ||
        at > region->last || (length > 0 && length - 1 > region->last - at))
        return false;
    return region->kind == REGION_RAM || (region->kind == REGION_ROM && !region->flash && !write);
}

/* Where the spans lie. False: not all of them in RAM (or, to be read, in ROM), or it cannot be
 * told.
 */
static bool find_physical(struct translate *translate, target_client client, unsigned cpu,
                          const struct target_span *spans, size_t count, bool write,
                          struct target_span *physical)
{
    uint64_t *pages = malloc(count * sizeof *pages);
    struct target_translation *found = malloc(count * sizeof *found);
    size_t different = 0;
    bool good = pages && found;
    for (size_t i = 0; i < count && good; i++) {
        uint64_t page = spans[i].address & TARGET_PAGE_MASK;
        if (different == 0 || pages[different - 1] != page)
            pages[different++] = page;
    }
    good = good && translate_pages(translate, client, cpu, pages, different, found) == TARGET_OK;
    for (size_t i = 0, p = 0; i < count && good; i++) {
        if (pages[p] != (spans[i].address & TARGET_PAGE_MASK))
            p++;
        uint64_t at = found[p].physical + (spans[i].address - pages[p]);
        good = in_memory(&found[p], at, spans[i].length, write);
        physical[i] =
            (struct target_span){.address = at, .bytes = spans[i].bytes, .length = spans[i].length};
    }
    free(pages);
    free(found);
    return good;
}

bool virtual_spans(const struct way_rows *rows, unsigned cpu, const struct way_transfer *transfer)
{
    const struct way_context *context = rows->context;
    struct target_span *spans = transfer->spans;
    const size_t count = transfer->count;
    const bool write = transfer->write;
    if (count == 0 || hold_held(context->hold) ||
        !choose_worth_translating(rows, spans, count, write))
        return false;
    struct target_span *physical = calloc(count, sizeof *physical);
    struct way_transfer translated = *transfer;
    translated.spans = physical;
    bool plain = false;
    if (!physical || !hold_begin(context->hold)) {
        free(physical);
        return false;
    }
    bool taken =
        translate_plain(context->translate, transfer->client, cpu, &plain) == TARGET_OK && plain &&
        find_physical(context->translate, transfer->client, cpu, spans, count, write, physical) &&
        !stub_running(context->stub) && !hold_held(context->hold);
    if (taken) {
        if (write)
            translate_written(context->translate, physical, count);
        choose_bulk(rows, &translated);
        if (write)
            translate_written(context->translate, physical, count);
        for (size_t i = 0; i < count; i++) {
            spans[i].done = physical[i].done;
            spans[i].error = physical[i].error;
        }
    }
    free(physical);
    hold_end(context->hold);
    return taken;
}
