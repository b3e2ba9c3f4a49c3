/* Is it a debugger that has connected? A web page can make a browser send what it likes to a local
 * port; a stub that skips what it does not understand would obey the packets in a POST's body. */
#ifndef SB_STUB_INTRUDER_H
#define SB_STUB_INTRUDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that are looked at for a verdict on garbage between packets. */
#define INTRUDER_LOOK 16

enum intruder {
    INTRUDER_NONE,
    INTRUDER_STRANGER, /* not RSP: its first byte is none of + - $ % 0x03 */
    INTRUDER_HTTP,     /* a line of HTTP: an attack */
};
/* The verdict on the first bytes of a connection (at least one). */
enum intruder intruder_first(const uint8_t *bytes, size_t size);
/* Does garbage between packets begin like HTTP? For a connection that began well. */
bool intruder_http(const uint8_t *bytes, size_t size);

/* When a line about an attack may be logged: once a minute. Zero-initialise. */
struct intruder_log {
    double last;
    bool any;
    unsigned long suppressed; /* since then */
};
/* now: seconds. True: log it (and tell how many were not, which is reset). */
bool intruder_tell(struct intruder_log *log, double now, unsigned long *suppressed);

#endif
