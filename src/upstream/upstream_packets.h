/* The calls of a target that pass on what others say. */
#ifndef SB_UPSTREAM_UPSTREAM_PACKETS_H
#define SB_UPSTREAM_UPSTREAM_PACKETS_H

#include "upstream/target.h"

extern const struct target_packets upstream_packets;

#endif
