/* Which of the means to find out about pages is asked: what is known, our own walk, the stub, the
 * monitor; and what lies where they were found. */
#include "upstream/translate/translate.h"

#include "upstream/link/qmp.h"
#include "upstream/translate/ask_pages.h"
#include "upstream/translate/fresh_map.h"
#include "upstream/translate/hole.h"
#include "upstream/translate/known.h"
#include "upstream/translate/modes.h"
#include "upstream/translate/walk_pages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to this many pages are looked up without asking for memory. */
#define PAGES_FEW 8

struct translate {
    struct stub *stub;
    struct known *known;
    struct fresh_map *map;
    struct modes *modes;
    struct walker *walker;
};

struct translate *translate_new(struct stub *stub)
{
    struct translate *translate = calloc(1, sizeof *translate);
    if (!translate)
        return NULL;
    translate->stub = stub;
    translate->known = known_new();
    translate->map = fresh_map_new(stub);
    translate->modes = modes_new(stub, translate->map);
    translate->walker = walker_new(stub, translate->known, translate->map, translate->modes);
    if (!translate->known || !translate->map || !translate->modes || !translate->walker) {
        translate_free(translate);
        return NULL;
    }
    return translate;
}

void translate_free(struct translate *translate)
{
    if (!translate)
        return;
    walker_free(translate->walker);
    modes_free(translate->modes);
    fresh_map_free(translate->map);
    known_free(translate->known);
    free(translate);
}

/* What has changed */

void translate_written(struct translate *translate, const struct target_span *spans, size_t count)
{
    known_written(translate->known, spans, count);
}

void translate_written_virtual(struct translate *translate, unsigned cpu,
                               const struct target_span *spans, size_t count)
{
    known_written_virtual(translate->known, cpu, spans, count);
}

void translate_map_changed(struct translate *translate)
{
    known_forget(translate->known);
    fresh_map_changed(translate->map);
}

void translate_all_changed(struct translate *translate)
{
    known_forget(translate->known);
    fresh_map_all_changed(translate->map);
    modes_changed(translate->modes);
    walker_changed(translate->walker);
}

uint64_t translate_epoch(struct translate *translate)
{
    if (stub_running(translate->stub))
        known_touch(translate->known);
    return known_epoch(translate->known);
}

/* What one of the parts knows */

uint64_t translate_changes(const struct translate *translate)
{
    return fresh_map_changes(translate->map);
}

enum target_error translate_classify(struct translate *translate, target_client client,
                                     uint64_t physical, struct target_region *out)
{
    return fresh_map_classify(translate->map, client, physical, out);
}

bool translate_unknown(const struct translate *translate, const struct target_span *spans,
                       size_t count)
{
    return fresh_map_unknown(translate->map, spans, count);
}

enum target_error translate_has_bus(struct translate *translate, target_client client, unsigned bus,
                                    bool *present)
{
    return fresh_map_has_bus(translate->map, client, bus, present);
}

bool translate_one_space(const struct translate *translate)
{
    return modes_one_space(translate->modes);
}

enum target_error translate_plain(struct translate *translate, target_client client, unsigned cpu,
                                  bool *plain)
{
    return modes_plain(translate->modes, client, cpu, plain);
}

enum target_error translate_pointer_size(struct translate *translate, target_client client,
                                         unsigned cpu, unsigned *size)
{
    return modes_pointer_size(translate->modes, client, cpu, size);
}

enum target_error translate_narrow(struct translate *translate, target_client client, unsigned cpu,
                                   uint64_t address, uint64_t *narrow)
{
    return modes_narrow(translate->modes, client, cpu, address, narrow);
}

bool translate_hole(struct translate *translate, target_client client, uint64_t *physical)
{
    return hole_find(translate->map, client, physical);
}

/* Pages */

/* Those that were found before; returns how many are left to be found. */
static size_t pages_by_cache(const struct known *known, unsigned cpu, const uint64_t *pages,
                             size_t count, struct target_translation *out)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (out[i].error != TARGET_FAILED)
            continue;
        if (!known_recall(known, cpu, pages[i], &out[i]))
            left++;
    }
    return left;
}

static void ram_region(struct target_region *region)
{
    *region = (struct target_region){.first = 0, .last = UINT64_MAX, .kind = REGION_RAM};
    snprintf(region->name, sizeof region->name, "process");
}

