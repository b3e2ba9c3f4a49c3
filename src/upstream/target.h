/* The target as the layers above see it: a small table of functions for each concern. src/upstream
 * implements them on a GDB stub and a monitor; unit tests implement them on plain arrays
 * (tests/unit/fake_target.h).
 *
 * Every function may suspend the calling task until the target has answered; none suspends without
 * need, so that on a fake target they work with no task at all. Each is safe to call from many
 * tasks at once: requests of all callers go through one ordered queue that takes turns between
 * them.
 *
 * Addresses are the target's, 64 bits; sizes and lengths are bytes. failure (base/failure.h) says
 * more about an error where there is more to say; it may be NULL, and is clear at first. */
#ifndef SB_UPSTREAM_TARGET_H
#define SB_UPSTREAM_TARGET_H

#include "upstream/types.h"

struct buffer;
struct description;
struct failure;
struct target;

/* What the target is; valid until the target is lost, then again after the next attach. */
struct target_info {
    char architecture[64]; /* target.xml's name ("i386:x86-64", "aarch64", "powerpc:common"), "" if
                              unknown */
    char upstream[720];    /* a line for people: "QEMU 7.2.22 (gdb unix:…, qmp unix:…)" */
    unsigned pointer_size; /* 4 or 8; of the first processor when last asked, for people */
    bool big_endian;
    bool order_unknown; /* big_endian means nothing: nobody tells how this machine keeps numbers */
    unsigned processors;
    bool physical; /* has a physical space, and a map of it */
    bool ports;    /* its processor has a port space that can be reached */
    bool qemu;     /* the stub is QEMU's */
    /* these can be reached while the target runs, too, without stopping it: physical memory, and
     * virtual memory by translation */
    bool live_physical, live_virtual;
    /* the stub's reply to our qSupported, as it came; "" while it is lost */
    const char *features;
    /* target.xml and what it includes, as the stub gave them; NULL while it is lost */
    const struct description *description;
};

/* What the target tells the layer above. Each may be NULL. `before_resume` is called in the task
 * that is about to resume or step the target: it writes back whatever must be in the target first,
 * and may suspend; it returns false to call the resume off (the resume then gives TARGET_FAILED
 * with that failure). It is called again until it had nothing to write, so that nothing slips in
 * between it and the resume. The others are told from the loop or a task, must not suspend. */
struct target_listener {
    void *context;
    /* *wrote: something was written in this call, ask again */
    bool (*before_resume)(void *context, target_client client, bool *wrote,
                          struct failure *failure);
    /* the state changed, for whatever reason; text: for people and WaitForEvent */
    void (*state_changed)(void *context, enum target_state state, const char *text);
    /* clean copies of memory are worth nothing any more: resumed, reset, lost, reattached */
    void (*memory_changed)(void *context);
    /* the connection upstream is lost: dirty bytes can never be written. Before state_changed(LOST)
     */
    void (*lost)(void *context, const char *reason);
};

/* What the target is, and who hears of it. */
struct target_about {
    const struct target_info *(*info)(struct target *);
    void (*set_listener)(struct target *, const struct target_listener *);
    /* The ways upstream, at most `most` of them; returns how many. May be NULL. */
    size_t (*transports)(struct target *, struct target_transport *, size_t most);
};

/* Transfers. The answer is in the spans; the return value is the first span's error that is not
 * OK. A virtual write must only be asked for RAM and ROM (a device would lose it, see
 * docs/design.md, "What must never reach QEMU"). Physical: checked against the map by the
 * caller. */
struct target_memory {
    /* The region that holds a physical address (a hole is a region). */
    enum target_error (*classify)(struct target *, target_client, uint64_t physical,
                                  struct target_region *out);
    enum target_error (*read_virtual)(struct target *, target_client, unsigned cpu,
                                      struct target_span *, size_t);
    enum target_error (*write_virtual)(struct target *, target_client, unsigned cpu,
                                       struct target_span *, size_t);
    enum target_error (*read_physical)(struct target *, target_client, enum target_access,
                                       struct target_span *, size_t);
    enum target_error (*write_physical)(struct target *, target_client, enum target_access,
                                        struct target_span *, size_t);
    /* Read virtual memory without halting the target, through the monitor, on a running target with
     * QMP; TARGET_RUNNING where that cannot be. Spans as in read_virtual. May be NULL. */
    enum target_error (*read_live)(struct target *, target_client, unsigned cpu,
                                   struct target_span *, size_t);
    /* Accesses of a device (REGION_DEVICE) at physical addresses, as read_physical and
     * write_physical with TARGET_ACCESS_NATURAL: by a way that tells whether the device took them,
     * where there is one. seen: where they are seen, all of them on one page; NULL: it is not
     * known. *doubt: NULL, or a few words (static text) on why it cannot be told: what has no error
     * then was sent, no more. May be NULL: the two above tell. */
    enum target_error (*access_device)(struct target *, target_client,
                                       const struct target_seen *seen, struct target_span *, size_t,
                                       bool write, const char **doubt);
    /* Fill physical RAM with a byte, quicker than by writing it; the caller has asked the map.
     * *done: how much was filled. TARGET_UNSUPPORTED: there is no quicker way, the rest is to be
     * written. May be NULL. */
    enum target_error (*fill_physical)(struct target *, target_client, uint64_t physical,
                                       uint64_t length, uint8_t byte, uint64_t *done);
};

