/* Where pages lie, by a walk of our own through the page tables of a halted x86-64 processor:
 * quicker than asking for each page, and it is known then which memory the answers hang on. */
#include "upstream/translate/translate_internal.h"

#include "base/log.h"
#include "upstream/machine/transfer.h"

#include <utlist.h>

/* To walk costs a few reads before the first page is found: a page or two in one halt are asked
 * for. */
#define WALK_LEAST 8
#define ASKED_MOST 3

bool translate_read_table(struct translate *translate, target_client client, uint64_t page)
{
    struct target_region region;
    if (translate_fresh_map(translate, client) != TARGET_OK)
        return false;
    memory_map_find(&translate->map, page, &region);
    if ((region.kind != REGION_RAM && region.kind != REGION_ROM) || region.unreachable ||
        region.unknown || region.last - page < PAGE_WALK_TABLE_SIZE - 1)
        return false;
    uint8_t bytes[PAGE_WALK_TABLE_SIZE];
    struct target_span run = {.address = page, .bytes = bytes, .length = sizeof bytes};
    struct transfer_settings settings = {.stub = translate->stub,
                                         .client = client,
                                         .space = RSP_SPACE_PHYSICAL,
                                         .address_mask = UINT64_MAX};
    uint64_t epoch = translate->epoch;
    struct reading reading = {.page = page};
    DL_APPEND(translate->readings, &reading);
    enum target_error error = transfer_runs(&settings, &run, 1);
    DL_DELETE(translate->readings, &reading);
    /* Another task may have read the same one meanwhile. */
    if (error != TARGET_OK || translate_running(translate) || translate->epoch != epoch ||
        translate_table(translate, page))
        return error == TARGET_OK && translate_table(translate, page) != NULL;
    return translate_keep_table(translate, page, bytes);
}

/* One page. False: it cannot be told so. */
static bool walk_page(struct translate *translate, target_client client,
                      const struct page_walk_mode *mode, uint64_t page,
                      struct target_translation *out)
{
    for (unsigned tries = 0; tries <= 2 * mode->levels; tries++) {
        uint64_t physical = 0;
        enum page_walk_result result = page_walk(mode, page, translate_table, translate, &physical);
        if (result != PAGE_WALK_NEEDS) {
            translate_answer(out, result == PAGE_WALK_MAPPED, physical);
            return true;
        }
        uint64_t epoch = translate->epoch;
        if (!translate_read_table(translate, client, physical) && translate->epoch == epoch)
            return false;
        /* Where things moved meanwhile it is walked anew: were the stub asked, every write would
         * count from then on, and forget the tables while they are being read again. */
    }
    return false;
}

/* Once for each halt: does the stub find the same? It may see what we do not (nested paging). */
static enum target_error check_walk(struct translate *translate, target_client client, unsigned cpu,
                                    uint64_t page, const struct target_translation *walked)
{
    struct target_translation asked = {.error = TARGET_FAILED};
    bool blind = translate->blind;
    uint64_t epoch = translate->epoch;
    enum target_error error = translate_by_stub(translate, client, cpu, &page, 1, &asked);
    if (error != TARGET_OK || translate->epoch != epoch)
        return error;
    if (!blind && translate_forget_page(translate, cpu, page))
        translate->blind = false; /* it need not blind all others */
    translate->walk_refused = asked.error != walked->error ||
                              (asked.error == TARGET_OK && asked.physical != walked->physical);
    if (translate->walk_refused)
        log_debug(ROOM, "page tables are left to the stub");
    translate->walk_checked = true;
    return TARGET_OK;
}

enum target_error translate_by_walk(struct translate *translate, target_client client, unsigned cpu,
                                    const uint64_t *pages, size_t count,
                                    struct target_translation *out)
{
    const struct stub *stub = translate->stub;
    struct page_walk_mode mode;
    if (count < WALK_LEAST && translate->asked < ASKED_MOST) {
        translate->asked++;
        return TARGET_OK;
    }
    if (!stub->qemu || !stub->x86 || translate->walk_refused ||
        translate_stance(translate, client, cpu, &mode) != TARGET_OK || mode.smm || !mode.known)
        return TARGET_OK;
    for (size_t i = 0; i < count && !translate->walk_refused; i++) {
        if (out[i].error != TARGET_FAILED || translate_recall(translate, cpu, pages[i], &out[i]))
            continue;
        if (!walk_page(translate, client, &mode, pages[i], &out[i]))
            return TARGET_OK;
        enum target_error error = TARGET_OK;
        if (!translate->walk_checked)
            error = check_walk(translate, client, cpu, pages[i], &out[i]);
        if (translate->walk_checked && !translate->walk_refused &&
            walk_page(translate, client, &mode, pages[i], &out[i]))
            translate_keep(translate, cpu, pages[i], out[i].error == TARGET_OK, out[i].physical);
        if (translate->walk_refused || error != TARGET_OK)
            out[i].error = TARGET_FAILED;
        if (error != TARGET_OK)
            return error;
    }
    return TARGET_OK;
}
