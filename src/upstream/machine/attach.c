/* Hides in which order a stub is asked who it is, and what a former client may have left in it. */
#include "upstream/machine/attach.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "base/hex.h"
#include "upstream/link/monitor.h"
#include "upstream/link/monitor_text.h"
#include "upstream/link/qmp.h"
#include "upstream/link/qmp_facts.h"
#include "upstream/link/rsp_modes.h"
#include "upstream/machine/architecture.h"
#include "upstream/machine/byte_order.h"
#include "upstream/machine/qemu_version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A PacketSize outside of these is taken for the nearest. */
#define PACKET_LEAST ((size_t)256)
#define PACKET_MOST  ((size_t)512 * 1024)
/* What a stub that names no PacketSize can take: gdb's own guess. */
#define PACKET_DEFAULT ((size_t)400)
/* $, # and two digits, which some stubs count in and others do not. */
#define FRAMING      4
#define THREADS_MOST 4096
#define QEMU_DEPTH   16

/* One request. The reply is in *reply, NUL-terminated, until the next. */
static enum target_error ask(struct stub *stub, struct buffer *reply, const char *payload)
{
    buffer_clear(reply);
    struct rsp_operation operation = {
        .payload = payload, .length = strlen(payload), .kind = RSP_REQUEST};
    if (strcmp(payload, "?") == 0)
        operation.kind = RSP_STATUS;
    return rsp_client_call(stub->rsp, &operation, reply);
}

/* Is that feature ("QStartNoAckMode+") in the list? */
static bool has_feature(const char *list, const char *feature)
{
    size_t length = strlen(feature);
    for (const char *at = list; at && *at; at = strchr(at, ';')) {
        at += *at == ';';
        if (strncmp(at, feature, length) == 0 && (at[length] == ';' || at[length] == 0))
            return true;
    }
    return false;
}

static size_t packet_size(const char *list)
{
    const char *found = strstr(list, "PacketSize=");
    uint64_t size;
    if (!found)
        return PACKET_DEFAULT;
    found += strlen("PacketSize=");
    if (!hex_number(&size, &found, found + strlen(found)) || size == 0)
        return PACKET_DEFAULT;
    return size < PACKET_LEAST ? PACKET_LEAST : size > PACKET_MOST ? PACKET_MOST : (size_t)size;
}

static enum target_error ask_features(struct stub *stub, struct buffer *reply, bool *description)
{
    /* multiprocess is not asked for: thread ids stay plain numbers. */
    /* swbreak+: a gdbserver then leaves the program counter at the breakpoint, as QEMU does anyway,
     * and says which stops are breakpoints. */
    enum target_error error =
        ask(stub, reply, "qSupported:xmlRegisters=i386,arm,mips;swbreak+;hwbreak+;vContSupported+");
    if (error != TARGET_OK)
        return error;
    const char *list = buffer_text(reply);
    size_t size = packet_size(list);
    free(stub->features);
    stub->features = strdup(list);
    if (!stub->features)
        return TARGET_NO_MEMORY;
    bool no_acks = has_feature(list, "QStartNoAckMode+");
    *description = has_feature(list, "qXfer:features:read+");
    rsp_client_set_limit(stub->rsp, size - FRAMING);
    stub->read_most = (size - FRAMING) / 2;
    if (no_acks) {
        error = ask(stub, reply, "QStartNoAckMode");
        if (error == TARGET_OK && strcmp(buffer_text(reply), "OK") == 0)
            rsp_client_set_acks(stub->rsp, false);
    }
    if (error == TARGET_OK)
        error = ask(stub, reply, "qqemu.Supported");
    if (error == TARGET_OK && strstr(buffer_text(reply), "PhyMemMode")) {
        stub->qemu = stub->has_monitor = stub->has_physical = true;
        stub->read_most = size / 2; /* QEMU's own bound, its replies may be longer */
    }
    return error;
}

