/* The words in which the layers above and below speak of a target: errors, regions, spans.
 * Addresses are the target's, 64 bits; sizes and lengths are bytes. */
#ifndef SB_UPSTREAM_TYPES_H
#define SB_UPSTREAM_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The grain of everything that is counted: translation, views, partial success. */
#define TARGET_PAGE_SIZE 4096u
#define TARGET_PAGE_MASK (~(uint64_t)(TARGET_PAGE_SIZE - 1))

enum target_error {
    TARGET_OK = 0,
    TARGET_FAULT,       /* the target refused the access: nothing there, or not writable */
    TARGET_RUNNING,     /* the target runs and this needs it halted; nothing was sent */
    TARGET_GONE,        /* the target is lost (closed, timed out, never there) */
    TARGET_UNSUPPORTED, /* this target cannot do this at all */
    TARGET_INVALID,     /* a parameter makes no sense to the target (no such processor) */
    TARGET_FAILED,      /* it answered something else: message says what */
    TARGET_NO_MEMORY,
    TARGET_CANCELLED, /* the caller's own wait was called off */
};
/* A few words for messages: "the target is running". */
const char *target_error_text(enum target_error error);

enum target_state { TARGET_STATE_LOST, TARGET_STATE_HALTED, TARGET_STATE_RUNNING };

/* Whose call it is, for taking turns; a connection has one. 0 is the daemon itself. */
typedef uint32_t target_client;

enum region_kind {
    REGION_NONE, /* unassigned: nothing answers */
    REGION_RAM,  /* plain memory (a PCI BAR of memory too: see pci_bar) */
    REGION_ROM,  /* memory that the guest cannot write: rom, and romd while it reads as an array */
    REGION_DEVICE, /* registers: every access counts, and none may be made that was not asked for */
};
const char *region_kind_text(enum region_kind kind);

/* One range of the target's physical memory map that answers in one way. */
struct target_region {
    uint64_t first, last; /* inclusive; for REGION_NONE the extent of the hole */
    enum region_kind kind;
    bool pci_bar;      /* lies in a PCI memory BAR */
    bool prefetchable; /* of a BAR: advertised as prefetchable */
    bool unreachable;  /* nothing upstream can reach it (the local APIC) */
    bool flash;        /* romd: a physical write would be a flash command */
    /* the target's map does not tell for sure: kind is the best that is known. Never cached, and
     * while the target is halted reached through its stub alone */
    bool unknown;
    char name[64]; /* the map's name for it: "pc.ram", "hpet"; "" for a hole */
};

/* Where a virtual page lies. */
struct target_translation {
    enum target_error error; /* TARGET_OK; TARGET_FAULT: not mapped */
    uint64_t physical;       /* of the address asked for, offset included */
    /* what is there. On a target without a physical space (gdbserver) RAM, physical == virtual. */
    struct target_region region;
};

/* One piece of a transfer. It must not cross a page boundary (virtual) or a region's end
 * (physical). Pieces are independent and carried out in order. */
struct target_span {
    uint64_t address;
    uint8_t *bytes; /* a write only reads them */
    size_t length;
    size_t done;             /* out: bytes that were acknowledged, from the start */
    enum target_error error; /* out: why done < length */
};

enum target_access {
    TARGET_ACCESS_BULK, /* largest packets, many in flight; for RAM and ROM */
    /* one request for each span, which is naturally aligned and 1, 2, 4 or 8 bytes long: one access
     * each, one after the other; after the first failure the rest is not sent (error
     * TARGET_CANCELLED) */
    TARGET_ACCESS_NATURAL,
};

/* Where a span of physical addresses is seen by a processor; the spans behind it as far behind it.
 */
struct target_seen {
    unsigned cpu;
    uint64_t address; /* virtual, of the first span */
};

enum target_resume { TARGET_RESUME_GO, TARGET_RESUME_STEP };

/* A way upstream, and what went by it since the daemon began. */
struct target_transport {
    const char *name;
    bool open;
    uint64_t calls, bytes_read, bytes_written;
    char note[160]; /* why it is not open; "" where there is nothing to say */
};
#define TARGET_TRANSPORTS_MOST 8

/* One of several port writes. */
struct target_port_write {
    uint16_t port;
    unsigned size; /* 1, 2 or 4; port + size <= 0x10000 */
    uint32_t value;
    enum target_error error; /* out */
};

#endif
