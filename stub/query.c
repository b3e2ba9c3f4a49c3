/* The conversation itself: what both sides can do, acknowledgements, documents, QEMU's own modes.
 */
#include "stub/query.h"

#include "base/log.h"
#include "stub/passthrough.h"
#include "stub/select.h"
#include "stub/threads.h"
#include "stub/threads_xml.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "stub"

/* The most of a document in one reply, for it may all have to be escaped. */
#define CHUNK_MOST ((FEATURES_PACKET_SIZE - 16) / 2)

void query_do_supported(struct client *client, const struct request *request)
{
    struct stub_offer offer;

    /* Once agreed it stays: a second one comes from a person who tries packets. */
    if (!client->announced.announced) {
        features_parse_client(&client->announced, request);
        client->features = client->announced;
        if (client->thread_suffix)
            client->features.multiprocess = false;
        log_debug(ROOM, "%s: %s", client->name, client_kind_text(client->features.kind));
    }
    upstream_stub_offer(&client->front->upstream, &offer);
    features_reply(&client->reply, &client->announced, &offer);
}

void query_do_no_ack(struct client *client, const struct request *request)
{
    (void)request;
    client->no_ack = true;
    reply_ok(client);
}

void query_do_extended(struct client *client, const struct request *request)
{
    (void)request;
    reply_ok(client);
}

void query_do_nothing(struct client *client, const struct request *request)
{
    (void)client;
    (void)request;
}

/* Documents */

static bool make_threads(struct client *client, struct buffer *document)
{
    int64_t *ids;
    size_t count;
    char text[THREAD_TEXT_SIZE];
    int64_t process = upstream_stub_process(&client->front->upstream, client->session);
    bool qemu = front_is_qemu(client->front);
    struct buffer theirs = {0};

    if (!qemu) { /* a gdbserver knows names and cores */
        bool done = upstream_stub_document(&client->front->upstream, client->session, "threads", "",
                                           &theirs) &&
                    threads_xml_rewrite(document, &theirs, client->features.multiprocess, process);
        buffer_free(&theirs);
        if (done)
            return true;
    }
    enum space_error error =
        upstream_stub_threads(&client->front->upstream, client->session, &ids, &count);
    bool good =
        error == SPACE_OK && buffer_printf(document, "<?xml version=\"1.0\"?>\n<threads>\n");

    for (size_t i = 0; i < count && good; i++) {
        good = buffer_printf(document, "<thread id=\"%s\"",
                             thread_format(text, client->features.multiprocess, process, ids[i]));
        if (qemu) {
            char extra[128];
            select_extra(client, ids[i], extra, sizeof extra);
            good = good && buffer_printf(document, " core=\"%zu\">", i) &&
                   features_xml_text(document, extra) && buffer_printf(document, "</thread>\n");
        } else {
            good = good && buffer_printf(document, "/>\n");
        }
    }
    free(ids);
    return good && buffer_printf(document, "</threads>\n");
}

static void reply_document(struct client *client, const struct request_xfer *xfer,
                           const struct buffer *document)
{
    buffer_clear(&client->reply);
    features_chunk(&client->reply, document, xfer->offset, xfer->length, CHUNK_MOST);
}

static void threads(struct client *client, const struct request_xfer *xfer)
{
    /* One reading sees one list. */
    if (xfer->offset == 0) {
        buffer_clear(&client->threads);
        if (!make_threads(client, &client->threads)) {
            buffer_clear(&client->threads);
            reply_error(client, ERROR_GENERAL, "the threads cannot be listed now");
            return;
        }
    }
    reply_document(client, xfer, &client->threads);
}

static void description(struct client *client, const struct request_xfer *xfer)
{
    struct buffer document = {0};

    if (upstream_stub_document(&client->front->upstream, client->session, "features", xfer->annex,
                               &document)) {
        if (!client->features.any)
            features_for_old(&document);
        reply_document(client, xfer, &document);
    } else if (front_state(client->front) == SPACE_STATE_HALTED) {
        reply_text(client, "E00"); /* no such annex */
    } else {
        client_needs_halt(client, "reading the target's description");
    }
    buffer_free(&document);
}

static void memory_map(struct client *client, const struct request_xfer *xfer)
{
    struct buffer document = {0};

    if (*xfer->annex)
        reply_text(client, "E00");
    else if (features_memory_map(&document, front_info(client->front).pointer_size))
        reply_document(client, xfer, &document);
    buffer_free(&document);
}

void query_do_xfer(struct client *client, const struct request *request)
{
    struct request_xfer xfer;
    bool qemu = front_is_qemu(client->front);

    if (!request_xfer(request, &xfer)) {
        if (qemu)
            return;
        passthrough_do(client, request); /* writes, and objects of gdbserver's own */
    } else if (strcmp(xfer.object, "features") == 0) {
        description(client, &xfer);
    } else if (strcmp(xfer.object, "threads") == 0) {
        threads(client, &xfer);
    } else if (strcmp(xfer.object, "memory-map") == 0 && qemu) {
        memory_map(client, &xfer);
    } else if (!qemu) {
        passthrough_do(client, request);
    }
}

/* QEMU's own modes. They are kept here for each client, so that scripts written for QEMU work and
 * two clients do not disturb each other; what goes upstream is decided request by request. */

/* What stands behind the colon or equals sign, as QEMU reads it. */
static bool argument(const struct request *request, const char *word, unsigned long *value)
{
    size_t length = strlen(word);
    char *end;

    if (!request_begins(request, word) || request->length == length ||
        (request->text[length] != ':' && request->text[length] != '='))
        return false;
    const char *text = request->text + length + 1;
    *value = strtoul(text, &end, 16);
    return end != text && *end == '\0' && *text != '-';
}

static void step_bits(struct client *client, const struct request *request)
{
    struct front *front = client->front;
    unsigned bits =
        front_state(front) == SPACE_STATE_HALTED || upstream_stub_step_known(&front->upstream)
            ? upstream_stub_step_default(&front->upstream, client->session)
            : 7;
    unsigned long value;

    if (request_is(request, "qqemu.sstepbits"))
        reply_text(client, "ENABLE=1,NOIRQ=2,NOTIMER=4");
    else if (request_is(request, "qqemu.sstep"))
        reply_text(client, "0x%x", client->step_bits_set ? client->step_bits : bits);
    else if (argument(request, "Qqemu.sstep", &value) && (value & ~7ul) == 0) {
        client->step_bits = (unsigned)value;
        client->step_bits_set = true;
        reply_ok(client);
    } else {
        reply_error(client, ERROR_INVALID, "the bits of Qqemu.sstep are 1, 2 and 4");
    }
}

static void physical(struct client *client, const struct request *request)
{
    unsigned long value;

    if (request_is(request, "qqemu.PhyMemMode")) {
        reply_text(client, client->physical ? "1" : "0");
    } else if (argument(request, "Qqemu.PhyMemMode", &value)) {
        client->physical = value != 0;
        reply_ok(client);
    } else {
        reply_error(client, ERROR_INVALID, "Qqemu.PhyMemMode is 0 or 1");
    }
}

void query_do_qemu(struct client *client, const struct request *request)
{
    if (!front_is_qemu(client->front))
        return;
    if (request_is(request, "qqemu.Supported"))
        reply_text(client, "sstepbits;sstep;PhyMemMode");
    else if (request_begins(request, "qqemu.sstep") || request_begins(request, "Qqemu.sstep"))
        step_bits(client, request);
    else if (request_begins(request, "qqemu.PhyMemMode") ||
             request_begins(request, "Qqemu.PhyMemMode"))
        physical(client, request);
}
