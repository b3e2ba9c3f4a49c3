/* The calls of a target that ask how its processors see memory. */
#ifndef SB_UPSTREAM_UPSTREAM_PROCESSORS_H
#define SB_UPSTREAM_UPSTREAM_PROCESSORS_H

#include "upstream/target.h"

extern const struct target_processors upstream_processors;

#endif
