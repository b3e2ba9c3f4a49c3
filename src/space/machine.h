/* What the fronts may ask of the machine itself: what it is, what lies behind its addresses, its
 * monitor, and the ways to it. */
#ifndef SB_SPACE_MACHINE_H
#define SB_SPACE_MACHINE_H

#include "space/types.h"

struct buffer;
struct description;
struct session;

struct machine_info {
    /* target.xml's name ("i386:x86-64", "aarch64", "powerpc:common"), "" if unknown */
    const char *architecture;
    const char *upstream;  /* a line for people: "QEMU 7.2.22 (gdb unix:…, qmp unix:…)" */
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
    /* the stub's reply to our qSupported, as it came; NULL or "" while it is lost */
    const char *features;
    /* target.xml and what it includes, as the stub gave them; NULL while it is lost */
    const struct description *description;
};

/* As it stands now. What it points to is good until the caller suspends. */
struct machine_info session_machine(const struct session *session);

/* Where a virtual page lies. */
struct space_page {
    enum space_error error; /* SPACE_FAULT: not mapped; nothing else is set then */
    uint64_t physical;      /* of the page */
    enum space_region region;
    char name[64]; /* the map's name for it: "pc.ram"; "" for a hole */
};
/* What lies behind count pages (multiples of SPACE_PAGE_SIZE), as the current processor sees them.
 */
HRESULT session_translate(struct session *session, const uint64_t *pages, size_t count,
                          struct space_page *found);

/* One line for the target's monitor; what it printed is appended to text, also on failure. Writes
 * this session's view back first, as far as the target is halted. */
HRESULT session_monitor(struct session *session, const char *command, struct buffer *text);
/* The same for a line that has nothing to do with memory, as that processor (from 0 on): no view is
 * written back, and no sentence is left. */
enum space_error session_ask_monitor(struct session *session, unsigned processor,
                                     const char *command, struct buffer *text);

/* A way upstream, and what went by it since the daemon began. */
struct space_transport {
    const char *name;
    bool open;
    uint64_t calls, bytes_read, bytes_written;
    char note[160]; /* why it is not open; "" where there is nothing to say */
};
#define SPACE_TRANSPORTS_MOST 8
/* The ways upstream, at most `most` of them; returns how many. */
size_t session_get_transport_status(struct session *session, struct space_transport *ways,
                                    size_t most);

#endif
