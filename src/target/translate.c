/* Pages are the keys, alone or with a processor's number behind them: multiplying spreads them, in
 * a fraction of what a hash of any bytes takes. */
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = page_hash(keyptr, keylen))

#include "target/translate.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/task.h"
#include "rsp/hex.h"
#include "target/memory_map.h"
#include "target/monitor_text.h"
#include "target/page_walk.h"
#include "target/qmp.h"
#include "target/transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define ROOM "target"

/* Entries beyond which the cache starts anew: a bound, not a policy. */
#define ENTRIES_MOST 65536
/* Page tables that are kept: these are enough for 4 GiB in small pages. */
#define TABLES_MOST 2048
/* To walk costs a few reads before the first page is found: a page or two in one halt are asked
 * for.
 */
#define WALK_LEAST 8
#define ASKED_MOST 3
/* Pages asked for at once. */
#define SLOTS 32
/* Up to this many pages are looked up without asking for memory. */
#define PAGES_FEW 8
/* "memory" is what a processor's physical accesses without special attributes see. */
/* Characters of a map from which on it is asked for by QMP: there are thousands of ranges then. */
#define LONG_TEXT     ((size_t)64 * 1024)
#define ADDRESS_SPACE "memory"
#define EFER_REGISTER "p20"
#define EFER_LMA      0x400u

struct key {
    uint64_t page;
    uint64_t cpu;
};