/* Say of each page that was found what lies there. */
static enum target_error find_regions(struct translate *translate, target_client client,
                                      struct target_translation *out, size_t count)
{
    bool mapped = translate->stub->has_physical;
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || out[i].error == TARGET_OK;
    enum target_error error = any && mapped ? fresh_map_load(translate->map, client) : TARGET_OK;
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        if (out[i].error != TARGET_OK)
            continue;
        if (mapped) {
            fresh_map_find(translate->map, out[i].physical, &out[i].region);
            if (out[i].region.unknown || out[i].region.kind == REGION_NONE)
                error = fresh_map_classify(translate->map, client, out[i].physical, &out[i].region);
        } else {
            ram_region(&out[i].region);
        }
    }
    return error;
}

static enum target_error find_pages(struct translate *translate, target_client client, unsigned cpu,
                                    const uint64_t *pages, size_t count,
                                    struct target_translation *out)
{
    const struct stub *stub = translate->stub;
    enum target_error error = TARGET_RUNNING;
    if (!stub_running(translate->stub)) {
        if (pages_by_cache(translate->known, cpu, pages, count, out) == 0)
            return TARGET_OK;
        error = walker_find(translate->walker, client, cpu, pages, count, out);
    }
    if (error == TARGET_OK)
        error = stub_running(translate->stub) ? TARGET_RUNNING
                                              : ask_pages_by_stub(translate->stub, translate->known,
                                                                  client, cpu, pages, count, out);
    const struct qmp *qmp = translate->stub->monitor.qmp;
    if (error == TARGET_RUNNING && stub->has_monitor && qmp && qmp_connected(qmp))
        error = ask_pages_by_monitor(translate->stub, client, cpu, pages, count, out);
    return error;
}

enum target_error translate_pages(struct translate *translate, target_client client, unsigned cpu,
                                  const uint64_t *pages, size_t count,
                                  struct target_translation *out)
{
    const struct stub *stub = translate->stub;
    if (!rsp_client_connected(stub->rsp))
        return TARGET_GONE;
    if (cpu >= stub->processors)
        return TARGET_INVALID;
    uint64_t few[PAGES_FEW];
    uint64_t *narrow = count <= PAGES_FEW ? few : malloc(count * sizeof *narrow);
    if (!narrow)
        return TARGET_NO_MEMORY;
    enum target_error error = TARGET_OK;
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        memset(&out[i], 0, sizeof out[i]);
        out[i].error = modes_narrow(translate->modes, client, cpu, pages[i], &narrow[i]);
        narrow[i] &= TARGET_PAGE_MASK;
        if (out[i].error == TARGET_OK)
            out[i].error = TARGET_FAILED; /* to be found */
        else if (out[i].error != TARGET_FAULT)
            error = out[i].error;
    }
    if (error == TARGET_OK)
        error = find_pages(translate, client, cpu, narrow, count, out);
    for (size_t i = 0; i < count && error == TARGET_OK; i++)
        if (out[i].error == TARGET_OK)
            out[i].physical += pages[i] & ~TARGET_PAGE_MASK;
    if (error == TARGET_OK)
        error = find_regions(translate, client, out, count);
    if (narrow != few)
        free(narrow);
    return error;
}

/* What was found by our own eyes must be what the target's debugger finds. */
static bool confirmed(struct translate *translate, target_client client, unsigned cpu,
                      uint64_t address, uint64_t physical)
{
    const uint64_t page = address & TARGET_PAGE_MASK;
    struct target_translation answer;
    return translate_pages(translate, client, cpu, &page, 1, &answer) == TARGET_OK &&
           answer.error == TARGET_OK && answer.physical == (physical & TARGET_PAGE_MASK);
}

bool translate_hole_seen(struct translate *translate, target_client client, unsigned cpu,
                         uint64_t *address)
{
    struct page_walk_mode mode;
    uint64_t found, physical;
    if (!translate->stub->x86 || walker_refused(translate->walker) ||
        modes_stance(translate->modes, client, cpu, &mode) != TARGET_OK || mode.smm ||
        !mode.known || mode.levels == 0 ||
        !hole_search(translate->walker, translate->known, translate->map, client, &mode, &found,
                     &physical) ||
        !confirmed(translate, client, cpu, found, physical))
        return false;
    *address = found;
    return true;
}
