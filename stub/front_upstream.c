/* What the front knows of the upstream stub, and how it asks. */
#include "base/bytes.h"
#include "base/hex.h"
#include "rsp/description.h"
#include "stub/front.h"
#include "stub/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads that a stub may list. */
#define THREADS_MAX ((size_t)65536)
/* Bytes asked for at once of a document. */
#define CHUNK 0x7f0u

enum target_error front_ask(struct front *front, target_client client, int64_t thread,
                            const void *payload, size_t length, struct buffer *reply)
{
    buffer_clear(reply);
    enum target_error error = front->target->ops->packet_thread(
        front->target, client, thread > 0 ? (uint64_t)thread : 0, payload, length, reply);
    if (error == TARGET_OK && !buffer_reserve(reply, 1))
        return TARGET_NO_MEMORY;
    if (error == TARGET_OK)
        reply->data[reply->head + reply->length] = 0;
    return error;
}

static enum target_error ask_text(struct front *front, target_client client, int64_t thread,
                                  const char *text, struct buffer *reply)
{
    return front_ask(front, client, thread, text, strlen(text), reply);
}

static const char *text_of(const struct buffer *reply)
{
    return reply->length ? (const char *)buffer_bytes(reply) : "";
}

void front_offer(struct front *front, target_client client, struct stub_offer *offer)
{
    const struct target_info *info = front_info(front);
    const char *features = info->features ? info->features : "";
    (void)client;

    *offer = (struct stub_offer){
        .description = features_have(features, "qXfer:features:read+"),
        .memory_map = info->qemu,
        /* QEMU leaves the program counter at the breakpoint, and we know whose it is. */
        .breaks = info->qemu || features_have(features, "swbreak+"),
        .reverse_step = features_have(features, "ReverseStep+"),
        .reverse_continue = features_have(features, "ReverseContinue+"),
        .upstream = info->qemu ? NULL : features,
    };
}

static enum target_error add_ids(const char *list, int64_t **ids, size_t *count)
{
    const char *end = list + strlen(list);

    while (*list == 'm' || *list == ',') {
        struct thread_id id;
        list++;
        if (!thread_parse(&id, &list, end) || id.thread <= 0 || *count == THREADS_MAX)
            return TARGET_FAILED;
        if (*count % 64 == 0) {
            int64_t *larger = realloc(*ids, (*count + 64) * sizeof *larger);
            if (!larger)
                return TARGET_NO_MEMORY;
            *ids = larger;
        }
        (*ids)[(*count)++] = id.thread;
    }
    return list == end ? TARGET_OK : TARGET_FAILED;
}

enum target_error front_threads(struct front *front, target_client client, int64_t **ids,
                                size_t *count)
{
    struct buffer reply = {0};
    enum target_error error = TARGET_OK;

    *ids = NULL;
    *count = 0;
    if (front_state(front) == TARGET_STATE_LOST)
        return TARGET_GONE;
    if (front_is_qemu(front)) {
        unsigned processors = front_info(front)->processors;
        *ids = calloc(processors + 1, sizeof **ids);
        if (!*ids)
            return TARGET_NO_MEMORY;
        for (; *count < processors; (*count)++)
            (*ids)[*count] = (int64_t)*count + 1;
        return TARGET_OK;
    }
    /* first and next belong together */
    task_mutex_lock(&front->words);
    error = ask_text(front, client, 0, "qfThreadInfo", &reply);
    while (error == TARGET_OK && text_of(&reply)[0] == 'm') {
        error = add_ids(text_of(&reply), ids, count);
        if (error == TARGET_OK)
            error = ask_text(front, client, 0, "qsThreadInfo", &reply);
    }
    task_mutex_unlock(&front->words);
    buffer_free(&reply);
    if (error != TARGET_OK) {
        free(*ids);
        *ids = NULL;
        *count = 0;
    }
    return error;
}

int64_t front_process(struct front *front, target_client client)
{
    int64_t *ids;
    size_t count;

    if (front->asked)
        return front->process;
    if (front_is_qemu(front)) {
        front->process = 1;
        front->asked = true;
    } else if (front_threads(front, client, &ids, &count) == TARGET_OK) {
        /* A process has the number of its first thread. */
        front->process = count > 0 ? ids[0] : 1;
        front->asked = count > 0;
        free(ids);
    }
    return front->process > 0 ? front->process : 1;
}

bool front_has_thread(struct front *front, target_client client, int64_t thread)
{
    struct buffer reply = {0};
    char payload[32];

    if (thread <= 0)
        return false;
    if (front_is_qemu(front))
        return thread <= (int64_t)front_info(front)->processors;
    snprintf(payload, sizeof payload, "T%" PRIx64, (uint64_t)thread);
    bool there = ask_text(front, client, 0, payload, &reply) == TARGET_OK &&
                 strcmp(text_of(&reply), "OK") == 0;
    buffer_free(&reply);
    return there;
}

