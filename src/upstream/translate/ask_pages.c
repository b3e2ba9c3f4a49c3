/* Where pages lie, asked of the target: many at once of the stub, or one by one through QMP. */
#include "upstream/translate/ask_pages.h"

#include "base/buffer.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/monitor_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "target"

/* Pages asked for at once. */
#define SLOTS 32

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
    struct stub *stub;
    struct known *known;
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
    known_answer(out, answered == MONITOR_MAPPED, physical & TARGET_PAGE_MASK);
    if (slot->epoch == known_epoch(batch->known))
        known_keep_blind(batch->known, batch->cpu, page, answered == MONITOR_MAPPED, out->physical);
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
        rsp_client_fail(batch->stub->rsp, "the answer to a read of 1 byte is '%.40s'",
                        operation->reply);
        return;
    }
    known_answer(out, mapped, page);
    if (slot->epoch == known_epoch(batch->known))
        known_keep(batch->known, batch->cpu, page, mapped, page);
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
    const struct stub *stub = batch->stub;
    uint64_t page = batch->pages[batch->next];
    struct rsp_operation *operation = &slot->operation;
    *operation = (struct rsp_operation){
        .payload = slot->payload, .client = batch->client, .done = slot_done, .context = slot};
    if (stub->has_monitor) {
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
    slot->epoch = known_epoch(batch->known);
    return rsp_client_submit(stub->rsp, operation);
}

static void ask_more(struct batch *batch)
{
    unsigned most = 2 * rsp_client_depth(batch->stub->rsp);
    if (most > SLOTS)
        most = SLOTS;
    for (; batch->next < batch->count && batch->error == TARGET_OK; batch->next++) {
        struct target_translation *out = &batch->out[batch->next];
        if (out->error != TARGET_FAILED)
            continue; /* known */
        if (known_recall(batch->known, batch->cpu, batch->pages[batch->next], out))
            continue;
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

enum target_error ask_pages_by_stub(struct stub *stub, struct known *known, target_client client,
                                    unsigned cpu, const uint64_t *pages, size_t count,
                                    struct target_translation *out)
{
    size_t found = 0;
    while (found < count && out[found].error != TARGET_FAILED)
        found++;
    if (found == count)
        return TARGET_OK;
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return TARGET_NO_MEMORY;
    batch->stub = stub;
    batch->known = known;
    batch->client = client;
    batch->cpu = cpu;
    batch->pages = pages;
    batch->count = count;
    batch->out = out;
    batch->task = task_self();
    known_begin_asking(known);
    ask_more(batch);
    rsp_client_kick(stub->rsp);
    while (batch->busy > 0)
        task_suspend();
    known_end_asking(known);
    enum target_error error = batch->error;
    for (size_t i = 0; i < SLOTS; i++)
        buffer_free(&batch->slots[i].output);
    free(batch);
    return error;
}

enum target_error ask_pages_by_monitor(struct stub *stub, target_client client, unsigned cpu,
                                       const uint64_t *pages, size_t count,
                                       struct target_translation *out)
{
    struct buffer text = {0};
    enum target_error error = TARGET_OK;
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        char line[MONITOR_LINE_SIZE];
        uint64_t physical = 0;
        if (out[i].error != TARGET_FAILED)
            continue;
        monitor_text_gva2gpa(line, pages[i]);
        buffer_clear(&text);
        error = monitor_run(&stub->monitor, client, stub_monitor_cpu(stub, cpu), line, &text, NULL);
        if (error != TARGET_OK)
            break;
        switch (monitor_text_parse_gva2gpa(buffer_text(&text), &physical)) {
        case MONITOR_MAPPED:
            known_answer(&out[i], true, physical & TARGET_PAGE_MASK);
            break;
        case MONITOR_UNMAPPED:
            known_answer(&out[i], false, 0);
            break;
        case MONITOR_UNKNOWN:
            error = TARGET_FAILED;
        }
    }
    buffer_free(&text);
    return error;
}
