/* The calls of a target that pass on what others say; contracts: struct target_ops. */
#ifndef SB_UPSTREAM_UPSTREAM_PACKETS_H
#define SB_UPSTREAM_UPSTREAM_PACKETS_H

#include "upstream/target.h"

enum target_error upstream_monitor(struct target *target, target_client client, unsigned cpu,
                                   const char *command, struct buffer *text);
enum target_error upstream_packet(struct target *target, target_client client, int cpu,
                                  const void *payload, size_t length, struct buffer *reply);
enum target_error upstream_packet_thread(struct target *target, target_client client,
                                         uint64_t thread, const void *payload, size_t length,
                                         struct buffer *reply);

#endif
