/* Which accesses this QEMU's stub reports as refused, found out at holes of the memory map. */
#include "upstream/ways/tells.h"

#include "base/log.h"
#include "upstream/machine/transfer.h"
#include "upstream/translate/translate.h"

#include <inttypes.h>

/* Searches of page tables for a hole, since the target was attached to. */
#define SEARCHES_MOST 8u

/* One access of one byte. */
static enum target_error access_byte(const struct way_context *context, target_client client,
                                     const struct target_seen *seen, uint64_t address, bool write)
{
    struct stub *stub = context->stub;
    uint8_t byte = 0;
    struct target_span span = {
        .address = seen ? seen->address : address, .bytes = &byte, .length = 1};
    struct transfer_settings settings = {.stub = stub,
                                         .client = client,
                                         .space = seen ? RSP_SPACE_VIRTUAL : RSP_SPACE_PHYSICAL,
                                         .thread = seen ? stub_memory_thread(stub, seen->cpu) : 0,
                                         .write = write,
                                         .natural = true,
                                         .address_mask = UINT64_MAX};
    return transfer_spans(&settings, &span, 1);
}

static const char *text_of(enum told told)
{
    return told == TELLS_YES ? "told" : told == TELLS_NO ? "not told" : "not known";
}

/* By physical addresses. A read goes first: where it is answered with bytes, nothing is written. */
static void try_physical(struct tells *tells, const struct way_context *context,
                         target_client client)
{
    uint64_t hole;
    if (!translate_hole(context->translate, client, &hole))
        return;
    enum target_error error = access_byte(context, client, NULL, hole, false);
    if (error == TARGET_FAULT)
        error = access_byte(context, client, NULL, hole, true);
    if (error != TARGET_OK && error != TARGET_FAULT)
        return; /* it runs, or is lost */
    tells->physical = error == TARGET_FAULT ? TELLS_YES : TELLS_NO;
    log_debug("target", "what a device refuses by physical address is %s (asked at 0x%" PRIx64 ")",
              text_of(tells->physical), hole);
}

/* By virtual addresses, at one of a hole. Every QEMU is told of a read there; one that is answered
 * with bytes is none, whatever the map says. */
static bool try_virtual(struct tells *tells, const struct way_context *context,
                        target_client client, const struct target_seen *hole)
{
    enum target_error error = access_byte(context, client, hole, 0, false);
    if (error == TARGET_OK)
        tells->virtual_read = TELLS_NO;
    if (error != TARGET_FAULT)
        return false;
    error = access_byte(context, client, hole, 0, true);
    if (error != TARGET_OK && error != TARGET_FAULT)
        return false;
    tells->virtual_read = TELLS_YES;
    tells->virtual_write = error == TARGET_FAULT ? TELLS_YES : TELLS_NO;
    log_debug("target",
              "what a device refuses by virtual address is told of reads, %s of writes (asked at "
              "0x%" PRIx64 ")",
              text_of(tells->virtual_write), hole->address);
    return true;
}

/* A device that does not fill its page: the rest of it is a hole that is seen as well. */
static bool hole_beside(const struct way_context *context, target_client client,
                        const struct target_seen *seen, uint64_t physical, struct target_seen *hole)
{
    struct target_region region;
    const uint64_t page = physical & TARGET_PAGE_MASK;
    for (uint64_t at = page; at - page < TARGET_PAGE_SIZE; at = region.last + 1) {
        if (translate_classify(context->translate, client, at, &region) != TARGET_OK)
            return false;
        *hole = (struct target_seen){.cpu = seen->cpu, .address = seen->address - physical + at};
        if (region.kind == REGION_NONE)
            return true;
        if (region.last - page >= TARGET_PAGE_SIZE)
            break;
    }
    return false;
}

/* A hole that is seen at its own address: without paging, and where all is mapped one to one. */
static bool hole_itself(const struct way_context *context, target_client client, unsigned cpu,
                        struct target_seen *hole)
{
    uint64_t physical, page;
    struct target_translation found;
    if (!translate_hole(context->translate, client, &physical))
        return false;
    page = physical & TARGET_PAGE_MASK;
    *hole = (struct target_seen){.cpu = cpu, .address = physical};
    return translate_pages(context->translate, client, cpu, &page, 1, &found) == TARGET_OK &&
           found.error == TARGET_OK && found.physical == page;
}

/* Find out by whichever hole this processor sees. */
static void find_virtual(struct tells *tells, const struct way_context *context,
                         target_client client, const struct target_seen *seen, uint64_t physical)
{
    struct target_seen hole;
    if (hole_beside(context, client, seen, physical, &hole) &&
        try_virtual(tells, context, client, &hole))
        return;
    if (tells->searches >= SEARCHES_MOST)
        return;
    tells->searches++;
    if (hole_itself(context, client, seen->cpu, &hole) &&
        try_virtual(tells, context, client, &hole))
        return;
    hole.cpu = seen->cpu;
    if (translate_hole_seen(context->translate, client, seen->cpu, &hole.address))
        try_virtual(tells, context, client, &hole);
}

/* May the virtual address be used in place of the physical one? */
static bool same_space(const struct way_context *context, target_client client,
                       const struct target_seen *seen, struct target_seen *narrow)
{
    bool plain = false;
    *narrow = *seen;
    return translate_plain(context->translate, client, seen->cpu, &plain) == TARGET_OK && plain &&
           translate_narrow(context->translate, client, seen->cpu, seen->address,
                            &narrow->address) == TARGET_OK;
}

enum tells_by tells_find(struct tells *tells, const struct way_context *context,
                         target_client client, const struct target_seen *seen, uint64_t physical,
                         bool write, struct target_seen *narrow)
{
    if (stub_running(context->stub))
        return TELLS_BY_NONE;
    if (tells->physical == TELLS_UNKNOWN)
        try_physical(tells, context, client);
    if (tells->physical == TELLS_YES)
        return TELLS_BY_PHYSICAL;
    const enum told *by_virtual = write ? &tells->virtual_write : &tells->virtual_read;
    if (!seen || *by_virtual == TELLS_NO || !same_space(context, client, seen, narrow))
        return TELLS_BY_NONE;
    if (tells->virtual_write == TELLS_UNKNOWN)
        find_virtual(tells, context, client, narrow, physical);
    /* All that were measured tell of reads (7.2, 10.0, 11.1): one that is not known not to is
     * believed. A write is not, for where it is not told it is lost besides. */
    return *by_virtual == TELLS_YES || (!write && *by_virtual == TELLS_UNKNOWN) ? TELLS_BY_VIRTUAL
                                                                                : TELLS_BY_NONE;
}
