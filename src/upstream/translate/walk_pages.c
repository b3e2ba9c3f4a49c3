/* Where pages lie, by a walk of our own through the page tables of a halted x86-64 processor:
 * quicker than asking for each page, and it is known then which memory the answers hang on. */
#include "upstream/translate/walk_pages.h"

#include "base/log.h"
#include "upstream/machine/transfer.h"
#include "upstream/translate/ask_pages.h"

#include <stdlib.h>

#define ROOM "target"

/* To walk costs a few reads before the first page is found: a page or two in one halt are asked
 * for. */
#define WALK_LEAST 8
#define ASKED_MOST 3

struct walker {
    struct stub *stub;
    struct known *known;
    struct fresh_map *map;
    struct modes *modes;
    unsigned asked;        /* calls in this halt that the stub answered */
    bool checked, refused; /* our walk finds what the stub's does; it does not */
};

struct walker *walker_new(struct stub *stub, struct known *known, struct fresh_map *map,
                          struct modes *modes)
{
    struct walker *walker = calloc(1, sizeof *walker);
    if (walker)
        *walker = (struct walker){.stub = stub, .known = known, .map = map, .modes = modes};
    return walker;
}

void walker_free(struct walker *walker)
{
    free(walker);
}

void walker_changed(struct walker *walker)
{
    walker->checked = walker->refused = false;
    walker->asked = 0;
}

bool walker_refused(const struct walker *walker)
{
    return walker->refused;
}

bool walker_read_table(struct walker *walker, target_client client, uint64_t page)
{
    struct target_region region;
    if (fresh_map_load(walker->map, client) != TARGET_OK)
        return false;
    fresh_map_find(walker->map, page, &region);
    if ((region.kind != REGION_RAM && region.kind != REGION_ROM) || region.unreachable ||
        region.unknown || region.last - page < PAGE_WALK_TABLE_SIZE - 1)
        return false;
    uint8_t bytes[PAGE_WALK_TABLE_SIZE];
    struct target_span span = {.address = page, .bytes = bytes, .length = sizeof bytes};
    struct transfer_settings settings = {.stub = walker->stub,
                                         .client = client,
                                         .space = RSP_SPACE_PHYSICAL,
                                         .address_mask = UINT64_MAX};
    uint64_t epoch = known_epoch(walker->known);
    struct known_reading reading = {.page = page};
    known_begin_reading(walker->known, &reading);
    enum target_error error = transfer_spans(&settings, &span, 1);
    known_end_reading(walker->known, &reading);
    /* Another task may have read the same one meanwhile. */
    if (error != TARGET_OK || stub_running(walker->stub) || known_epoch(walker->known) != epoch ||
        known_table(walker->known, page))
        return error == TARGET_OK && known_table(walker->known, page) != NULL;
    return known_keep_table(walker->known, page, bytes);
}

/* One page. False: it cannot be told so. */
static bool walk_page(struct walker *walker, target_client client,
                      const struct page_walk_mode *mode, uint64_t page,
                      struct target_translation *out)
{
    for (unsigned tries = 0; tries <= 2 * mode->levels; tries++) {
        uint64_t physical = 0;
        enum page_walk_result result = page_walk(mode, page, known_table, walker->known, &physical);
        if (result != PAGE_WALK_NEEDS) {
            known_answer(out, result == PAGE_WALK_MAPPED, physical);
            return true;
        }
        uint64_t epoch = known_epoch(walker->known);
        if (!walker_read_table(walker, client, physical) && known_epoch(walker->known) == epoch)
            return false;
        /* Where things moved meanwhile it is walked anew: were the stub asked, every write would
         * count from then on, and forget the tables while they are being read again. */
    }
    return false;
}

/* Once for each halt: does the stub find the same? It may see what we do not (nested paging). */
static enum target_error check_walk(struct walker *walker, target_client client, unsigned cpu,
                                    uint64_t page, const struct target_translation *walked)
{
    struct target_translation asked = {.error = TARGET_FAILED};
    bool blind = known_blind(walker->known);
    uint64_t epoch = known_epoch(walker->known);
    enum target_error error =
        ask_pages_by_stub(walker->stub, walker->known, client, cpu, &page, 1, &asked);
    if (error != TARGET_OK || known_epoch(walker->known) != epoch)
        return error;
    if (!blind)
        known_take_back(walker->known, cpu, page);
    walker->refused = asked.error != walked->error ||
                      (asked.error == TARGET_OK && asked.physical != walked->physical);
    if (walker->refused)
        log_debug(ROOM, "page tables are left to the stub");
    walker->checked = true;
    return TARGET_OK;
}

enum target_error walker_find(struct walker *walker, target_client client, unsigned cpu,
                              const uint64_t *pages, size_t count, struct target_translation *out)
{
    const struct stub *stub = walker->stub;
    struct page_walk_mode mode;
    if (count < WALK_LEAST && walker->asked < ASKED_MOST) {
        walker->asked++;
        return TARGET_OK;
    }
    if (!stub->qemu || !stub->x86 || walker->refused ||
        modes_stance(walker->modes, client, cpu, &mode) != TARGET_OK || mode.smm || !mode.known)
        return TARGET_OK;
    for (size_t i = 0; i < count && !walker->refused; i++) {
        if (out[i].error != TARGET_FAILED || known_recall(walker->known, cpu, pages[i], &out[i]))
            continue;
        if (!walk_page(walker, client, &mode, pages[i], &out[i]))
            return TARGET_OK;
        enum target_error error = TARGET_OK;
        if (!walker->checked)
            error = check_walk(walker, client, cpu, pages[i], &out[i]);
        if (walker->checked && !walker->refused &&
            walk_page(walker, client, &mode, pages[i], &out[i]))
            known_keep(walker->known, cpu, pages[i], out[i].error == TARGET_OK, out[i].physical);
        if (walker->refused || error != TARGET_OK)
            out[i].error = TARGET_FAILED;
        if (error != TARGET_OK)
            return error;
    }
    return TARGET_OK;
}