/* What a former client has left behind in QEMU: it outlives the connection. */
static enum target_error clear_leftovers(struct stub *stub, struct buffer *reply)
{
    enum target_error error = ask(stub, reply, RSP_MODES_SPACE "0");
    if (error != TARGET_OK)
        return error;
    rsp_client_set_spaces(stub->rsp, strcmp(buffer_text(reply), "OK") == 0);
    /* The default way to step: everything that is supported, interrupts and timers held off. */
    error = ask(stub, reply, "qqemu.sstepbits");
    uint64_t bits = 0;
    for (const char *at = strchr(buffer_text(reply), '='); error == TARGET_OK && at;
         at = strchr(at, '=')) {
        uint64_t bit;
        at++;
        if (hex_number(&bit, &at, at + strlen(at)))
            bits |= bit;
    }
    if (error == TARGET_OK && bits != 0) {
        char payload[40];
        snprintf(payload, sizeof payload, "Qqemu.sstep=%" PRIx64, bits);
        error = ask(stub, reply, payload);
    }
    return error;
}

/* The stop reply, which also makes QEMU forget the breakpoints of a former client. */
static enum target_error ask_status(struct stub *stub, struct buffer *reply,
                                    struct failure *failure)
{
    enum target_error error = ask(stub, reply, "?");
    const char *text = buffer_text(reply);
    if (error == TARGET_OK && text[0] != 'T' && text[0] != 'S')
        return failure_set(failure, TARGET_FAILED,
                           "the target is not there to be debugged ('?' gives '%.40s')", text);
    if (error == TARGET_OK) {
        free(stub->stop);
        stub->stop = strdup(text);
        error = stub->stop ? TARGET_OK : TARGET_NO_MEMORY;
    }
    if (error == TARGET_OK)
        error = ask(stub, reply, "vCont?");
    text = buffer_text(reply);
    if (error == TARGET_OK && strncmp(text, "vCont", strlen("vCont")) == 0)
        stub->vcont = has_feature(text, "c") && has_feature(text, "s");
    return error;
}

/* Add the ids of one reply, "m1,2,1f". */
static bool add_threads(struct stub *stub, const char *list)
{
    const char *end = list + strlen(list);
    while (*list == 'm' || *list == ',') {
        uint64_t id;
        list++;
        if (!thread_parse_one(&id, &list, end) || stub->processors == THREADS_MOST)
            return false;
        if (stub->processors % 16 == 0) {
            uint64_t *more =
                realloc(stub->threads, (stub->processors + 16) * sizeof *stub->threads);
            if (!more)
                return false;
            stub->threads = more;
        }
        stub->threads[stub->processors++] = id;
    }
    return list == end;
}

static enum target_error ask_threads(struct stub *stub, struct buffer *reply,
                                     struct failure *failure)
{
    enum target_error error = ask(stub, reply, "qfThreadInfo");
    while (error == TARGET_OK && buffer_text(reply)[0] == 'm') {
        if (!add_threads(stub, buffer_text(reply)))
            return failure_set(failure, TARGET_FAILED,
                               "the stub's list of threads is no such list: '%.40s'",
                               buffer_text(reply));
        error = ask(stub, reply, "qsThreadInfo");
    }
    if (error == TARGET_OK && stub->processors == 0) {
        stub->threads = calloc(1, sizeof *stub->threads); /* one, without a name */
        if (!stub->threads)
            return TARGET_NO_MEMORY;
        stub->processors = 1;
    }
    return error;
}

static void copy_architecture(struct stub *stub, const char *text)
{
    const char *start = strstr(text, "<architecture>");
    if (!start)
        return;
    start += strlen("<architecture>");
    const char *end = strstr(start, "</architecture>");
    if (end && (size_t)(end - start) < sizeof stub->architecture)
        snprintf(stub->architecture, sizeof stub->architecture, "%.*s", (int)(end - start), start);
}

/* One document of the description; what the stub refuses is left empty. */
static enum target_error ask_document(struct stub *stub, struct buffer *reply, const char *name)
{
    struct description_document *document = description_add(&stub->description, name);
    size_t chunk = rsp_client_limit(stub->rsp) - 1;
    enum target_error error = TARGET_OK;
    for (bool more = document != NULL; more && error == TARGET_OK;) {
        char payload[64 + DESCRIPTION_NAME_SIZE];
        snprintf(payload, sizeof payload, "qXfer:features:read:%s:%zx,%zx", name,
                 document->text.length, chunk);
        error = ask(stub, reply, payload);
        const char *part = buffer_text(reply);
        if (error != TARGET_OK || (part[0] != 'm' && part[0] != 'l'))
            break;
        more = part[0] == 'm' && reply->length > 1;
        if (!description_append(&stub->description, document, part + 1, reply->length - 1)) {
            buffer_free(&document->text); /* none is better than a part of it */
            break;
        }
    }
    return error;
}

