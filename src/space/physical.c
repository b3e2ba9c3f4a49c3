/* The calls on physical memory: what each region allows, and by which accesses. */
#include "space/behind.h"
#include "space/call.h"
#include "space/core.h"
#include "space/flush.h"
#include "space/session.h"
#include "space/transfer.h"

#include "spacebridge/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* One packet's worth is the target's business; this bounds what is handed over at once. */
#define BULK_PIECE ((size_t)64 * 1024)
#define BULK_RUNS  16

/* Does the flag match how the region is advertised? Pure. */
static bool flag_allowed(uint32_t flags, const struct target_region *region)
{
    switch (flags) {
    case DEBUG_PHYSICAL_CACHED:
        if (region->unknown)
            return true; /* it may be RAM: nobody can say that the flag does not match */
        return (region->kind == REGION_RAM || region->kind == REGION_ROM) && !region->pci_bar;
    case DEBUG_PHYSICAL_UNCACHED:
        return region->kind == REGION_DEVICE || region->pci_bar || region->unknown;
    case DEBUG_PHYSICAL_WRITE_COMBINED:
        return region->pci_bar && region->prefetchable;
    default:
        return true;
    }
}

/* May this region be accessed so? Pure. False: the call stops there, or is refused if nothing was
 * done yet. */
static bool region_allows(struct call *call, uint32_t flags, const struct target_region *region)
{
    const char *name = region->name[0] ? region->name : region_kind_text(region->kind);
    bool write = call->fault == SB_ERROR_WRITE_FAULT;

    if (region->kind == REGION_NONE) {
        call_stop(call, TARGET_FAULT, "nothing answers there");
        return false;
    }
    if (!flag_allowed(flags, region)) {
        if (call->done)
            call_stop(call, TARGET_INVALID, "%s does not match %s, a %s region%s",
                      physical_flags_constant(flags), name, region_kind_text(region->kind),
                      region->pci_bar ? " in a PCI BAR" : "");
        else
            call_refuse(call, E_INVALIDARG, "%s does not match %s, a %s region%s",
                        physical_flags_constant(flags), name, region_kind_text(region->kind),
                        region->pci_bar ? " in a PCI BAR" : "");
        return false;
    }
    if (region->unreachable) {
        call_stop(call, TARGET_FAULT, "nothing upstream can reach %s", name);
        return false;
    }
    if (write && region->kind == REGION_ROM) {
        call_stop(call, TARGET_FAULT, "%s is ROM", name);
        return false;
    }
    return true;
}

static bool access_is_natural(uint32_t flags, const struct target_region *region)
{
    if (flags == DEBUG_PHYSICAL_UNCACHED)
        return true;
    if (flags == DEBUG_PHYSICAL_WRITE_COMBINED)
        return false;
    return region->kind == REGION_DEVICE;
}

/* length bytes of one region, in bulk. */
static enum target_error transfer_bulk(struct session *session, bool write, uint64_t physical,
                                       uint8_t *bytes, size_t length, size_t *done)
{
    struct target *target = session->space->target;
    enum target_error error = TARGET_OK;

    for (*done = 0; *done < length && !error;) {
        struct target_span span[BULK_RUNS];
        size_t count = 0, at = *done;
        while (at < length && count < BULK_RUNS) {
            size_t piece = BULK_PIECE - (size_t)((physical + at) % BULK_PIECE);
            if (piece > length - at)
                piece = length - at;
            span[count++] = (struct target_span){
                .address = physical + at, .bytes = bytes + at, .length = piece};
            at += piece;
        }
        if (write) {
            target->memory->write_physical(target, session->client, TARGET_ACCESS_BULK, span,
                                           count);
            session_changed(session, WRITE_PHYSICAL, 0, physical + *done, at - *done);
        } else {
            target->memory->read_physical(target, session->client, TARGET_ACCESS_BULK, span, count);
        }
        for (size_t i = 0; i < count && !error; i++) {
            *done += span[i].done;
            if (span[i].done < span[i].length)
                error = span[i].error ? span[i].error : TARGET_FAILED;
        }
    }
    return error;
}

