/* What a way to the target's memory and ports is: a row of functions. Each way has a file of its
 * own, which offers its row; ways.c has the table of them, and choose.c asks them.
 *
 * Whatever a way carries out is complete when it returns: acknowledged by QEMU, or done. So a call
 * by one way comes after an earlier one by another. A way counts what it has moved. */
#ifndef SB_UPSTREAM_WAYS_WAY_H
#define SB_UPSTREAM_WAYS_WAY_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"
#include "upstream/ways/ways_config.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct failure;
struct gate;
struct hold;
struct translate;
struct way;

/* What a way may use. All of it outlives the ways, and is used as it stands at each call. */
struct way_context {
    struct ev_loop *loop;
    double timeout; /* seconds of silence after which a connection is given up */
    struct stub *stub;
    struct translate *translate;
    struct ways_config config;
    struct gate *gate; /* who carries something out is in */
    struct hold *hold;
    struct way *qtest; /* for those who need QEMU's own fills; NULL: there is none */
};

/* Physical spans that are to be moved. One that is not done has done 0 and an error that is not
 * TARGET_OK: TARGET_CANCELLED until something better is known. */
struct way_transfer {
    target_client client;
    enum target_access access;
    bool write;
    struct target_span *spans;
    size_t count;
};

/* How the rest of a transfer is carried out: everything that is not done yet, by the ways that
 * come next, or by the last resort alone. */
struct way_rest {
    enum target_error (*carry)(const void *context, const struct way_transfer *transfer,
                               bool last_resort);
    const void *context;
};

/* One access to a port. */
struct way_port {
    target_client client;
    uint16_t port;
    unsigned size; /* 1, 2 or 4; port + size <= 0x10000 */
    bool write;
    uint32_t value; /* in: of a write; out: of a read */
};

/* A row. A function that is NULL says that the way does nothing of that kind; one that returns
 * TARGET_UNSUPPORTED leaves it to the next way. open, take_over, span, spans, fill, port and
 * ports_out are called in a task, and may suspend; the others must not. failure says why
 * something failed; it may be NULL, but not for open. */
struct way_ops {
    const char *name; /* as told to users: "qtest" */
    /* Its spans are carried out while the target runs, too, where QMP tells of that. */
    bool while_running;

    struct way *(*make)(const struct way_context *context); /* NULL: out of memory */
    void (*free)(struct way *way);
    bool (*is_open)(const struct way *way);
    /* Another target is connected to: what was known of the old one is forgotten. The note is
     * empty. */
    void (*reset)(struct way *way);
    /* Open it where it is wanted. Not TARGET_OK when it must be had and cannot. */
    enum target_error (*open)(struct way *way, struct failure *failure);
    void (*close)(struct way *way);
    /* The byte order that it knows its QEMU to have. False: it does not know. */
    bool (*big_endian)(const struct way *way, bool *big_endian);

    /* Virtual spans of a halted target, total bytes in all: is this way so much quicker for them
     * than the stub that it is worth finding out where they lie? */
    bool (*worth_translating)(const struct way *way, size_t count, size_t total, bool write);
    /* A transfer of a halted target, all of it, by this way and, for what it does not do itself, by
     * the rest. False: nothing was done. */
    bool (*take_over)(struct way *way, const struct way_transfer *transfer,
                      const struct way_rest *rest, enum target_error *error);
    /* Does it take spans of RAM or ROM in bulk now? */
    bool (*wants_spans)(const struct way *way, bool write);
    /* One span, of a halted target, within region. Not TARGET_OK: all of it has to be done by
     * another way. done and error of the span are not used. */
    enum target_error (*span)(struct way *way, target_client client,
                              const struct target_region *region, const struct target_span *span,
                              bool write);
    /* All spans of a transfer that are not done yet. Sets their done and error. */
    enum target_error (*spans)(struct way *way, const struct way_transfer *transfer);
    /* Fill RAM with a byte, from *done on; *done: how much of it was. */
    enum target_error (*fill)(struct way *way, uint64_t physical, uint64_t length, uint8_t byte,
                              uint64_t *done);

    enum target_error (*port)(struct way *way, struct way_port *access, struct failure *failure);
    /* Port writes, as target_ports.out_all. */
    enum target_error (*ports_out)(struct way *way, struct target_port_write *writes, size_t count,
                                   struct failure *failure);
};

/* What each way's own struct begins with; way_init sets it. */
struct way {
    const struct way_ops *ops;
    const struct way_context *context;
    char note[160];                /* why it is not open */
    uint64_t calls, read, written; /* bytes; since the daemon began */
};

void way_init(struct way *way, const struct way_ops *ops, const struct way_context *context);
/* Why it is not open; "": nothing to say. */
void way_note(struct way *way, const char *note);
/* What came of opening it, and what that means to the caller of open. failure: what open
 * has said, not NULL. */
enum target_error way_opened(struct way *way, enum ways_choice choice, enum target_error error,
                             struct failure *failure);
/* Count a call that moved so many bytes. */
void way_count(struct way *way, bool write, uint64_t bytes);
void way_count_spans(struct way *way, bool write, const struct target_span *spans, size_t count);

#endif
