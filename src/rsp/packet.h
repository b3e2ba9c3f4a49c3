/* The GDB remote serial protocol's packet layer, for both ends: framing, checksum, escapes,
 * run-length. Source: the GDB manual, appendix "GDB Remote Serial Protocol", Overview. */
#ifndef SB_RSP_PACKET_H
#define SB_RSP_PACKET_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Append $payload#cc. escape: put } before # $ } * in the payload (binary data, or text of a
 * stranger). False when out of memory. */
bool packet_frame(struct buffer *out, const void *payload, size_t length, bool escape);
/* As packet_frame with escape, and runs of a byte shortened by run-length encoding; never a count
 * that comes out as $ # + or -, and only characters 32 to 126 as counts. */
bool packet_frame_rle(struct buffer *out, const void *payload, size_t length);

enum packet_event {
    PACKET_NONE,         /* all bytes are used up, nothing is complete */
    PACKET_DATA,         /* a packet with a good checksum: payload and length */
    PACKET_NOTIFICATION, /* a %notification with a good checksum */
    PACKET_ACK,          /* + */
    PACKET_NAK,          /* - */
    PACKET_INTERRUPT,    /* the byte 0x03 outside a packet */
    PACKET_BAD_CHECKSUM, /* a packet whose checksum is wrong or not hex, whose run-length or escape
                          * is broken, or that a '$' cut short; its payload is dropped */
    PACKET_TOO_LONG,     /* a payload over the limit; its bytes are swallowed up to its checksum */
    PACKET_GARBAGE,      /* any other byte between packets: byte */
    PACKET_NO_MEMORY,
};

/* An incremental reader of a byte stream. */
struct packet_reader {
    /* settings */
    size_t limit;         /* longest payload taken, after expanding; must be set */
    bool keep_escapes;    /* leave } sequences as they came (a proxy that passes bytes through) */
    bool no_rle;          /* '*' is an ordinary character (requests of a gdb never use it) */
    bool ignore_checksum; /* no-ack mode does not promise checksums; we still verify unless set */
    /* what the last event is about */
    const uint8_t *payload; /* valid until the next call; a NUL follows it */
    size_t length;
    uint8_t byte;
    /* inside */
    struct buffer text;
    int state;
    enum packet_event outcome; /* what the packet being read will be reported as */
    int last;                  /* the character that a '*' repeats; -1: there is none yet */
    bool escaped;              /* the character before was an escaping } */
    uint8_t sum;
    uint8_t checksum_high;
};

void packet_reader_init(struct packet_reader *reader, size_t limit);
void packet_reader_free(struct packet_reader *reader);
void packet_reader_reset(struct packet_reader *reader);
/* Take bytes from *bytes (advancing *bytes and *size) until something is complete. */
enum packet_event packet_next(struct packet_reader *reader, const uint8_t **bytes, size_t *size);

#endif
