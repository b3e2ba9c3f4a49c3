/* The guest's RAM where it lies in QEMU's own memory, read and written from outside
 * (process_vm_readv, process_vm_writev). Only for plain RAM, never for ROM, devices or what a PCI
 * device has brought along, and only while the target is halted.
 *
 * What QEMU does with a write of its own is not done here: code that TCG has translated from the
 * bytes stays, and neither migration nor a display hears of it. enum direct_ram_writes says what
 * the caller has to do about the code. */
#ifndef SB_UPSTREAM_WAYS_DIRECT_RAM_H
#define SB_UPSTREAM_WAYS_DIRECT_RAM_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"

struct direct_ram;
struct failure;

/* How bytes may be written so that no code stays that was translated from the old ones. */
enum direct_ram_writes {
    DIRECT_RAM_FILLED_FIRST, /* after a fill of the same range by QEMU, which drops what it has
                              * translated of any of these bytes; right everywhere */
    DIRECT_RAM_PLAIN,        /* nothing is translated: KVM */
};

/* Where a range of the guest's RAM lies in QEMU's memory, while the map's number is that. */
struct direct_ram_place {
    uint64_t host, changes;
};

/* NULL when out of memory. */
struct direct_ram *direct_ram_new(struct stub *stub);
void direct_ram_free(struct direct_ram *direct);
/* In a task, target halted: find QEMU's process and see that its memory can be read. On failure
 * `failure` says why not. */
enum target_error direct_ram_open(struct direct_ram *direct, struct failure *failure);
void direct_ram_close(struct direct_ram *direct);
bool direct_ram_opened(const struct direct_ram *direct);
enum direct_ram_writes direct_ram_writes(const struct direct_ram *direct);
/* Find length bytes at physical that lie within region, a REGION_RAM of the map as it stands;
 * changes: the map's number. TARGET_UNSUPPORTED: they cannot be reached so. In a task; may suspend.
 */
enum target_error direct_ram_find(struct direct_ram *direct, target_client client,
                                  const struct target_region *region, uint64_t changes,
                                  uint64_t physical, size_t length, struct direct_ram_place *place);
/* Move length bytes of what was found; changes: the map's number now. Never suspends.
 * TARGET_UNSUPPORTED: it cannot be done so; some of it may have been moved. TARGET_RUNNING:
 * nothing was moved. */
enum target_error direct_ram_move(struct direct_ram *direct, const struct direct_ram_place *place,
                                  uint64_t changes, uint8_t *bytes, size_t length, bool write);
/* The answer to gpa2hva for an address in the region of that name. False where it is another. */
bool direct_ram_parse_host(const char *text, uint64_t physical, const char *name, uint64_t *host);
/* What "info kvm" means for writes. */
enum direct_ram_writes direct_ram_parse_writes(const char *kvm);

#endif
