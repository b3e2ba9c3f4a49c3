/* The calls of a target that reach its memory; contracts: struct target_ops. */
#ifndef SB_UPSTREAM_UPSTREAM_MEMORY_H
#define SB_UPSTREAM_UPSTREAM_MEMORY_H

#include "upstream/target.h"

enum target_error upstream_read_virtual(struct target *target, target_client client, unsigned cpu,
                                        struct target_span *spans, size_t count);
enum target_error upstream_write_virtual(struct target *target, target_client client, unsigned cpu,
                                         struct target_span *spans, size_t count);
enum target_error upstream_read_physical(struct target *target, target_client client,
                                         enum target_access access, struct target_span *spans,
                                         size_t count);
enum target_error upstream_write_physical(struct target *target, target_client client,
                                          enum target_access access, struct target_span *spans,
                                          size_t count);
enum target_error upstream_access_device(struct target *target, target_client client,
                                         const struct target_seen *seen, struct target_span *spans,
                                         size_t count, bool write, const char **doubt);
enum target_error upstream_fill_physical(struct target *target, target_client client,
                                         uint64_t physical, uint64_t length, uint8_t byte,
                                         uint64_t *done);
enum target_error upstream_read_live(struct target *target, target_client client, unsigned cpu,
                                     struct target_span *spans, size_t count);

#endif
