/* What the files of the ways share; for them alone. */
#ifndef SB_TARGET_WAYS_INTERNAL_H
#define SB_TARGET_WAYS_INTERNAL_H

#include "base/task.h"
#include "target/ways.h"

/* By measurement, on QEMU 7.2: from here on a read is quicker through a file than by qtest or the
 * stub. */
#define MEMORY_FILE_LEAST ((size_t)64 * 1024)

struct ways {
    const struct monitor *monitor;
    struct translate *translate;
    struct ways_config config;
    struct qtest *qtest;
    struct direct_ram *direct;
    struct memory_file *file;
    unsigned holds, busy;
    struct task_cond idle;
    char notes[WAYS][160]; /* why it is not open */
    struct {
        uint64_t calls, read, written;
    } counts[WAYS];
};

bool ways_running(const struct ways *ways);
bool ways_file_usable(const struct ways *ways);
/* The target's number that these bytes are; width: at most 8. */
uint64_t ways_decode(const uint8_t *bytes, size_t width, bool big_endian);
/* Single accesses through qtest, each run one of them. */
enum target_error ways_natural(struct ways *ways, struct target_run *runs, size_t count,
                               bool write);
/* Everything that is not done yet, through the stub. */
enum target_error ways_by_stub(struct ways *ways, target_client client, struct target_run *runs,
                               size_t count, bool is_natural, bool write);
/* Runs of RAM and ROM in bulk, by whichever ways are best. */
enum target_error ways_bulk(struct ways *ways, target_client client, struct target_run *runs,
                            size_t count, bool write);

#endif
