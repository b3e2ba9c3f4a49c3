/* Requests that are not in the table. */
#ifndef SB_STUB_PASSTHROUGH_H
#define SB_STUB_PASSTHROUGH_H

#include "stub/client.h"

/* Whatever a gdbserver upstream may get as it came; QEMU gets none. */
handler_fn passthrough_do;

#endif
