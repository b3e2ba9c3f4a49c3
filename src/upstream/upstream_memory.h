/* The calls of a target that reach its memory. */
#ifndef SB_UPSTREAM_UPSTREAM_MEMORY_H
#define SB_UPSTREAM_UPSTREAM_MEMORY_H

#include "upstream/target.h"

extern const struct target_memory upstream_memory;

#endif
