/* The lines that QEMU's human monitor takes and prints: pure formatting and parsing. Measured on
 * QEMU 7.2, 10.0 and 11.1; texts are NUL-terminated, lines ended by LF (through QMP: CR LF) or CR
 * LF. Lines that are no answer are passed over; two answers are none. */
#ifndef SB_UPSTREAM_LINK_MONITOR_TEXT_H
#define SB_UPSTREAM_LINK_MONITOR_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any line made here, NUL included. */
#define MONITOR_LINE_SIZE 64

/* Can there be such an access? size: bytes. False for any but 1, 2 or 4, for a port that would pass
 * 0xffff and for a value that does not fit size. */
bool monitor_text_port_valid(uint16_t port, unsigned size, uint32_t value);
/* The `i` and `o` commands for one access into line (MONITOR_LINE_SIZE
 * bytes). The size is always spelled out: the monitor would else take that of its previous command.
 * False where there can be no such access. */
bool monitor_text_port_in(char *line, uint16_t port, unsigned size);
bool monitor_text_port_out(char *line, uint16_t port, unsigned size, uint32_t value);
/* The answer to monitor_text_port_in of the same port and size. False where text is anything else.
 */
bool monitor_text_parse_port_in(const char *text, uint16_t port, unsigned size, uint32_t *value);

/* The `gva2gpa` command for a virtual address. */
void monitor_text_gva2gpa(char *line, uint64_t address);
enum monitor_translation {
    MONITOR_MAPPED,   /* *physical is set */
    MONITOR_UNMAPPED, /* there is no page */
    MONITOR_UNKNOWN,  /* the monitor said something else */
};
enum monitor_translation monitor_text_parse_gva2gpa(const char *text, uint64_t *physical);

/* The `gpa2hva` command for a physical address. */
void monitor_text_gpa2hva(char *line, uint64_t physical);
enum monitor_host {
    MONITOR_HOST_MEMORY,  /* RAM or ROM lies there, and *host is where QEMU has it */
    MONITOR_HOST_DEVICE,  /* something else answers there */
    MONITOR_HOST_NOTHING, /* nobody answers */
    MONITOR_HOST_UNKNOWN, /* the monitor said something else */
};
/* The answer to monitor_text_gpa2hva of the same address. name (size bytes): of the memory. */
enum monitor_host monitor_text_parse_gpa2hva(const char *text, uint64_t physical, uint64_t *host,
                                             char *name, size_t size);

/* The answer to `info status`. False where it is something else. *running: does the guest run.
 * state (size bytes, may be NULL): the monitor's own word for it, "running", "paused", "prelaunch",
 * "debug", … */
bool monitor_text_parse_status(const char *text, bool *running, char *state, size_t size);

/* What the monitor printed as one short line for a message: line ends become "; ", unprintable
 * characters "?", cut to size bytes, NUL included. Returns message. "" where nothing but white
 * space was printed, which is how `o` says that all went well. */
const char *monitor_text_message(const char *text, char *message, size_t size);

#endif
