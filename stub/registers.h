/* Requests about registers. */
#ifndef SB_STUB_REGISTERS_H
#define SB_STUB_REGISTERS_H

#include "stub/client.h"

handler_fn registers_do_read_all;  /* g */
handler_fn registers_do_write_all; /* G hex */
handler_fn registers_do_read;      /* p N */
handler_fn registers_do_write;     /* P N=hex */

#endif
