#include "upstream/translate/translate_internal.h"

#include "upstream/link/qmp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Up to this many pages are looked up without asking for memory. */
#define PAGES_FEW 8

struct translate *translate_new(struct stub *stub)
{
    struct translate *translate = calloc(1, sizeof *translate);
    if (translate)
        translate->stub = stub;
    return translate;
}

void translate_free(struct translate *translate)
{
    if (!translate)
        return;
    translate_forget(translate);
    memory_map_free(&translate->map);
    buffer_free(&translate->map_checked);
    free(translate->modes);
    free(translate->stances);
    free(translate);
}

void translate_map_changed(struct translate *translate)
{
    translate_memory_changed(translate);
    translate->map_valid = false;
    translate->map_changes++;
}

void translate_all_changed(struct translate *translate)
{
    translate_map_changed(translate);
    translate->map_of_checked = false;
    free(translate->modes);
    translate->modes = NULL;
    translate->modes_count = 0;
    free(translate->stances);
    translate->stances = NULL;
    translate->stances_count = 0;
    translate->walk_checked = translate->walk_refused = false;
    translate->asked = 0;
    translate->mode_changes++;
}

uint64_t translate_epoch(struct translate *translate)
{
    if (translate_running(translate))
        translate->epoch++;
    return translate->epoch;
}

/* Those that were found before; returns how many are left to be found. */
static size_t pages_by_cache(struct translate *translate, unsigned cpu, const uint64_t *pages,
                             size_t count, struct target_translation *out)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (out[i].error != TARGET_FAILED)
            continue;
        if (!translate_recall(translate, cpu, pages[i], &out[i]))
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
    bool qemu = translate->stub->qemu;
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || out[i].error == TARGET_OK;
    enum target_error error = any && qemu ? translate_fresh_map(translate, client) : TARGET_OK;
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        if (out[i].error != TARGET_OK)
            continue;
        if (qemu) {
            memory_map_find(&translate->map, out[i].physical, &out[i].region);
            if (out[i].region.unknown || out[i].region.kind == REGION_NONE)
                error = translate_classify(translate, client, out[i].physical, &out[i].region);
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
    if (!translate_running(translate)) {
        if (pages_by_cache(translate, cpu, pages, count, out) == 0)
            return TARGET_OK;
        error = translate_by_walk(translate, client, cpu, pages, count, out);
    }
    if (error == TARGET_OK)
        error = translate_running(translate)
                    ? TARGET_RUNNING
                    : translate_by_stub(translate, client, cpu, pages, count, out);
    const struct qmp *qmp = translate->stub->monitor.qmp;
    if (error == TARGET_RUNNING && stub->qemu && qmp && qmp_connected(qmp))
        error = translate_by_monitor(translate, client, cpu, pages, count, out);
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
        out[i].error = translate_narrow(translate, client, cpu, pages[i], &narrow[i]);
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