static unsigned page_hash(const void *key, size_t length)
{
    uint64_t words[2] = {0};
    memcpy(words, key, length);
    return (unsigned)(((words[0] ^ words[1]) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* Where a page lies, or that it lies nowhere. */
struct entry {
    struct key key;
    bool mapped;
    uint64_t physical;
    UT_hash_handle hh;
};

/* A page table as it was read. */
struct table {
    uint64_t page;
    UT_hash_handle hh;
    uint8_t bytes[PAGE_WALK_TABLE_SIZE];
};

/* A table that is being read: a write to it meanwhile counts as a write to a table. */
struct reading {
    uint64_t page;
    struct reading *prev, *next;
};

/* How a processor of an x86 machine stands. */
struct stance {
    bool known;
    struct page_walk_mode mode;
};

struct translate {
    const struct monitor *monitor;
    struct entry *entries;
    bool blind;      /* some of them the stub found: whichever tables it used */
    unsigned asking; /* callers whose questions the stub is about to answer: as blind */
    struct reading *readings;
    struct table *tables;
    struct stance *stances; /* of each processor */
    unsigned stances_count;
    unsigned asked;                  /* calls in this halt that the stub answered */
    bool walk_checked, walk_refused; /* our walk finds what the stub's does; it does not */
    bool secure;                     /* there is memory that only a secure world sees */
    uint64_t epoch;
    struct memory_map map;
    bool map_valid;
    size_t map_text; /* characters that it was last read from */
    uint64_t map_changes;
    struct task_mutex map_loading;
    /* pointer sizes of x86-64 processors, 0 where not known */
    uint8_t *modes;
    unsigned modes_count;
    uint64_t mode_changes;
};

struct translate *translate_new(const struct monitor *monitor)
{
    struct translate *translate = calloc(1, sizeof *translate);
    if (translate)
        translate->monitor = monitor;
    return translate;
}

static void forget_entries(struct translate *translate)
{
    struct entry *entry, *next;
    struct table *table, *next_table;
    HASH_ITER(hh, translate->tables, table, next_table)
    {
        HASH_DEL(translate->tables, table);
        free(table);
    }
    translate->blind = false;
    HASH_ITER(hh, translate->entries, entry, next)
    {
        HASH_DEL(translate->entries, entry);
        free(entry);
    }
}

void translate_free(struct translate *translate)
{
    if (!translate)
        return;
    forget_entries(translate);
    memory_map_free(&translate->map);
    free(translate->modes);
    free(translate->stances);
    free(translate);
}

void translate_memory_changed(struct translate *translate)
{
    translate->epoch++;
    forget_entries(translate);
}

/* There are too many. Answers that were given go on being believed above, and from now on nobody
 * knows which tables they hang on: any write counts. */
static void forget_some(struct translate *translate)
{
    translate_memory_changed(translate);
    translate->blind = true;
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

uint64_t translate_changes(const struct translate *translate)
{
    return translate->map_changes;
}

/* May a table that was used lie there? */
static bool holds_table(struct translate *translate, uint64_t physical, size_t length)
{
    struct table *table, *next;
    struct reading *reading;
    bool blind = translate->blind || translate->asking > 0;
    uint64_t first = physical & TARGET_PAGE_MASK, last = physical + (length - 1);
    DL_FOREACH(translate->readings, reading)
    {
        if (reading->page >= first && (reading->page <= last || last < physical))
            return true;
    }
    if (blind || last < physical || length / TARGET_PAGE_SIZE > TABLES_MOST) {
        HASH_ITER(hh, translate->tables, table, next)
        {
            if (table->page >= first && (table->page <= last || last < physical))
                return true;
        }
        return blind;
    }
    for (uint64_t page = first; page <= last && page >= first; page += TARGET_PAGE_SIZE) {
        HASH_FIND(hh, translate->tables, &page, sizeof page, table);
        if (table)
            return true;
    }
    return false;
}

void translate_written(struct translate *translate, const struct target_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (runs[i].length > 0 && holds_table(translate, runs[i].address, runs[i].length)) {
            translate_memory_changed(translate);
            return;
        }
    }
}

static bool running(const struct translate *translate)
{
    return rsp_client_running(translate->monitor->stub->rsp);
}

uint64_t translate_epoch(struct translate *translate)
{
    if (running(translate))
        translate->epoch++;
    return translate->epoch;
}

/* The cache */

static struct entry *find(struct translate *translate, unsigned cpu, uint64_t page)
{
    struct key key = {.page = page, .cpu = cpu};
    struct entry *entry;
    HASH_FIND(hh, translate->entries, &key, sizeof key, entry);
    return entry;
}

/* Being out of memory is no reason to fail: it is asked for again next time. */
static void keep(struct translate *translate, unsigned cpu, uint64_t page, bool mapped,
                 uint64_t physical)
{
    if (find(translate, cpu, page))
        return;
    if (HASH_COUNT(translate->entries) >= ENTRIES_MOST)
        forget_some(translate);
    struct entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    entry->key = (struct key){.page = page, .cpu = cpu};
    entry->mapped = mapped;
    entry->physical = physical;
    HASH_ADD(hh, translate->entries, key, sizeof entry->key, entry);
}

void translate_written_virtual(struct translate *translate, unsigned cpu,
                               const struct target_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t page = runs[i].address & TARGET_PAGE_MASK;
        const struct entry *entry = find(translate, cpu, page);
        if (runs[i].length == 0)
            continue;
        if (!entry || !entry->mapped ||
            runs[i].length > TARGET_PAGE_SIZE - (runs[i].address - page) ||
            holds_table(translate, entry->physical, TARGET_PAGE_SIZE)) {
            translate_memory_changed(translate);
            return;
        }
    }
}

/* The memory map */

/* A question whose answer is about as long as the last map was. */
static enum target_error ask_map(struct translate *translate, target_client client,
                                 const char *command, struct buffer *text, char *message,
                                 size_t size)
{
    return translate->map_text >= LONG_TEXT
               ? monitor_run_long(translate->monitor, client, command, text, message, size)
               : monitor_run(translate->monitor, client, -1, command, text, message, size);
}

static enum target_error load_map(struct translate *translate, target_client client)
{
    struct buffer tree = {0}, pci = {0};
    char message[256];
    enum target_error error =
        ask_map(translate, client, "info mtree -f", &tree, message, sizeof message);
    if (error == TARGET_OK)
        error = ask_map(translate, client, "info pci", &pci, message, sizeof message);
    if (error != TARGET_OK)
        goto done;
    translate->map_text = tree.length;
    const char *buses = pci.length > 0 ? (const char *)buffer_bytes(&pci) : "";
    if (strncmp(buses, "unknown command", strlen("unknown command")) == 0)
        buses = "";
    const char *ranges = tree.length > 0 ? (const char *)buffer_bytes(&tree) : "";
    translate->secure = strstr(ranges, "AS \"cpu-secure-memory") != NULL;
    if (!memory_map_parse(&translate->map, ranges, ADDRESS_SPACE, buses, message, sizeof message))
        error = TARGET_FAILED;
done:
    if (error != TARGET_OK && error != TARGET_RUNNING && error != TARGET_GONE)
        log_warning(ROOM, "cannot read the target's memory map: %s", message);
    buffer_free(&tree);
    buffer_free(&pci);
    return error;
}

/* See that the map is as fresh as it can be. It may be used until the caller suspends. */
static enum target_error fresh_map(struct translate *translate, target_client client)
{
    if (!translate->monitor->stub->qemu)
        return TARGET_UNSUPPORTED;
    if (translate->map_valid)
        return TARGET_OK;
    task_mutex_lock(&translate->map_loading);
    enum target_error error = TARGET_OK;
    while (error == TARGET_OK && !translate->map_valid) {
        uint64_t changes = translate->map_changes;
        error = load_map(translate, client);
        /* A running guest can move its map at any time: good for this call only. */
        if (error == TARGET_OK && running(translate))
            break;
        translate->map_valid = error == TARGET_OK && translate->map_changes == changes;
    }
    task_mutex_unlock(&translate->map_loading);
    return error;
}

enum target_error translate_classify(struct translate *translate, target_client client,
                                     uint64_t physical, struct target_region *out)
{
    enum target_error error = fresh_map(translate, client);
    if (error == TARGET_OK)
        memory_map_find(&translate->map, physical, out);
    return error;
}

enum target_error translate_has_bus(struct translate *translate, target_client client, unsigned bus,
                                    bool *present)
{
    enum target_error error = fresh_map(translate, client);
    if (error == TARGET_OK)
        *present = memory_map_has_bus(&translate->map, bus);
    return error;
}

/* The width of a processor */

/* The monitor's text is the same while the target runs. */
static enum target_error efer_by_monitor(struct translate *translate, target_client client,
                                         unsigned cpu, uint64_t *efer)
{
    struct buffer text = {0};
    char message[128];
    enum target_error error = monitor_run(translate->monitor, client, (int)cpu, "info registers",
                                          &text, message, sizeof message);
    if (error == TARGET_OK) {
        const char *found = strstr((const char *)buffer_bytes(&text), "EFER=");
        if (found)
            found += strlen("EFER=");
        if (!found || !hex_number(efer, &found, found + strspn(found, "0123456789abcdefABCDEF")))
            error = TARGET_FAILED;
    }
    buffer_free(&text);
    return error;
}

static enum target_error efer_by_stub(struct translate *translate, target_client client,
                                      unsigned cpu, uint64_t *efer)
{
    const struct stub *stub = translate->monitor->stub;
    struct buffer reply = {0};
    /* Under KVM only g fetches the registers from the kernel, p shows what was fetched last. */
    struct rsp_operation all = {.payload = "g", .length = 1, .client = client};
    struct rsp_operation one = {
        .payload = EFER_REGISTER, .length = strlen(EFER_REGISTER), .client = client};
    all.thread = one.thread = stub->threads[cpu];
    enum target_error error = rsp_client_call(stub->rsp, &all, NULL);
    if (error == TARGET_OK)
        error = rsp_client_call(stub->rsp, &one, &reply);
    uint8_t bytes[8];
    if (error == TARGET_OK) {
        if (reply.length == 16 && hex_decode(bytes, (const char *)buffer_bytes(&reply), 16))
            *efer = (uint64_t)bytes[0] | (uint64_t)bytes[1] << 8;
        else
            error = TARGET_FAILED;
    }
    buffer_free(&reply);
    return error;
}

static enum target_error size_by_mode(struct translate *translate, target_client client,
                                      unsigned cpu, unsigned *size)
{
    const struct stub *stub = translate->monitor->stub;
    if (cpu < translate->modes_count && translate->modes[cpu] != 0) {
        *size = translate->modes[cpu];
        return TARGET_OK;
    }
    uint64_t changes = translate->mode_changes;
    uint64_t efer;
    enum target_error error = TARGET_RUNNING;
    if (!running(translate))
        error = efer_by_stub(translate, client, cpu, &efer);
    if (error == TARGET_RUNNING || error == TARGET_FAILED)
        error = efer_by_monitor(translate, client, cpu, &efer);
    if (error != TARGET_OK)
        return error;
    *size = efer & EFER_LMA ? 8 : 4;
    if (running(translate) || translate->mode_changes != changes)
        return TARGET_OK;
    if (!translate->modes) {
        translate->modes = calloc(stub->processors, 1);
        translate->modes_count = translate->modes ? stub->processors : 0;
    }
    if (cpu < translate->modes_count)
        translate->modes[cpu] = (uint8_t)*size;
    return TARGET_OK;
}

enum target_error translate_pointer_size(struct translate *translate, target_client client,
                                         unsigned cpu, unsigned *size)
{
    const struct stub *stub = translate->monitor->stub;
    if (cpu >= stub->processors)
        return TARGET_INVALID;
    if (!stub->known)
        return TARGET_UNSUPPORTED;
    if (stub->width == STUB_WIDTH_BY_MODE)
        return size_by_mode(translate, client, cpu, size);
    *size = stub->width == STUB_WIDTH_64 ? 8 : 4;
    return TARGET_OK;
}

enum target_error translate_narrow(struct translate *translate, target_client client, unsigned cpu,
                                   uint64_t address, uint64_t *narrow)
{
    const struct stub *stub = translate->monitor->stub;
    *narrow = address;
    if (address <= UINT32_MAX || !stub->known || stub->width == STUB_WIDTH_64)
        return TARGET_OK;
    unsigned size;
    enum target_error error = translate_pointer_size(translate, client, cpu, &size);
    if (error != TARGET_OK || size == 8)
        return error;
    if (address < (uint64_t)(int64_t)INT32_MIN)
        return TARGET_FAULT;
    *narrow = address & UINT32_MAX;
    return TARGET_OK;
}

/* How a processor stands */

bool translate_one_space(const struct translate *translate)
{
    const struct stub *stub = translate->monitor->stub;
    if (!stub->qemu || !stub->known)
        return false;
    if (stub->x86)
        return true;
    return !translate->secure && (strcmp(stub->architecture, "aarch64") == 0 ||
                                  strncmp(stub->architecture, "arm", strlen("arm")) == 0 ||
                                  strncmp(stub->architecture, "powerpc", strlen("powerpc")) == 0 ||
                                  strncmp(stub->architecture, "ppc", strlen("ppc")) == 0);
}

static enum target_error find_stance(struct translate *translate, target_client client,
                                     unsigned cpu, struct page_walk_mode *mode)
{
    const struct stub *stub = translate->monitor->stub;
    struct buffer text = {0};
    char message[128];
    if (cpu < translate->stances_count && translate->stances[cpu].known) {
        *mode = translate->stances[cpu].mode;
        return TARGET_OK;
    }
    uint64_t changes = translate->mode_changes;
    enum target_error error = monitor_run(translate->monitor, client, (int)cpu, "info registers",
                                          &text, message, sizeof message);
    if (error == TARGET_OK &&
        (text.length == 0 || !page_walk_parse(mode, (const char *)buffer_bytes(&text))))
        error = TARGET_FAILED;
    buffer_free(&text);
    if (error != TARGET_OK || running(translate) || translate->mode_changes != changes)
        return error;
    if (!translate->stances) {
        translate->stances = calloc(stub->processors, sizeof *translate->stances);
        translate->stances_count = translate->stances ? stub->processors : 0;
    }
    if (cpu < translate->stances_count)
        translate->stances[cpu] = (struct stance){.known = true, .mode = *mode};
    return TARGET_OK;
}

enum target_error translate_plain(struct translate *translate, target_client client, unsigned cpu,
                                  bool *plain)
{
    struct page_walk_mode mode;
    enum target_error error = fresh_map(translate, client);
    *plain = error == TARGET_OK && translate_one_space(translate);
    if (!*plain || !translate->monitor->stub->x86)
        return error;
    error = find_stance(translate, client, cpu, &mode);
    *plain = error == TARGET_OK && !mode.smm;
    return error;
}

/* Asking the stub for many pages at once */

struct batch;

struct slot {
    struct rsp_operation operation;
    struct batch *batch;
    size_t index;
    uint64_t epoch;
    bool busy;
    struct buffer output;
    char payload[MONITOR_PAYLOAD_SIZE];
};

struct batch {
    struct translate *translate;
    target_client client;
    unsigned cpu;
    const uint64_t *pages;
    size_t count, next;
    struct target_translation *out;
    enum target_error error; /* why nothing more is asked */
    unsigned busy;
    struct task *task;
    struct slot slots[SLOTS];
};

static void answer(struct target_translation *out, bool mapped, uint64_t physical)
{
    out->error = mapped ? TARGET_OK : TARGET_FAULT;
    out->physical = physical;
}

static void take_monitor_reply(struct slot *slot, struct target_translation *out, uint64_t page)
{
    struct batch *batch = slot->batch;
    const struct rsp_operation *operation = &slot->operation;
    uint64_t physical = 0;
    if (strcmp(operation->reply, "OK") != 0 || slot->output.length == 0) {
        batch->error = operation->reply_length == 0 ? TARGET_UNSUPPORTED : TARGET_FAILED;
        return;
    }
    enum monitor_translation answered =
        monitor_text_parse_gva2gpa((const char *)buffer_bytes(&slot->output), &physical);
    if (answered == MONITOR_UNKNOWN) {
        char message[80];
        log_warning(ROOM, "gva2gpa answers '%s'",
                    monitor_text_message((const char *)buffer_bytes(&slot->output), message,
                                         sizeof message));
        batch->error = TARGET_FAILED;
        return;
    }
    answer(out, answered == MONITOR_MAPPED, physical & TARGET_PAGE_MASK);
    if (slot->epoch == batch->translate->epoch) {
        keep(batch->translate, batch->cpu, page, answered == MONITOR_MAPPED, out->physical);
        batch->translate->blind = true;
    }
}

/* Without a monitor: a page is there when its first byte can be read. */
static void take_probe_reply(struct slot *slot, struct target_translation *out, uint64_t page)
{
    struct batch *batch = slot->batch;
    const struct rsp_operation *operation = &slot->operation;
    uint8_t byte;
    bool mapped = operation->reply_length == 2 && hex_decode(&byte, operation->reply, 2);
    if (operation->reply_length == 0) {
        batch->error = TARGET_UNSUPPORTED;
        return;
    }
    if (!mapped && operation->reply[0] != 'E') {
        rsp_client_fail(batch->translate->monitor->stub->rsp,
                        "the answer to a read of 1 byte is '%.40s'", operation->reply);
        return;
    }
    answer(out, mapped, page);
    if (slot->epoch == batch->translate->epoch)
        keep(batch->translate, batch->cpu, page, mapped, page);
}

static void ask_more(struct batch *batch);

static void slot_done(struct rsp_operation *operation)
{
    struct slot *slot = operation->context;
    struct batch *batch = slot->batch;
    struct target_translation *out = &batch->out[slot->index];
    uint64_t page = batch->pages[slot->index];
    if (operation->error != TARGET_OK)
        batch->error = operation->error;
    else if (operation->kind == RSP_COMMAND)
        take_monitor_reply(slot, out, page);
    else
        take_probe_reply(slot, out, page);
    slot->busy = false;
    batch->busy--;
    ask_more(batch);
    if (batch->busy == 0)
        task_wake(batch->task);
}

static enum target_error ask(struct batch *batch, struct slot *slot)
{
    const struct stub *stub = batch->translate->monitor->stub;
    uint64_t page = batch->pages[batch->next];
    struct rsp_operation *operation = &slot->operation;
    *operation = (struct rsp_operation){
        .payload = slot->payload, .client = batch->client, .done = slot_done, .context = slot};
    if (stub->qemu) {
        char line[MONITOR_LINE_SIZE];
        monitor_text_gva2gpa(line, page);
        buffer_clear(&slot->output);
        operation->kind = RSP_COMMAND;
        operation->output = &slot->output;
        operation->monitor_cpu = stub_monitor_cpu(stub, batch->cpu);
        operation->length = monitor_payload(slot->payload, line);
    } else {
        operation->kind = RSP_REQUEST;
        operation->length =
            (size_t)snprintf(slot->payload, sizeof slot->payload, "m%" PRIx64 ",1", page);
    }
    slot->batch = batch;
    slot->index = batch->next;
    slot->epoch = batch->translate->epoch;
    return rsp_client_submit(stub->rsp, operation);
}

static void ask_more(struct batch *batch)
{
    struct translate *translate = batch->translate;
    unsigned most = 2 * rsp_client_depth(translate->monitor->stub->rsp);
    if (most > SLOTS)
        most = SLOTS;
    for (; batch->next < batch->count && batch->error == TARGET_OK; batch->next++) {
        struct target_translation *out = &batch->out[batch->next];
        if (out->error != TARGET_FAILED)
            continue; /* known */
        struct entry *entry = find(translate, batch->cpu, batch->pages[batch->next]);
        if (entry) {
            answer(out, entry->mapped, entry->physical);
            continue;
        }
        if (batch->busy == most)
            return;
        struct slot *slot = batch->slots;
        while (slot->busy)
            slot++;
        batch->error = ask(batch, slot);
        if (batch->error != TARGET_OK)
            return;
        slot->busy = true;
        batch->busy++;
    }
}

/* out entries whose error is TARGET_FAILED are those to be found. */
static enum target_error pages_by_stub(struct translate *translate, target_client client,
                                       unsigned cpu, const uint64_t *pages, size_t count,
                                       struct target_translation *out)
{
    size_t known = 0;
    while (known < count && out[known].error != TARGET_FAILED)
        known++;
    if (known == count)
        return TARGET_OK;
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return TARGET_NO_MEMORY;
    batch->translate = translate;
    batch->client = client;
    batch->cpu = cpu;
    batch->pages = pages;
    batch->count = count;
    batch->out = out;
    batch->task = task_self();
    translate->asking++;
    ask_more(batch);
    rsp_client_kick(translate->monitor->stub->rsp);
    while (batch->busy > 0)
        task_suspend();
    translate->asking--;
    enum target_error error = batch->error;
    for (size_t i = 0; i < SLOTS; i++)
        buffer_free(&batch->slots[i].output);
    free(batch);
    return error;
}

/* By a walk of our own through the page tables of a halted x86-64 processor: quicker than asking
 * for each page, and it is known then which memory the answers hang on. */

static const uint8_t *table_at_hand(void *context, uint64_t page)
{
    struct translate *translate = context;
    struct table *table;
    HASH_FIND(hh, translate->tables, &page, sizeof page, table);
    return table ? table->bytes : NULL;
}

/* Read a table and keep it. False: it lies in no memory, or things moved meanwhile. */
static bool read_table(struct translate *translate, target_client client, uint64_t page)
{
    struct target_region region;
    if (fresh_map(translate, client) != TARGET_OK)
        return false;
    memory_map_find(&translate->map, page, &region);
    if ((region.kind != REGION_RAM && region.kind != REGION_ROM) || region.unreachable ||
        region.last - page < PAGE_WALK_TABLE_SIZE - 1)
        return false;
    struct table *table = calloc(1, sizeof *table);
    if (!table)
        return false;
    table->page = page;
    struct target_run run = {.address = page, .bytes = table->bytes, .length = sizeof table->bytes};
    struct transfer_settings settings = {.stub = translate->monitor->stub,
                                         .client = client,
                                         .space = RSP_SPACE_PHYSICAL,
                                         .address_mask = UINT64_MAX};
    uint64_t epoch = translate->epoch;
    struct reading reading = {.page = page};
    DL_APPEND(translate->readings, &reading);
    enum target_error error = transfer_runs(&settings, &run, 1);
    DL_DELETE(translate->readings, &reading);
    /* Another task may have read the same one meanwhile. */
    if (error != TARGET_OK || running(translate) || translate->epoch != epoch ||
        table_at_hand(translate, page)) {
        free(table);
        return error == TARGET_OK && table_at_hand(translate, page) != NULL;
    }
    if (HASH_COUNT(translate->tables) >= TABLES_MOST)
        forget_some(translate);
    HASH_ADD(hh, translate->tables, page, sizeof table->page, table);
    return true;
}

/* One page. False: it cannot be told so. */
static bool walk_page(struct translate *translate, target_client client,
                      const struct page_walk_mode *mode, uint64_t page,
                      struct target_translation *out)
{
    for (unsigned tries = 0; tries <= 2 * mode->levels; tries++) {
        uint64_t physical = 0;
        enum page_walk_result result = page_walk(mode, page, table_at_hand, translate, &physical);
        if (result != PAGE_WALK_NEEDS) {
            answer(out, result == PAGE_WALK_MAPPED, physical);
            return true;
        }
        uint64_t epoch = translate->epoch;
        if (!read_table(translate, client, physical) && translate->epoch == epoch)
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
    enum target_error error = pages_by_stub(translate, client, cpu, &page, 1, &asked);
    if (error != TARGET_OK || translate->epoch != epoch)
        return error;
    struct entry *entry = find(translate, cpu, page);
    if (entry && !blind) { /* it need not blind all others */
        HASH_DEL(translate->entries, entry);
        free(entry);
        translate->blind = false;
    }
    translate->walk_refused = asked.error != walked->error ||
                              (asked.error == TARGET_OK && asked.physical != walked->physical);
    if (translate->walk_refused)
        log_debug(ROOM, "page tables are left to the stub");
    translate->walk_checked = true;
    return TARGET_OK;
}

/* Pages that it cannot tell are left to be found. */
static enum target_error pages_by_walk(struct translate *translate, target_client client,
                                       unsigned cpu, const uint64_t *pages, size_t count,
                                       struct target_translation *out)
{
    const struct stub *stub = translate->monitor->stub;
    struct page_walk_mode mode;
    if (count < WALK_LEAST && translate->asked < ASKED_MOST) {
        translate->asked++;
        return TARGET_OK;
    }
    if (!stub->qemu || !stub->x86 || translate->walk_refused ||
        find_stance(translate, client, cpu, &mode) != TARGET_OK || mode.smm || !mode.known)
        return TARGET_OK;
    for (size_t i = 0; i < count && !translate->walk_refused; i++) {
        const struct entry *entry = find(translate, cpu, pages[i]);
        if (out[i].error != TARGET_FAILED)
            continue;
        if (entry) {
            answer(&out[i], entry->mapped, entry->physical);
            continue;
        }
        if (!walk_page(translate, client, &mode, pages[i], &out[i]))
            return TARGET_OK;
        enum target_error error = TARGET_OK;
        if (!translate->walk_checked)
            error = check_walk(translate, client, cpu, pages[i], &out[i]);
        if (translate->walk_checked && !translate->walk_refused &&
            walk_page(translate, client, &mode, pages[i], &out[i]))
            keep(translate, cpu, pages[i], out[i].error == TARGET_OK, out[i].physical);
        if (translate->walk_refused || error != TARGET_OK)
            out[i].error = TARGET_FAILED;
        if (error != TARGET_OK)
            return error;
    }
    return TARGET_OK;
}

/* Through QMP, while the target runs: nothing of it is kept. */
static enum target_error pages_by_monitor(struct translate *translate, target_client client,
                                          unsigned cpu, const uint64_t *pages, size_t count,
                                          struct target_translation *out)
{
    struct buffer text = {0};
    enum target_error error = TARGET_OK;
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        char line[MONITOR_LINE_SIZE], message[128];
        uint64_t physical = 0;
        if (out[i].error != TARGET_FAILED)
            continue;
        monitor_text_gva2gpa(line, pages[i]);
        buffer_clear(&text);
        error =
            monitor_run(translate->monitor, client, (int)cpu, line, &text, message, sizeof message);
        if (error != TARGET_OK)
            break;
        const char *printed = text.length > 0 ? (const char *)buffer_bytes(&text) : "";
        switch (monitor_text_parse_gva2gpa(printed, &physical)) {
        case MONITOR_MAPPED:
            answer(&out[i], true, physical & TARGET_PAGE_MASK);
            break;
        case MONITOR_UNMAPPED:
            answer(&out[i], false, 0);
            break;
        case MONITOR_UNKNOWN:
            error = TARGET_FAILED;
        }
    }
    buffer_free(&text);
    return error;
}

/* Those that were found before; returns how many are left to be found. */
static size_t pages_by_cache(struct translate *translate, unsigned cpu, const uint64_t *pages,
                             size_t count, struct target_translation *out)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (out[i].error != TARGET_FAILED)
            continue;
        const struct entry *entry = find(translate, cpu, pages[i]);
        if (entry)
            answer(&out[i], entry->mapped, entry->physical);
        else
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
    bool qemu = translate->monitor->stub->qemu;
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || out[i].error == TARGET_OK;
    enum target_error error = any && qemu ? fresh_map(translate, client) : TARGET_OK;
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        if (out[i].error != TARGET_OK)
            continue;
        if (qemu)
            memory_map_find(&translate->map, out[i].physical, &out[i].region);
        else
            ram_region(&out[i].region);
    }
    return error;
}

static enum target_error find_pages(struct translate *translate, target_client client, unsigned cpu,
                                    const uint64_t *pages, size_t count,
                                    struct target_translation *out)
{
    const struct stub *stub = translate->monitor->stub;
    enum target_error error = TARGET_RUNNING;
    if (!running(translate)) {
        if (pages_by_cache(translate, cpu, pages, count, out) == 0)
            return TARGET_OK;
        error = pages_by_walk(translate, client, cpu, pages, count, out);
    }
    if (error == TARGET_OK)
        error = running(translate) ? TARGET_RUNNING
                                   : pages_by_stub(translate, client, cpu, pages, count, out);
    const struct qmp *qmp = translate->monitor->qmp;
    if (error == TARGET_RUNNING && stub->qemu && qmp && qmp_connected(qmp))
        error = pages_by_monitor(translate, client, cpu, pages, count, out);
    return error;
}

enum target_error translate_pages(struct translate *translate, target_client client, unsigned cpu,
                                  const uint64_t *pages, size_t count,
                                  struct target_translation *out)
{
    const struct stub *stub = translate->monitor->stub;
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