static void transfer_region(struct call *call, uint32_t flags, const struct target_region *region,
                            uint8_t *bytes)
{
    struct session *session = call->session;
    bool write = call->fault == SB_ERROR_WRITE_FAULT;
    uint64_t physical = call->offset + call->done;
    size_t length = call->size - call->done, done;
    char reason[SESSION_REASON_SIZE] = "";
    enum target_error error;

    if (region->last - physical < length - 1)
        length = (size_t)(region->last - physical) + 1;
    const struct natural natural = {region, NULL, physical, bytes, length};
    if (!access_is_natural(flags, region))
        error = transfer_bulk(session, write, physical, bytes, length, &done);
    else if (write)
        error = transfer_write_natural(session, &natural, WRITE_PHYSICAL, 0, &done, reason);
    else
        error = transfer_read_natural(session, &natural, &done, reason);
    if (write && region->kind == REGION_DEVICE)
        session_device_written(session, WRITE_PHYSICAL);
    call->done += done;
    if (error)
        call_stop(call, error, "%s", reason[0] ? reason : target_error_text(error));
}

/* The region of the next byte. False: the call stops here. */
static bool next_region(struct call *call, uint32_t flags, struct target_region *region)
{
    struct session *session = call->session;
    struct target *target = session->space->target;
    uint64_t at = call->offset + call->done;

    enum target_error error = target->memory->classify(target, session->client, at, region);
    if (!error && (at < region->first || at > region->last))
        error = TARGET_FAILED;
    if (error) {
        call_stop(call, error, NULL);
        return false;
    }
    return region_allows(call, flags, region);
}

/* What the call's parameters and the target allow at all. */
static bool physical_may_start(struct call *call, uint32_t flags)
{
    struct target *target = call->session->space->target;

    if (flags > DEBUG_PHYSICAL_WRITE_COMBINED) {
        call_refuse(call, E_INVALIDARG, "Flags %" PRIu32 " is not a DEBUG_PHYSICAL value", flags);
        return false;
    }
    enum target_error error = session_memory_ready(call->session, false);
    if (error != TARGET_GONE && !target->about->info(target)->physical) {
        call_refuse(call, E_NOTIMPL, "this target has no physical space");
        return false;
    }
    if (!call->size)
        return false;
    if (error)
        call_stop(call, error, NULL);
    return !error;
}

static HRESULT transfer_physical(struct call *call, uint32_t flags, uint8_t *bytes, uint32_t *done)
{
    struct session *session = call->session;
    bool write = call->fault == SB_ERROR_WRITE_FAULT;
    struct target_region region;

    if (!physical_may_start(call, flags) || !next_region(call, flags, &region))
        return call_finish(call, done);
    /* A refused call changes nothing; an accepted write finds the view's bytes in memory. */
    if (write && (session->copies.view.dirty_bytes || session->flushing)) {
        HRESULT hr = flush_before(session, call->name, call->offset);
        if (FAILED(hr)) {
            if (done)
                *done = 0;
            return hr;
        }
        if (!next_region(call, flags, &region))
            return call_finish(call, done);
    }
    do
        transfer_region(call, flags, &region, bytes + call->done);
    while (!call->error && call->done < call->size && next_region(call, flags, &region));
    return call_finish(call, done);
}

HRESULT session_read_physical(struct session *session, const char *name, uint64_t offset,
                              uint32_t flags, void *buffer, uint32_t size, uint32_t *done)
{
    struct call call;
    behind_settle(session);
    call_begin_read(&call, session, name, offset, size);
    return transfer_physical(&call, flags, buffer, done);
}

HRESULT session_write_physical(struct session *session, const char *name, uint64_t offset,
                               uint32_t flags, const void *buffer, uint32_t size, uint32_t *done)
{
    struct call call;
    call_begin_write(&call, session, name, offset, size);
    return transfer_physical(&call, flags, (uint8_t *)buffer, done);
}
