/* The calls of a target that reach its ports. Only for a kind of target that has some. */
#ifndef SB_UPSTREAM_UPSTREAM_PORTS_H
#define SB_UPSTREAM_UPSTREAM_PORTS_H

#include "upstream/target.h"

extern const struct target_ports upstream_ports;

#endif