uint32_t front_processor(const struct front *front, int64_t thread)
{
    const struct target_info *info = front_info(front);
    /* The threads of a process share their memory. */
    return info->qemu && thread > 0 && thread <= (int64_t)info->processors ? (uint32_t)thread - 1
                                                                           : 0;
}

bool front_document(struct front *front, target_client client, const char *object,
                    const char *annex, struct buffer *document)
{
    const struct description *known = front_info(front)->description;
    const struct buffer *text =
        known && strcmp(object, "features") == 0 ? description_find(known, annex) : NULL;
    struct buffer reply = {0};
    char payload[256];
    bool more = true, good = true;

    if (text && text->length > 0) /* also while it runs */
        return buffer_append(document, buffer_bytes(text), text->length);

    while (more && good) {
        int length = snprintf(payload, sizeof payload, "qXfer:%s:read:%s:%zx,%x", object, annex,
                              document->length, CHUNK);
        good = length > 0 && (size_t)length < sizeof payload &&
               ask_text(front, client, 0, payload, &reply) == TARGET_OK && reply.length > 0 &&
               (*text_of(&reply) == 'm' || *text_of(&reply) == 'l') &&
               document->length + reply.length <= LAYOUT_DOCUMENT_MAX &&
               buffer_append(document, buffer_bytes(&reply) + 1, reply.length - 1);
        more = good && *text_of(&reply) == 'm' && reply.length > 1;
    }
    buffer_free(&reply);
    return good;
}

struct fetching {
    struct front *front;
    target_client client;
};

static bool fetch(void *context, const char *name, struct buffer *document)
{
    struct fetching *fetching = context;
    return front_document(fetching->front, fetching->client, "features", name, document);
}

const struct layout *front_layout(struct front *front, target_client client)
{
    struct fetching fetching = {front, client};

    if (!front->layout_tried) {
        struct layout layout;
        uint64_t runs = front->runs;
        bool good = layout_read(&layout, fetch, &fetching);
        if (front->layout_tried || (!good && runs != front->runs)) {
            layout_free(&layout); /* another was faster, or the target ran or went away */
        } else {
            front->layout_tried = true;
            front->layout = layout;
        }
    }
    return front->layout.count > 0 ? &front->layout : NULL;
}

enum target_error front_sync(struct front *front, target_client client, int64_t thread)
{
    struct buffer reply = {0};
    uint64_t runs = front->runs;

    if (!front_is_qemu(front) ||
        (thread > 0 && thread < FRONT_SYNCED_MAX && front->synced[thread] == runs + 1))
        return TARGET_OK;
    enum target_error error = ask_text(front, client, thread, "g", &reply);
    buffer_free(&reply);
    if (error == TARGET_OK && thread > 0 && thread < FRONT_SYNCED_MAX)
        front->synced[thread] = runs + 1;
    return error;
}

bool front_read_pc(struct front *front, target_client client, int64_t thread, uint64_t *pc)
{
    const struct layout *layout = front_layout(front, client);
    struct buffer reply = {0};
    uint8_t bytes[8];
    char payload[32];

    if (!layout || layout->pc < 0 || front_info(front)->order_unknown)
        return false;
    const struct layout_register *each = &layout->registers[layout->pc];
    size_t size = each->size;
    snprintf(payload, sizeof payload, "p%x", each->number);
    bool good = size <= sizeof bytes && front_sync(front, client, thread) == TARGET_OK &&
                ask_text(front, client, thread, payload, &reply) == TARGET_OK &&
                reply.length == 2 * size && hex_decode(bytes, text_of(&reply), 2 * size);
    buffer_free(&reply);
    if (!good)
        return false;
    *pc = bytes_load(bytes, size, front_info(front)->big_endian);
    return true;
}

unsigned front_step_default(struct front *front, target_client client)
{
    struct buffer reply = {0};

    if (!front->step_known && front_is_qemu(front) &&
        ask_text(front, client, 0, "qqemu.sstep", &reply) == TARGET_OK && reply.length > 0) {
        front->step_default = (unsigned)strtoul(text_of(&reply), NULL, 16);
        front->step_bits = front->step_default;
        front->step_known = true;
    }
    buffer_free(&reply);
    return front->step_known ? front->step_default : 0;
}

enum target_error front_step_bits(struct front *front, target_client client, unsigned bits)
{
    struct buffer reply = {0};
    char payload[40];

    if (front_step_default(front, client) == 0 || front->step_bits == bits)
        return TARGET_OK;
    snprintf(payload, sizeof payload, "Qqemu.sstep=%x", bits);
    enum target_error error = ask_text(front, client, 0, payload, &reply);
    if (error == TARGET_OK && strcmp(text_of(&reply), "OK") != 0)
        error = TARGET_FAULT;
    if (error == TARGET_OK)
        front->step_bits = bits;
    buffer_free(&reply);
    return error;
}
