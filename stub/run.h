/* Requests that run the target. */
#ifndef SB_STUB_RUN_H
#define SB_STUB_RUN_H

#include "stub/client.h"

handler_fn run_do_resume;  /* vCont;…, c, C, s, S */
handler_fn run_do_reverse; /* bc, bs */
handler_fn run_do_offer;   /* vCont? */
handler_fn run_do_start;   /* vRun;… (gdbserver) */

#endif
