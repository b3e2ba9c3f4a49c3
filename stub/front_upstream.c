/* What the front knows of the upstream stub, and how it asks. */
#include "rsp/description.h"
#include "rsp/hex.h"
#include "space/packets.h"
#include "space/registers.h"
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

static enum space_error ask_text(struct session *session, int64_t thread, const char *text,
                                 struct buffer *reply)
{
    return session_packet(session, thread, text, strlen(text), reply);
}

static const char *text_of(const struct buffer *reply)
{
    return reply->length ? (const char *)buffer_bytes(reply) : "";
}

void front_offer(struct front *front, struct session *session, struct stub_offer *offer)
{
    const struct machine_info info = front_info(front);
    const char *features = info.features ? info.features : "";
    (void)session;

    *offer = (struct stub_offer){
        .description = features_have(features, "qXfer:features:read+"),
        .memory_map = info.qemu,
        /* QEMU leaves the program counter at the breakpoint, and we know whose it is. */
        .breaks = info.qemu || features_have(features, "swbreak+"),
        .reverse_step = features_have(features, "ReverseStep+"),
        .reverse_continue = features_have(features, "ReverseContinue+"),
        .upstream = info.qemu ? NULL : features,
    };
}

static enum space_error add_ids(const char *list, int64_t **ids, size_t *count)
{
    const char *end = list + strlen(list);

    while (*list == 'm' || *list == ',') {
        struct thread_id id;
        list++;
        if (!thread_parse(&id, &list, end) || id.thread <= 0 || *count == THREADS_MAX)
            return SPACE_FAILED;
        if (*count % 64 == 0) {
            int64_t *larger = realloc(*ids, (*count + 64) * sizeof *larger);
            if (!larger)
                return SPACE_NO_MEMORY;
            *ids = larger;
        }
        (*ids)[(*count)++] = id.thread;
    }
    return list == end ? SPACE_OK : SPACE_FAILED;
}

enum space_error front_threads(struct front *front, struct session *session, int64_t **ids,
                               size_t *count)
{
    struct buffer reply = {0};
    enum space_error error = SPACE_OK;

    *ids = NULL;
    *count = 0;
    if (front_state(front) == SPACE_STATE_LOST)
        return SPACE_GONE;
    if (front_is_qemu(front)) {
        unsigned processors = front_info(front).processors;
        *ids = calloc(processors + 1, sizeof **ids);
        if (!*ids)
            return SPACE_NO_MEMORY;
        for (; *count < processors; (*count)++)
            (*ids)[*count] = (int64_t)*count + 1;
        return SPACE_OK;
    }
    /* first and next belong together */
    task_mutex_lock(&front->words);
    error = ask_text(session, 0, "qfThreadInfo", &reply);
    while (error == SPACE_OK && text_of(&reply)[0] == 'm') {
        error = add_ids(text_of(&reply), ids, count);
        if (error == SPACE_OK)
            error = ask_text(session, 0, "qsThreadInfo", &reply);
    }
    task_mutex_unlock(&front->words);
    buffer_free(&reply);
    if (error != SPACE_OK) {
        free(*ids);
        *ids = NULL;
        *count = 0;
    }
    return error;
}

int64_t front_process(struct front *front, struct session *session)
{
    int64_t *ids;
    size_t count;

    if (front->asked)
        return front->process;
    if (front_is_qemu(front)) {
        front->process = 1;
        front->asked = true;
    } else if (front_threads(front, session, &ids, &count) == SPACE_OK) {
        /* A process has the number of its first thread. */
        front->process = count > 0 ? ids[0] : 1;
        front->asked = count > 0;
        free(ids);
    }
    return front->process > 0 ? front->process : 1;
}

bool front_has_thread(struct front *front, struct session *session, int64_t thread)
{
    struct buffer reply = {0};
    char payload[32];

    if (thread <= 0)
        return false;
    if (front_is_qemu(front))
        return thread <= (int64_t)front_info(front).processors;
    snprintf(payload, sizeof payload, "T%" PRIx64, (uint64_t)thread);
    bool there =
        ask_text(session, 0, payload, &reply) == SPACE_OK && strcmp(text_of(&reply), "OK") == 0;
    buffer_free(&reply);
    return there;
}

uint32_t front_processor(const struct front *front, int64_t thread)
{
    const struct machine_info info = front_info(front);
    /* The threads of a process share their memory. */
    return info.qemu && thread > 0 && thread <= (int64_t)info.processors ? (uint32_t)thread - 1 : 0;
}

bool front_document(struct front *front, struct session *session, const char *object,
                    const char *annex, struct buffer *document)
{
    const struct description *known = front_info(front).description;
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
               ask_text(session, 0, payload, &reply) == SPACE_OK && reply.length > 0 &&
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
    struct session *session;
};

static bool fetch(void *context, const char *name, struct buffer *document)
{
    struct fetching *fetching = context;
    return front_document(fetching->front, fetching->session, "features", name, document);
}

const struct layout *front_layout(struct front *front, struct session *session)
{
    struct fetching fetching = {front, session};

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

bool front_read_pc(struct front *front, struct session *session, int64_t thread, uint64_t *pc)
{
    const struct layout *layout = front_layout(front, session);
    struct buffer reply = {0};
    uint8_t bytes[8];

    if (!layout || layout->pc < 0 || front_info(front).order_unknown)
        return false;
    const struct layout_register *each = &layout->registers[layout->pc];
    size_t size = each->size;
    bool good = size <= sizeof bytes &&
                session_read_register(session, thread, each->number, &reply) == SPACE_OK &&
                reply.length == 2 * size && hex_decode(bytes, text_of(&reply), 2 * size);
    buffer_free(&reply);
    if (!good)
        return false;
    *pc = 0;
    for (size_t i = 0; i < size; i++)
        *pc |= (uint64_t)bytes[front_info(front).big_endian ? size - 1 - i : i] << (8 * i);
    return true;
}

unsigned front_step_default(struct front *front, struct session *session)
{
    struct buffer reply = {0};

    if (!front->step_known && front_is_qemu(front) &&
        ask_text(session, 0, "qqemu.sstep", &reply) == SPACE_OK && reply.length > 0) {
        front->step_default = (unsigned)strtoul(text_of(&reply), NULL, 16);
        front->step_bits = front->step_default;
        front->step_known = true;
    }
    buffer_free(&reply);
    return front->step_known ? front->step_default : 0;
}

enum space_error front_step_bits(struct front *front, struct session *session, unsigned bits)
{
    struct buffer reply = {0};
    char payload[40];

    if (front_step_default(front, session) == 0 || front->step_bits == bits)
        return SPACE_OK;
    snprintf(payload, sizeof payload, "Qqemu.sstep=%x", bits);
    enum space_error error = ask_text(session, 0, payload, &reply);
    if (error == SPACE_OK && strcmp(text_of(&reply), "OK") != 0)
        error = SPACE_FAULT;
    if (error == SPACE_OK)
        front->step_bits = bits;
    buffer_free(&reply);
    return error;
}
