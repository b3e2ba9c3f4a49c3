/* The calls of a target that reach its ports; contracts: struct target_ops. */
#ifndef SB_UPSTREAM_UPSTREAM_PORTS_H
#define SB_UPSTREAM_UPSTREAM_PORTS_H

#include "upstream/target.h"

enum target_error upstream_port_in(struct target *target, target_client client, uint16_t port,
                                   unsigned size, uint32_t *value, char *message,
                                   size_t message_size);
enum target_error upstream_port_out(struct target *target, target_client client, uint16_t port,
                                    unsigned size, uint32_t value, char *message,
                                    size_t message_size);
enum target_error upstream_ports_out(struct target *target, target_client client,
                                     struct target_port_write *writes, size_t count, char *message,
                                     size_t message_size);

#endif
