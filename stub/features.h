/* What client and stub tell each other that they can do, and the documents that a stub offers: pure
 * text. Source: the GDB manual, "General Query Packets" (qSupported, qXfer). */
#ifndef SB_STUB_FEATURES_H
#define SB_STUB_FEATURES_H

#include "base/buffer.h"
#include "stub/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The longest request payload that is accepted, and the longest reply that is made; as announced.
 */
#define FEATURES_PACKET_SIZE ((size_t)0x20000)

/* Who is there, as far as it shows in what it says. For people only: nothing is decided by it. */
enum client_kind {
    CLIENT_OTHER,
    CLIENT_GDB,  /* says swbreak+ */
    CLIENT_LLDB, /* says xmlRegisters=…,arc, or asks for something only lldb asks for */
    CLIENT_IDA,  /* qSupported:xmlRegisters=i386,arm,mips and nothing else, or nothing at all */
};
const char *client_kind_text(enum client_kind kind);

/* What a client has announced. */
struct client_features {
    enum client_kind kind;
    bool announced;    /* there was a qSupported */
    bool any;          /* it announced something that it can do, with a + */
    bool multiprocess; /* and it does name processes */
    bool swbreak, hwbreak;
    bool error_message; /* E.text is understood */
    /* It gets the words and forms that came late to the protocol: binary-upload (the bytes of an x
     * reply behind a b), run-length. */
    bool modern;
};
void features_parse_client(struct client_features *features, const struct request *request);

/* What the upstream stub and the front together offer. */
struct stub_offer {
    bool description; /* qXfer:features:read */
    bool memory_map;  /* our own */
    bool breaks;      /* swbreak, hwbreak: upstream says so, or we know */
    bool reverse_step, reverse_continue;
    const char *upstream; /* gdbserver's own reply, of which what we do not do ourselves is passed
                             on; NULL */
};
/* Append the reply to qSupported. */
bool features_reply(struct buffer *reply, const struct client_features *client,
                    const struct stub_offer *offer);
/* Does an upstream's reply to qSupported contain that feature, exactly ("qXfer:features:read+")? */
bool features_have(const char *upstream, const char *feature);

/* Append a qXfer reply: m or l and the part of document asked for, at most most bytes. */
bool features_chunk(struct buffer *reply, const struct buffer *document, uint64_t offset,
                    uint64_t length, size_t most);
/* Clients that announce nothing (IDA) refuse i8086: give i386. In place. */
void features_for_old(struct buffer *document);
/* All of the address space as memory: addresses are virtual ones, what is behind them is the page
 * tables' affair and changes, and a debugger takes what a map does not list for not there. */
bool features_memory_map(struct buffer *document, unsigned pointer_size);
/* Append text with the characters that mean something in XML written as references. */
bool features_xml_text(struct buffer *document, const char *text);

#endif