/* Read target.xml and what it includes; QEMU before 8.2 answers no p and P before. */
static enum target_error ask_description(struct stub *stub, struct buffer *reply)
{
    char name[DESCRIPTION_NAME_SIZE];
    enum target_error error = ask_document(stub, reply, "target.xml");
    while (error == TARGET_OK && description_missing(&stub->description, name) &&
           stub->description.count < DESCRIPTION_DOCUMENTS_MAX)
        error = ask_document(stub, reply, name);
    struct buffer text = {0};
    const struct buffer *target = description_find(&stub->description, "target.xml");
    if (error == TARGET_OK && target) {
        if (buffer_append(&text, buffer_bytes(target), target->length) &&
            buffer_append_byte(&text, 0))
            copy_architecture(stub, (const char *)buffer_bytes(&text));
        else
            error = TARGET_NO_MEMORY;
    }
    buffer_free(&text);
    return error;
}

/* The program that QEMU is, "name:qemu-system-mipsel;version:11.1.3;", from 10.1 on (commit
 * b2654598b3). */
static enum target_error ask_build(struct stub *stub, struct buffer *reply)
{
    static const char start[] = "name:qemu-system-";
    enum target_error error = ask(stub, reply, "qGDBServerVersion");
    const char *text = buffer_text(reply);
    if (error == TARGET_OK && strncmp(text, start, strlen(start)) == 0) {
        text += strlen(start);
        size_t length = strcspn(text, ";");
        if (length < sizeof stub->build)
            snprintf(stub->build, sizeof stub->build, "%.*s", (int)length, text);
    }
    return error;
}

/* QEMUs that do not name their program name it by QMP, one for one; later ones say "mips" there of
 * mipsel, too. */
static void ask_qmp(struct stub *stub, struct qmp *qmp)
{
    json_t *result = NULL;
    if (stub->build[0] == 0 && qmp_execute(qmp, "query-target", NULL, &result, NULL) == TARGET_OK) {
        const char *name = json_string_value(json_object_get(result, "arch"));
        if (name)
            snprintf(stub->build, sizeof stub->build, "%s", name);
        json_decref(result);
    }
    byte_order_ask_processor(stub, qmp);
}

/* A process: the start of its auxiliary vector. */
static enum target_error ask_auxv(struct stub *stub, struct buffer *reply)
{
    const struct architecture *named = architecture_find(stub->architecture);
    if (!named || named->order == ORDER_EVERYWHERE ||
        !has_feature(stub->features, "qXfer:auxv:read+"))
        return TARGET_OK;
    enum target_error error = ask(stub, reply, "qXfer:auxv:read::0,10");
    const uint8_t *bytes = buffer_bytes(reply);
    if (error == TARGET_OK && reply->length > 1 && (bytes[0] == 'm' || bytes[0] == 'l'))
        stub->processor_order =
            byte_order_parse_auxv(bytes + 1, reply->length - 1, named->bits / 8);
    return error;
}

static void set_architecture(struct stub *stub)
{
    /* Machines without a description. */
    if (stub->architecture[0] == 0)
        snprintf(stub->architecture, sizeof stub->architecture, "%s", stub->build);
    byte_order_decide(stub);
    const struct architecture *architecture = architecture_find(stub->architecture);
    stub->width = STUB_WIDTH_64;
    if (!architecture)
        return;
    stub->known = true;
    stub->x86 = architecture->ports;
    if (architecture->bits == 32)
        stub->width = STUB_WIDTH_32;
    else if (architecture->ports && stub->qemu)
        stub->width = STUB_WIDTH_BY_MODE;
}

/* Does it take X? Asked as gdb does: write nothing to address 0. */
static enum target_error ask_binary(struct stub *stub, struct buffer *reply)
{
    enum target_error error = ask(stub, reply, "X0,0:");
    /* As gdb has it: only silence means that X is not known. There may be no memory at 0. */
    stub->binary = error == TARGET_OK && reply->length > 0;
    return error;
}

