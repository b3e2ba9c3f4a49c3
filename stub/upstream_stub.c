/* How the upstream stub is asked for what it does not volunteer, and what is remembered of it. */
#include "stub/upstream_stub.h"

#include "base/bytes.h"
#include "base/hex.h"
#include "rsp/description.h"
#include "space/machine.h"
#include "space/packets.h"
#include "space/registers.h"
#include "space/run.h"
#include "stub/threads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads that a stub may list. */
#define THREADS_MAX ((size_t)65536)
/* Bytes asked for at once of a document. */
#define CHUNK 0x7f0u

static bool is_qemu(const struct upstream_stub *upstream)
{
    return session_machine(upstream->session).qemu;
}

void upstream_stub_init(struct upstream_stub *upstream, struct session *session)
{
    *upstream = (struct upstream_stub){.session = session, .layout = {.pc = -1}};
}

void upstream_stub_forget(struct upstream_stub *upstream)
{
    upstream->asked = upstream->layout_tried = upstream->step_known = false;
    layout_free(&upstream->layout);
}

void upstream_stub_ran(struct upstream_stub *upstream)
{
    upstream->runs++;
}

uint64_t upstream_stub_runs(const struct upstream_stub *upstream)
{
    return upstream->runs;
}

static enum space_error ask_text(struct session *session, int64_t thread, const char *text,
                                 struct buffer *reply)
{
    return session_packet(session, thread, text, strlen(text), reply);
}

void upstream_stub_offer(struct upstream_stub *upstream, struct stub_offer *offer)
{
    const struct machine_info info = session_machine(upstream->session);
    const char *features = info.features ? info.features : "";

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

enum space_error upstream_stub_threads(struct upstream_stub *upstream, struct session *session,
                                       int64_t **ids, size_t *count)
{
    struct buffer reply = {0};
    enum space_error error = SPACE_OK;

    *ids = NULL;
    *count = 0;
    if (session_state(upstream->session) == SPACE_STATE_LOST)
        return SPACE_GONE;
    if (is_qemu(upstream)) {
        unsigned processors = session_machine(upstream->session).processors;
        *ids = calloc(processors + 1, sizeof **ids);
        if (!*ids)
            return SPACE_NO_MEMORY;
        for (; *count < processors; (*count)++)
            (*ids)[*count] = (int64_t)*count + 1;
        return SPACE_OK;
    }
    /* first and next belong together */
    task_mutex_lock(&upstream->words);
    error = ask_text(session, 0, "qfThreadInfo", &reply);
    while (error == SPACE_OK && buffer_text(&reply)[0] == 'm') {
        error = add_ids(buffer_text(&reply), ids, count);
        if (error == SPACE_OK)
            error = ask_text(session, 0, "qsThreadInfo", &reply);
    }
    task_mutex_unlock(&upstream->words);
    buffer_free(&reply);
    if (error != SPACE_OK) {
        free(*ids);
        *ids = NULL;
        *count = 0;
    }
    return error;
}

int64_t upstream_stub_process(struct upstream_stub *upstream, struct session *session)
{
    int64_t *ids;
    size_t count;

    if (upstream->asked)
        return upstream->process;
    if (is_qemu(upstream)) {
        upstream->process = 1;
        upstream->asked = true;
    } else if (upstream_stub_threads(upstream, session, &ids, &count) == SPACE_OK) {
        /* A process has the number of its first thread. */
        upstream->process = count > 0 ? ids[0] : 1;
        upstream->asked = count > 0;
        free(ids);
    }
    return upstream->process > 0 ? upstream->process : 1;
}

bool upstream_stub_has_thread(struct upstream_stub *upstream, struct session *session,
                              int64_t thread)
{
    struct buffer reply = {0};
    char payload[32];

    if (thread <= 0)
        return false;
    if (is_qemu(upstream))
        return thread <= (int64_t)session_machine(upstream->session).processors;
    snprintf(payload, sizeof payload, "T%" PRIx64, (uint64_t)thread);
    bool there =
        ask_text(session, 0, payload, &reply) == SPACE_OK && strcmp(buffer_text(&reply), "OK") == 0;
    buffer_free(&reply);
    return there;
}

uint32_t upstream_stub_processor(const struct upstream_stub *upstream, int64_t thread)
{
    const struct machine_info info = session_machine(upstream->session);
    /* The threads of a process share their memory. */
    return info.qemu && thread > 0 && thread <= (int64_t)info.processors ? (uint32_t)thread - 1 : 0;
}

bool upstream_stub_document(struct upstream_stub *upstream, struct session *session,
                            const char *object, const char *annex, struct buffer *document)
{
    const struct description *known = session_machine(upstream->session).description;
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
               (*buffer_text(&reply) == 'm' || *buffer_text(&reply) == 'l') &&
               document->length + reply.length <= LAYOUT_DOCUMENT_MAX &&
               buffer_append(document, buffer_bytes(&reply) + 1, reply.length - 1);
        more = good && *buffer_text(&reply) == 'm' && reply.length > 1;
    }
    buffer_free(&reply);
    return good;
}

