/* Requests about breakpoints and watchpoints. */
#ifndef SB_STUB_POINTS_H
#define SB_STUB_POINTS_H

#include "stub/client.h"

handler_fn points_do_insert; /* Z TYPE,ADDR,KIND */
handler_fn points_do_remove; /* z TYPE,ADDR,KIND */

#endif
