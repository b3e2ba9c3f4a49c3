/* A machine behind QEMU's own stub. */
#ifndef SB_UPSTREAM_QEMU_H
#define SB_UPSTREAM_QEMU_H

#include "upstream/upstream_kind.h"

extern const struct upstream_kind qemu_kind;

#endif
