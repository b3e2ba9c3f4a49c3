/* The test guest: what its parts promise each other. The map, the commands and the lines it prints
 * are described in README.md; the end-to-end tests hold the guest to that page. */
#ifndef TEST_GUEST_H
#define TEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CPUS    2
#define PAGE_SIZE   4096u
#define LINE_LENGTH 9000

/* Pages of the test window, at the same offsets on every machine that has one. */
enum window_page {
    PAGE_A = 0x0,
    PAGE_B = 0x1000,
    PAGE_HOLE = 0x2000,
    PAGE_C = 0x3000,
    PAGE_READ_ONLY = 0x4000,
    PAGE_PER_CPU = 0x5000,
    PAGE_NOWHERE = 0x6000,
    PAGE_FLIP = 0x7000,
    PAGE_ROM = 0x8000,
    PAGE_MAILBOX = 0x9000,
    PAGE_CODE = 0xa000,
    PAGE_SCRATCH = 0xf000, /* what the command "phys" maps its pages at */
    WINDOW_SIZE = 0x10000,
};

/* What a debugger writes to be heard without the serial port: when seq changes, the guest prints
 * the length bytes that it sees at address. beat[n] grows with every turn of processor n's loop. */
struct mailbox {
    uint32_t seq;
    uint32_t length;
    uint64_t address;
    uint64_t beat[MAX_CPUS];
};

/* guest.c */

/* Commands, for ever. */
_Noreturn void guest_main(void);
/* One turn of the loop of a processor that takes no commands itself. */
void guest_beat(unsigned cpu);
/* Called by the exception handler. Does not return: the command that faulted answers "fault". */
_Noreturn void guest_fault(uint64_t vector, uint64_t where);
/* printf's %s %x %d and no more; %x takes a uint64_t. */
void guest_print(const char *format, ...);
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

/* the machine (x86.c, aarch64.c, ppc.c) */

extern const char machine_name[];
/* NULL where there is no map */
volatile struct mailbox *machine_mailbox(void);
unsigned machine_cpus(void);
unsigned machine_cpu(void);
int machine_get(void); /* a character, or -1 when there is none yet */
void machine_put(char c);
/* Rest until something may have happened, at most about a millisecond. */
void machine_idle(void);
void machine_spin(bool on); /* from now on machine_idle returns at once */
/* Run fn(argument) on that processor and wait for its end. */
bool machine_run_on(unsigned cpu, void (*fn)(void *), void *argument);
/* Change one page of the test window in every address space. false: not possible here. */
bool machine_map(uint64_t page, uint64_t physical, bool writable);
bool machine_unmap(uint64_t page);
bool machine_in(unsigned size, uint16_t port, uint32_t *value);
bool machine_out(unsigned size, uint16_t port, uint32_t value);
/* Bytes that were just written will be run. */
void machine_sync_code(uint64_t address, size_t length);
void machine_exit(uint32_t code);
void machine_reset(void);

#endif
