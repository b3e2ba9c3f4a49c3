/* The far end of an RSP connection, for tests: says and hears what a test tells it to. Every
 * function runs in a task and fails the test when it waits in vain. */
#ifndef SB_TESTS_FAKE_STUB_H
#define SB_TESTS_FAKE_STUB_H

#include "base/buffer.h"
#include "rsp/packet.h"

#include <stdbool.h>
#include <stddef.h>

struct fake_stub {
    bool patient; /* bytes that are no packets do not fail the test; fake_stub_init clears it */
    int fd;
    struct buffer in;
    struct packet_reader reader;
    char packet[8192]; /* the last one heard */
    size_t length;
    unsigned acks; /* heard so far */
    bool ended;    /* the other side has closed */
};

void fake_stub_init(struct fake_stub *stub, int fd);
void fake_stub_free(struct fake_stub *stub);
/* Say bytes as they stand, or a packet with its frame, or "+" and a packet. */
void fake_stub_bytes(struct fake_stub *stub, const char *bytes, size_t length);
void fake_stub_packet(struct fake_stub *stub, const char *payload);
void fake_stub_reply(struct fake_stub *stub, const char *payload);
/* The next packet, false when the connection has ended; acks are counted on the way. */
bool fake_stub_hear(struct fake_stub *stub);
/* The same, but only for so many seconds; false too when nothing came. */
bool fake_stub_hear_within(struct fake_stub *stub, double seconds);
/* The next packet must be that one. */
void fake_stub_expect(struct fake_stub *stub, const char *payload);
/* The same, and it is answered. */
void fake_stub_answer(struct fake_stub *stub, const char *payload, const char *reply);
/* The next byte must be that one: an ack, a NAK or an interrupt. */
void fake_stub_expect_byte(struct fake_stub *stub, char byte);
/* Nothing may be waiting to be heard. */
void fake_stub_expect_silence(struct fake_stub *stub);
/* The other side must have closed (it may have said something before). */
void fake_stub_expect_end(struct fake_stub *stub);

#endif