struct fetching {
    struct upstream_stub *upstream;
    struct session *session;
};

static bool fetch(void *context, const char *name, struct buffer *document)
{
    struct fetching *fetching = context;
    return upstream_stub_document(fetching->upstream, fetching->session, "features", name,
                                  document);
}

const struct layout *upstream_stub_layout(struct upstream_stub *upstream, struct session *session)
{
    struct fetching fetching = {upstream, session};

    if (!upstream->layout_tried) {
        struct layout layout;
        uint64_t runs = upstream->runs;
        bool good = layout_read(&layout, fetch, &fetching);
        if (upstream->layout_tried || (!good && runs != upstream->runs)) {
            layout_free(&layout); /* another was faster, or the target ran or went away */
        } else {
            upstream->layout_tried = true;
            upstream->layout = layout;
        }
    }
    return upstream->layout.count > 0 ? &upstream->layout : NULL;
}

bool upstream_stub_read_pc(struct upstream_stub *upstream, struct session *session, int64_t thread,
                           uint64_t *pc)
{
    const struct layout *layout = upstream_stub_layout(upstream, session);
    struct buffer reply = {0};
    uint8_t bytes[8];

    if (!layout || layout->pc < 0 || session_machine(upstream->session).order_unknown)
        return false;
    const struct layout_register *each = &layout->registers[layout->pc];
    size_t size = each->size;
    bool good = size <= sizeof bytes &&
                session_read_register(session, thread, each->number, &reply) == SPACE_OK &&
                reply.length == 2 * size && hex_decode(bytes, buffer_text(&reply), 2 * size);
    buffer_free(&reply);
    if (!good)
        return false;
    *pc = bytes_load(bytes, size, session_machine(upstream->session).big_endian);
    return true;
}

unsigned upstream_stub_step_default(struct upstream_stub *upstream, struct session *session)
{
    struct buffer reply = {0};

    if (!upstream->step_known && is_qemu(upstream) &&
        ask_text(session, 0, "qqemu.sstep", &reply) == SPACE_OK && reply.length > 0) {
        upstream->step_default = (unsigned)strtoul(buffer_text(&reply), NULL, 16);
        upstream->step_bits = upstream->step_default;
        upstream->step_known = true;
    }
    buffer_free(&reply);
    return upstream->step_known ? upstream->step_default : 0;
}

enum space_error upstream_stub_step_bits(struct upstream_stub *upstream, struct session *session,
                                         unsigned bits)
{
    struct buffer reply = {0};
    char payload[40];

    if (upstream_stub_step_default(upstream, session) == 0 || upstream->step_bits == bits)
        return SPACE_OK;
    snprintf(payload, sizeof payload, "Qqemu.sstep=%x", bits);
    enum space_error error = ask_text(session, 0, payload, &reply);
    if (error == SPACE_OK && strcmp(buffer_text(&reply), "OK") != 0)
        error = SPACE_FAULT;
    if (error == SPACE_OK)
        upstream->step_bits = bits;
    buffer_free(&reply);
    return error;
}

static enum space_error tell(struct session *session, char what, const struct breakpoint_key *key,
                             struct buffer *reply)
{
    char payload[80];
    int length = snprintf(payload, sizeof payload, "%c%x,%" PRIx64 ",%" PRIx64, what,
                          (unsigned)key->type, key->address, key->kind);
    enum space_error error = session_packet(session, 0, payload, (size_t)length, reply);
    if (error != SPACE_OK)
        return error;
    if (reply->length == 0)
        return SPACE_UNSUPPORTED;
    return reply->length == 2 && memcmp(buffer_bytes(reply), "OK", 2) == 0 ? SPACE_OK : SPACE_FAULT;
}

enum space_error upstream_stub_insert_point(struct session *session,
                                            const struct breakpoint_key *key, struct buffer *reply)
{
    return tell(session, 'Z', key, reply);
}

enum space_error upstream_stub_remove_point(struct session *session,
                                            const struct breakpoint_key *key, struct buffer *reply)
{
    return tell(session, 'z', key, reply);
}

bool upstream_stub_step_known(const struct upstream_stub *upstream)
{
    return upstream->step_known;
}

bool upstream_stub_steps_oddly(const struct upstream_stub *upstream)
{
    return upstream->step_known && upstream->step_bits != upstream->step_default;
}
