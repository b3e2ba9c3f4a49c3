/* qSupported taken apart and put together, and the documents' text. */
#ifdef HAVE_CONFIG_H
#include <config.h> /* memmem */
#endif
#include "stub/features.h"

#include <string.h>

const char *client_kind_text(enum client_kind kind)
{
    switch (kind) {
    case CLIENT_GDB:
        return "gdb";
    case CLIENT_LLDB:
        return "lldb";
    case CLIENT_IDA:
        return "IDA";
    case CLIENT_OTHER:
        break;
    }
    return "a debugger";
}

static bool word_is(const char *at, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(at, word, length) == 0;
}

static void take_word(struct client_features *features, const char *at, size_t length)
{
    if (word_is(at, length, "multiprocess+"))
        features->multiprocess = true;
    else if (word_is(at, length, "swbreak+"))
        features->swbreak = true;
    else if (word_is(at, length, "hwbreak+"))
        features->hwbreak = true;
    else if (word_is(at, length, "error-message+"))
        features->error_message = true;
    features->any = features->any || (length > 1 && at[length - 1] == '+');
}

void features_parse_client(struct client_features *features, const struct request *request)
{
    const char *at = request->text + strlen("qSupported"), *end = request->text + request->length;
    bool leaves_out_processes = false;

    *features = (struct client_features){.kind = CLIENT_OTHER, .announced = true};
    if (at == end || word_is(at, (size_t)(end - at), ":xmlRegisters=i386,arm,mips"))
        features->kind = CLIENT_IDA;
    while (at < end) {
        at++; /* the colon, then semicolons */
        const char *stop = memchr(at, ';', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        take_word(features, at, length);
        if (word_is(at, length, "xmlRegisters=i386,arm,mips,arc"))
            leaves_out_processes = true;
        at += length;
    }
    if (leaves_out_processes)
        features->kind = CLIENT_LLDB;
    else if (features->swbreak)
        features->kind = CLIENT_GDB;
    features->modern = features->swbreak;
    /* Who announces that has been seen to say that it takes process ids, and to leave them out
     * where they are needed. */
    if (leaves_out_processes)
        features->multiprocess = false;
}

bool features_have(const char *upstream, const char *feature)
{
    size_t length = strlen(feature);

    while (*upstream) {
        size_t here = strcspn(upstream, ";");
        if (word_is(upstream, here, feature))
            return true;
        upstream += here + (upstream[here] == ';');
    }
    (void)length;
    return false;
}

/* What a gdbserver offers and this front passes on: requests whose reply does not depend on who
 * asks. What is left out is what would turn the connection into something that it is not shared
 * (non-stop, tracing), or what the front does itself. */
static bool passed_on(const char *feature, size_t length)
{
    static const char *const words[] = {
        "QPassSignals+",           "QProgramSignals+",
        "QCatchSyscalls+",         "QStartupWithShell+",
        "QEnvironmentHexEncoded+", "QEnvironmentReset+",
        "QEnvironmentUnset+",      "QSetWorkingDir+",
        "QDisableRandomization+",  "augmented-libraries-svr4-read+",
        "memory-tagging+",
    };
    static const char *const ours[] = {"qXfer:features:read+", "qXfer:threads:read+"};

    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (word_is(feature, length, ours[i]))
            return false;
    }
    /* documents, but none that would have to be merged between clients */
    if (length > 7 && memcmp(feature, "qXfer:", 6) == 0 && feature[length - 1] == '+' &&
        memcmp(feature, "qXfer:btrace", 12 < length ? 12 : length) != 0 &&
        memcmp(feature, "qXfer:statictrace", 17 < length ? 17 : length) != 0 &&
        memcmp(feature, "qXfer:traceframe", 16 < length ? 16 : length) != 0)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (word_is(feature, length, words[i]))
            return true;
    }
    return false;
}