static enum target_error ask_version(struct stub *stub, struct qmp *qmp, struct buffer *reply)
{
    struct monitor monitor = {.rsp = stub->rsp};
    char version[32];
    snprintf(stub->version, sizeof stub->version, "GDB stub");
    if (!stub->has_monitor)
        return TARGET_OK;
    if (qmp_facts_version(qmp, version, sizeof version)) {
        snprintf(stub->version, sizeof stub->version, "QEMU %s", version);
        return TARGET_OK;
    }
    buffer_clear(reply);
    enum target_error error = monitor_run(&monitor, 0, 0, "info version", reply, NULL);
    if (error == TARGET_FAILED || error == TARGET_UNSUPPORTED)
        error = TARGET_OK;
    const char *text = buffer_text(reply);
    snprintf(stub->version, sizeof stub->version, "QEMU %.*s", (int)strspn(text, "0123456789."),
             text);
    return error;
}

static enum target_error ask_run_state(struct stub *stub, struct qmp *qmp, struct buffer *reply)
{
    struct monitor monitor = {.rsp = stub->rsp};
    bool running;
    if (!stub->has_monitor || qmp_facts_status(qmp, stub->status, sizeof stub->status))
        return TARGET_OK;
    buffer_clear(reply);
    enum target_error error = monitor_run(&monitor, 0, 0, "info status", reply, NULL);
    if (error == TARGET_OK &&
        !monitor_text_parse_status(buffer_text(reply), &running, stub->status, sizeof stub->status))
        stub->status[0] = 0;
    return error == TARGET_FAILED || error == TARGET_UNSUPPORTED ? TARGET_OK : error;
}

/* Did the guest run before our connect? A QEMU that ran is plainly "paused" now; any other word is
 * older than the connect ("prelaunch", "debug", "io-error"). */
static enum found find_out(const struct stub *stub, bool told_of_stop)
{
    if (told_of_stop || strcmp(stub->status, "running") == 0)
        return FOUND_RUNNING;
    if (!stub->qemu || (stub->status[0] && strcmp(stub->status, "paused") != 0) ||
        qemu_version_tells_every_stop(stub->version))
        return FOUND_HALTED;
    return FOUND_UNKNOWN;
}

enum target_error attach_stub(struct stub *stub, unsigned depth, enum found *found,
                              struct failure *failure)
{
    struct buffer reply = {0};
    bool description = false;
    struct rsp_client *rsp = stub->rsp;
    struct qmp *qmp = stub->monitor.qmp;
    attach_forget(stub);
    *stub = (struct stub){.rsp = rsp, .monitor = stub->monitor};
    failure_clear(failure);
    enum target_error error = ask_features(stub, &reply, &description);
    bool told_of_stop = rsp_client_strays(rsp) > 0;
    if (error == TARGET_OK)
        error = ask_status(stub, &reply, failure);
    if (error == TARGET_OK && stub->qemu)
        error = clear_leftovers(stub, &reply);
    if (error == TARGET_OK)
        error = ask_threads(stub, &reply, failure);
    if (error == TARGET_OK && description)
        error = ask_description(stub, &reply);
    if (error == TARGET_OK && stub->qemu)
        error = ask_build(stub, &reply);
    if (error == TARGET_OK && !stub->qemu)
        error = ask_auxv(stub, &reply);
    if (error == TARGET_OK && stub->qemu && qmp)
        ask_qmp(stub, qmp);
    if (error == TARGET_OK)
        error = ask_binary(stub, &reply);
    if (error == TARGET_OK)
        error = ask_version(stub, qmp, &reply);
    if (error == TARGET_OK)
        error = ask_run_state(stub, qmp, &reply);
    *found = find_out(stub, told_of_stop);
    set_architecture(stub);
    rsp_client_set_depth(rsp, depth != 0 ? depth : stub->qemu ? QEMU_DEPTH : 1);
    if (error != TARGET_OK)
        failure_complete(failure, error,
                         error == TARGET_GONE && rsp_client_reason(rsp)[0]
                             ? rsp_client_reason(rsp)
                             : target_error_text(error));
    buffer_free(&reply);
    return error;
}

void attach_forget(struct stub *stub)
{
    free(stub->threads);
    free(stub->features);
    description_clear(&stub->description);
    stub->features = NULL;
    free(stub->stop);
    stub->stop = NULL;
    stub->threads = NULL;
    stub->processors = 0;
}
