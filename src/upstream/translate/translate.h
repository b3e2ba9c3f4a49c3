/* From a processor's virtual pages to physical addresses and to what lies there, kept as long as it
 * must be true. */
#ifndef SB_UPSTREAM_TRANSLATE_TRANSLATE_H
#define SB_UPSTREAM_TRANSLATE_TRANSLATE_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"

struct translate;

/* monitor is used as it stands at each call. NULL when out of memory. */
struct translate *translate_new(struct stub *stub);
void translate_free(struct translate *translate);

/* RAM or ROM was written, at these physical addresses: page tables may have changed, unless it is
 * known that none that was used lies there. */
void translate_written(struct translate *translate, const struct target_span *spans, size_t count);
/* As translate_written, for the virtual addresses of that processor. */
void translate_written_virtual(struct translate *translate, unsigned cpu,
                               const struct target_span *spans, size_t count);
/* A device, a port or a register that moves the map about was written. */
void translate_map_changed(struct translate *translate);
/* The target has run, or registers were written: nothing is as it was. */
void translate_all_changed(struct translate *translate);
/* Changes whenever a translation may have changed: with every call while the target runs. */
uint64_t translate_epoch(struct translate *translate);

/* Changes whenever the memory map may have changed. */
uint64_t translate_changes(const struct translate *translate);
/* Do all of this machine's processors see one physical space by nature (an x86 one in system
 * management mode apart), so that a translation says all? As far as the map was read. */
bool translate_one_space(const struct translate *translate);
/* Is what that halted processor sees the one physical space that all see: not in system management
 * mode, no secure world? In a task. */
enum target_error translate_plain(struct translate *translate, target_client client, unsigned cpu,
                                  bool *plain);

/* A physical address, below 4 GiB, where nothing answers. In a task. False: there is none, or it
 * cannot be told. */
bool translate_hole(struct translate *translate, target_client client, uint64_t *physical);
/* A virtual address by which a halted processor, which sees the one space, sees such a place, by a
 * look at so many of its page tables. In a task. False: none was found. */
bool translate_hole_seen(struct translate *translate, target_client client, unsigned cpu,
                         uint64_t *address);

/* As target_processors.translate, in a task. */
enum target_error translate_pages(struct translate *translate, target_client client, unsigned cpu,
                                  const uint64_t *pages, size_t count,
                                  struct target_translation *out);
enum target_error translate_classify(struct translate *translate, target_client client,
                                     uint64_t physical, struct target_region *out);
/* Does any of these spans reach an unknown region of the map as it stands? Pure. */
bool translate_unknown(const struct translate *translate, const struct target_span *spans,
                       size_t count);
enum target_error translate_has_bus(struct translate *translate, target_client client, unsigned bus,
                                    bool *present);
enum target_error translate_pointer_size(struct translate *translate, target_client client,
                                         unsigned cpu, unsigned *size);
/* The part of that virtual address that the processor sees: all of it, or the low 32 bits where
 * it is a 32-bit one, zero- or sign-extended. TARGET_FAULT: such a processor has no such address.
 */
enum target_error translate_narrow(struct translate *translate, target_client client, unsigned cpu,
                                   uint64_t address, uint64_t *narrow);

#endif
