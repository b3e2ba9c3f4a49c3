/* Physical memory read in bulk through a file in memory: QEMU's monitor writes it there (pmemsave),
 * and we read it. The file has no name but /proc/PID/fd/N, which only this user can open. */
#ifndef SB_UPSTREAM_WAYS_MEMORY_FILE_H
#define SB_UPSTREAM_WAYS_MEMORY_FILE_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"

struct memory_file;

/* The most bytes of one read: QEMU does nothing else meanwhile. */
#define MEMORY_FILE_MOST ((size_t)512 * 1024)
/* Files, so that QEMU fills one while we take in the other. */
#define MEMORY_FILES 2u

/* NULL when out of memory. */
struct memory_file *memory_file_new(struct stub *stub);
void memory_file_free(struct memory_file *file);
/* May it be tried? False once this QEMU could not write to our file, and where it is not known to
 * be a process of this system. */
bool memory_file_open(const struct memory_file *file);
/* Another QEMU, another chance. With its stub connected. */
void memory_file_reset(struct memory_file *file);
/* Read length bytes (1 to MEMORY_FILE_MOST) of RAM and ROM: pmemsave reports no errors, and would
 * read devices. which: the file to take, below MEMORY_FILES; who comes second waits.
 * TARGET_UNSUPPORTED: it cannot be done so. In a task. */
enum target_error memory_file_read(struct memory_file *file, unsigned which, target_client client,
                                   uint64_t physical, uint8_t *bytes, size_t length);

#endif