bool features_reply(struct buffer *reply, const struct client_features *client,
                    const struct stub_offer *offer)
{
    bool good = buffer_printf(reply,
                              "PacketSize=%zx;QStartNoAckMode+;vContSupported+;"
                              "qXfer:threads:read+",
                              FEATURES_PACKET_SIZE);
    if (offer->description)
        good = good && buffer_printf(reply, ";qXfer:features:read+");
    if (offer->memory_map)
        good = good && buffer_printf(reply, ";qXfer:memory-map:read+");
    if (client->multiprocess)
        good = good && buffer_printf(reply, ";multiprocess+");
    if (offer->breaks && client->swbreak)
        good = good && buffer_printf(reply, ";swbreak+");
    if (offer->breaks && client->hwbreak)
        good = good && buffer_printf(reply, ";hwbreak+");
    if (offer->reverse_step)
        good = good && buffer_printf(reply, ";ReverseStep+");
    if (offer->reverse_continue)
        good = good && buffer_printf(reply, ";ReverseContinue+");
    if (client->modern)
        good = good && buffer_printf(reply, ";binary-upload+");
    if (client->error_message)
        good = good && buffer_printf(reply, ";error-message+");
    for (const char *at = offer->upstream; at && *at;) {
        size_t length = strcspn(at, ";");
        if (passed_on(at, length))
            good = good && buffer_printf(reply, ";%.*s", (int)length, at);
        at += length + (at[length] == ';');
    }
    return good;
}

bool features_chunk(struct buffer *reply, const struct buffer *document, uint64_t offset,
                    uint64_t length, size_t most)
{
    if (offset >= document->length)
        return buffer_append_byte(reply, 'l');
    size_t left = document->length - (size_t)offset;
    size_t count = length < most ? (size_t)length : most;
    bool last = count >= left;
    return buffer_append_byte(reply, last ? 'l' : 'm') &&
           buffer_append(reply, buffer_bytes(document) + offset, last ? left : count);
}

void features_for_old(struct buffer *document)
{
    static const char refused[] = "<architecture>i8086</architecture>";
    static const char taken[] = "<architecture>i386</architecture> ";
    _Static_assert(sizeof refused == sizeof taken, "replaced in place");

    uint8_t *found = document->length == 0 ? NULL
                                           : memmem(document->data + document->head,
                                                    document->length, refused, sizeof refused - 1);
    if (found)
        memcpy(found, taken, sizeof taken - 1);
}

bool features_memory_map(struct buffer *document, unsigned pointer_size)
{
    bool good =
        buffer_printf(document, "<?xml version=\"1.0\"?>\n"
                                "<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map "
                                "V1.0//EN\" \"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n"
                                "<memory-map>\n");
    if (pointer_size > 4) /* in halves: the length of the whole does not fit 64 bits */
        good = good && buffer_printf(document, "<memory type=\"ram\" start=\"0x0\" "
                                               "length=\"0x8000000000000000\"/>\n"
                                               "<memory type=\"ram\" start=\"0x8000000000000000\" "
                                               "length=\"0x8000000000000000\"/>\n");
    else
        good =
            good && buffer_printf(document,
                                  "<memory type=\"ram\" start=\"0x0\" length=\"0x100000000\"/>\n");
    return good && buffer_printf(document, "</memory-map>\n");
}

bool features_xml_text(struct buffer *document, const char *text)
{
    bool good = true;

    for (; *text && good; text++) {
        switch (*text) {
        case '&':
            good = buffer_printf(document, "&amp;");
            break;
        case '<':
            good = buffer_printf(document, "&lt;");
            break;
        case '>':
            good = buffer_printf(document, "&gt;");
            break;
        case '"':
            good = buffer_printf(document, "&quot;");
            break;
        default:
            good =
                buffer_append_byte(document, *text >= 0x20 && *text < 0x7f ? (uint8_t)*text : '?');
        }
    }
    return good;
}
