/* A process behind a GDB stub that is not QEMU's. */
#ifndef SB_UPSTREAM_GDBSERVER_H
#define SB_UPSTREAM_GDBSERVER_H

#include "upstream/upstream_kind.h"

extern const struct upstream_kind gdbserver_kind;

#endif