/* Whether it runs. */
struct target_run {
    enum target_state (*state)(struct target *);
    /* Resume all processors, or step one. TARGET_RUNNING when it runs already. Returns once the
     * stub has taken it, does not wait for the stop. */
    enum target_error (*resume)(struct target *, target_client, enum target_resume, unsigned cpu,
                                struct failure *failure);
    /* Ask a running target to halt; never suspends; TARGET_OK too when it is halted. */
    enum target_error (*interrupt)(struct target *, target_client);
    /* Wait until the target is halted or lost, at most timeout seconds (< 0: for ever) or until
     * *cancel is set and wait_cancel is called. TARGET_OK: halted, text (size bytes) says why;
     * TARGET_RUNNING: time is over; TARGET_CANCELLED; TARGET_GONE. */
    enum target_error (*wait)(struct target *, target_client, double timeout, const bool *cancel,
                              char *text, size_t size);
    void (*wait_cancel)(struct target *);
    /* For the GDB front; NULL in a target that has none before it. Resume in a client's own words:
     * a payload (vCont;…, c, s, C…, S…, bc, bs, vRun;…) with the thread ids of the upstream stub,
     * sent as it stands after before_resume as with resume(). thread: what Hc names (0: any). What
     * this stub must never get (docs/design.md, "What must never reach QEMU") is TARGET_INVALID.
     * Returns once the stub has taken it. */
    enum target_error (*resume_packet)(struct target *, target_client, uint64_t thread,
                                       const void *payload, size_t length, struct failure *failure);
    /* As resume_packet, NULL where that is. The stop reply ("T05thread:01;", "W00") that tells why
     * the target is halted or gone, as the stub gave it, or made up ("T02thread:01;") where another
     * way than the stub stopped it; "": not known. Of any length, valid until the caller suspends.
     */
    const char *(*stop_reply)(struct target *);
};

/* How the processors see memory. */
struct target_processors {
    /* Translate count virtual page addresses (multiples of the page size) as that processor sees
     * them. Kept until it may have changed. Needs the target halted, unless a QMP monitor is there.
     * Returns other than TARGET_OK only when nothing can be said of any page. */
    enum target_error (*translate)(struct target *, target_client, unsigned cpu,
                                   const uint64_t *pages, size_t count,
                                   struct target_translation *out);
    /* A number that changes whenever a translation may have changed. */
    uint64_t (*translation_epoch)(struct target *);
    /* Bytes of a pointer as that processor stands: x86-64 8 while EFER.LMA is set, else 4. */
    enum target_error (*pointer_size)(struct target *, target_client, unsigned cpu, unsigned *size);
};

/* The processor's port space. A target may have this table and no ports: info.ports says it. */
struct target_ports {
    /* One access, size 1, 2 or 4, port + size <= 0x10000. failure says what the monitor
     * printed when it failed. Exactly one monitor command. */
    enum target_error (*in)(struct target *, target_client, uint16_t port, unsigned size,
                            uint32_t *value, struct failure *failure);
    enum target_error (*out)(struct target *, target_client, uint16_t port, unsigned size,
                             uint32_t value, struct failure *failure);
    /* Writes in order, one access each, under way at the same time. TARGET_UNSUPPORTED: nothing was
     * done, they are to be made one by one. Else each has its own error, and that of the first that
     * failed is returned; failure says why. Those behind it may have been made all the same, and
     * none must be made again. May be NULL. */
    enum target_error (*out_all)(struct target *, target_client, struct target_port_write *,
                                 size_t count, struct failure *failure);
    /* Does the target have that PCI bus? */
    enum target_error (*has_pci_bus)(struct target *, target_client, unsigned bus, bool *present);
};

/* What others say in their own words. */
struct target_packets {
    /* One monitor command line, as that processor (HMP text). While the target runs it needs QMP.
     * text gets what the monitor printed. */
    enum target_error (*monitor)(struct target *, target_client, unsigned cpu, const char *command,
                                 struct buffer *text);
    /* One RSP request as it stands (unescaped payload) and its reply, for the GDB front. For a
     * thread of the upstream stub by its RSP id (0: any): the threads of a process come and go, and
     * have no processor's number. Never for anything that resumes, detaches or kills. */
    enum target_error (*packet_thread)(struct target *, target_client, uint64_t thread,
                                       const void *payload, size_t length, struct buffer *reply);
};

/* What implementations begin with. A table that may be NULL can come and go with an attach, so look
 * again after whatever may suspend. */
struct target {
    const struct target_about *about;
    const struct target_memory *memory;
    const struct target_run *run;
    const struct target_processors *processors;
    const struct target_ports *ports;     /* NULL: this kind of target has no such thing */
    const struct target_packets *packets; /* NULL: nobody's words are passed on */
};

#endif
