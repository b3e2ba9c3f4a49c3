/* What the files of the ways share; for them alone. */
#ifndef SB_UPSTREAM_WAYS_WAYS_INTERNAL_H
#define SB_UPSTREAM_WAYS_WAYS_INTERNAL_H

#include "base/task.h"
#include "upstream/ways/gate.h"
#include "upstream/ways/tells.h"
#include "upstream/ways/ways.h"

/* By measurement, on QEMU 7.2: from here on a read is quicker through a file than by qtest or the
 * stub. */
#define MEMORY_FILE_LEAST ((size_t)64 * 1024)

/* A write that QEMU fills first, and not by its own bytes: the least that is quicker so than
 * through qtest, all in all and of what lies together. */
#define FILL_LEAST      ((size_t)16 * 1024)
#define FILL_SPAN_LEAST ((size_t)4 * 1024)

struct ways {
    struct stub *stub;
    struct translate *translate;
    struct ways_config config;
    struct qtest *qtest;
    struct direct_ram *direct;
    struct memory_file *file;
    struct endpoint qtest_endpoint; /* where it was opened */
    unsigned holds, busy;
    struct task_cond idle;
    struct gate gate;
    struct tells_state tells;
    char notes[WAYS][160]; /* why it is not open */
    struct {
        uint64_t calls, read, written;
    } counts[WAYS];
};

/* Something that a resume has to wait for begins. False: a resume is about to be sent. */
bool ways_begin(struct ways *ways);
void ways_end(struct ways *ways);

/* How many runs from here lie behind each other, at the target and here; *length: all of them. */
size_t ways_span(const struct target_span *runs, size_t count, size_t *length);
/* These are done. */
void ways_settle(struct target_span *runs, size_t count);
/* One span within region. TARGET_UNSUPPORTED: by another way, please; and where a write has to be
 * filled first. */
enum target_error ways_by_direct_ram(struct ways *ways, target_client client,
                                     const struct target_region *region, uint64_t physical,
                                     uint8_t *bytes, size_t length, bool write);
/* The write of RAM that QEMU has translated code of: QEMU fills the range with zeros, which drops
 * the code, and the bytes are copied into its memory. Nobody else of ours is at the target's memory
 * meanwhile. Runs that are worth it are done. True: something came in between, and there may be
 * zeros where the runs that are not done belong. They have to be written by another way at once,
 * with the others still shut out, then ways_filler_gone() is to be called. */
bool ways_fill_and_copy(struct ways *ways, target_client client, struct target_span *runs,
                        size_t count);
void ways_filler_gone(struct ways *ways);

bool ways_running(const struct ways *ways);
bool ways_file_usable(const struct ways *ways);
/* Single accesses through qtest, each run one of them. */
enum target_error ways_natural(struct ways *ways, struct target_span *runs, size_t count,
                               bool write);
/* Everything that is not done yet, through the stub. */
enum target_error ways_by_stub(struct ways *ways, target_client client, struct target_span *runs,
                               size_t count, bool is_natural, bool write);
/* Runs some of which reach an unknown region: by the stub alone while the target is halted. What is
 * written to memory there counts where it is read back. */
enum target_error ways_unknown(struct ways *ways, target_client client, enum target_access access,
                               struct target_span *runs, size_t count, bool write);
/* Runs of RAM and ROM in bulk, by whichever ways are best. */
enum target_error ways_bulk(struct ways *ways, target_client client, struct target_span *runs,
                            size_t count, bool write);

#endif
