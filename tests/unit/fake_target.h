/* A target made of plain arrays, for the tests of the layers above the target: memory regions, a
 * page table for each processor, ports, a log of every operation, faults by countdown. It never
 * suspends by itself: a hook may, before and after each operation, so that tests with tasks choose
 * where calls interleave. */
#ifndef SB_TESTS_FAKE_TARGET_H
#define SB_TESTS_FAKE_TARGET_H

#include "upstream/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAKE_REGIONS    16
#define FAKE_PROCESSORS 4
#define FAKE_PAGES      512

enum fake_op {
    FAKE_TRANSLATE,
    FAKE_CLASSIFY,
    FAKE_READ_VIRTUAL,
    FAKE_WRITE_VIRTUAL,
    FAKE_READ_PHYSICAL,
    FAKE_WRITE_PHYSICAL,
    FAKE_PORT_IN,
    FAKE_PORT_OUT,
    FAKE_BUS,
    FAKE_POINTER_SIZE,
    FAKE_RESUME,
    FAKE_INTERRUPT,
    FAKE_WAIT,
};

/* One run, one port access, or one call of the rest (length then counts pages). */
struct fake_entry {
    enum fake_op op;
    target_client client;
    unsigned cpu;
    uint64_t address;
    size_t length;
    enum target_access access; /* physical ones */
};

struct fake_mapping {
    unsigned cpu;
    uint64_t page, physical;
};

/* A byte of physical memory that is a page table: whoever writes it gets that page mapped there. */
struct fake_table_byte {
    uint64_t address; /* physical */
    unsigned cpu;
    uint64_t page, physical;
};

struct fake_target {
    struct target base;
    struct target_info info;
    enum target_state state;
    const struct target_listener *listener;

    struct target_region region[FAKE_REGIONS]; /* rising, without overlap */
    uint8_t *memory[FAKE_REGIONS];
    size_t regions;
    struct fake_mapping mapping[FAKE_PAGES];
    size_t mappings;
    struct fake_table_byte table_byte;
    uint64_t epoch;
    bool epoch_on_write; /* the epoch moves with every write, as on a target that cannot know better
                          */
    bool translate_running; /* a monitor answers translations while the target runs */
    size_t read_limit;      /* virtual reads of more bytes than this fail (0: none do) */
    unsigned pointer_size;
    uint8_t ports[0x10000 + 4];
    unsigned pci_buses;
    bool ports_together;            /* several port writes can be under way at the same time */
    size_t together, together_most; /* how often they were, and how many of them at most */
    const struct target_transport *transports; /* the ways that it says it has */
    size_t transports_count;
    const char *port_complaint; /* what the monitor prints after a port write; NULL: nothing */

    long fail_after; /* that many more runs or port accesses succeed (-1: all) */
    enum target_error fail_error;
    size_t fail_done;               /* bytes of the failing run that are acknowledged */
    enum target_error resume_error; /* what a resume fails with, the views once flushed */
    long lose_after;                /* after that many more, the connection is lost (-1: never) */

    void (*hook)(void *context, enum fake_op op, bool after);
    void *hook_context;

    struct fake_entry *log;
    size_t log_count, log_capacity;
};

/* Halted, one processor, physical space and ports, 64-bit little-endian, nothing mapped. */
void fake_init(struct fake_target *fake);
void fake_free(struct fake_target *fake);
/* Memory of size bytes from first on; give them in rising order. Returns the region for flags and
 * name. */
struct target_region *fake_region(struct fake_target *fake, enum region_kind kind, uint64_t first,
                                  size_t size, const char *name);
void fake_map(struct fake_target *fake, unsigned cpu, uint64_t page, uint64_t physical);
void fake_unmap(struct fake_target *fake, unsigned cpu, uint64_t page);
/* Where that byte of physical memory lives; the test fails when there is none. */
uint8_t *fake_byte(struct fake_target *fake, uint64_t physical);

void fake_clear_log(struct fake_target *fake);
size_t fake_count(const struct fake_target *fake, enum fake_op op);
/* The nth (from 0) operation of that kind; the test fails when there is none. */
const struct fake_entry *fake_nth(const struct fake_target *fake, enum fake_op op, size_t nth);
/* Operations that moved, or would have moved, bytes upstream: all but classify. */
size_t fake_traffic(const struct fake_target *fake);

/* The target is resumed by others, halts, is lost, or comes back; listeners are told as the real
 * one does. */
void fake_resume_by_others(struct fake_target *fake);
void fake_halt(struct fake_target *fake);
void fake_lose(struct fake_target *fake);
void fake_return(struct fake_target *fake);
/* Memory changed behind everybody's back (a reset). */
void fake_memory_changed(struct fake_target *fake);

#endif
