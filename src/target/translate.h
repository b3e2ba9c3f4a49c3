/* From a processor's virtual pages to physical addresses and to what lies there, kept as long as it
 * must be true. */
#ifndef SB_TARGET_TRANSLATE_H
#define SB_TARGET_TRANSLATE_H

#include "target/monitor.h"
#include "target/target.h"

struct translate;

/* monitor is used as it stands at each call. NULL when out of memory. */
struct translate *translate_new(const struct monitor *monitor);
void translate_free(struct translate *translate);

/* Memory or ports were written: page tables, and the memory map, may have changed. */
void translate_memory_changed(struct translate *translate);
/* A device, a port or a register that moves the map about was written. */
void translate_map_changed(struct translate *translate);
/* The target has run, or registers were written: nothing is as it was. */
void translate_all_changed(struct translate *translate);
/* Changes whenever a translation may have changed: with every call while the target runs. */
uint64_t translate_epoch(struct translate *translate);

/* As target_ops.translate, in a task. */
enum target_error translate_pages(struct translate *translate, target_client client, unsigned cpu,
                                  const uint64_t *pages, size_t count,
                                  struct target_translation *out);
enum target_error translate_classify(struct translate *translate, target_client client,
                                     uint64_t physical, struct target_region *out);
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
