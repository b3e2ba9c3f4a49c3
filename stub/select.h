/* Requests about threads, and which one a client means. */
#ifndef SB_STUB_SELECT_H
#define SB_STUB_SELECT_H

#include "stub/client.h"

handler_fn select_do_select;   /* H OP ID */
handler_fn select_do_alive;    /* T ID */
handler_fn select_do_current;  /* qC */
handler_fn select_do_first;    /* qfThreadInfo */
handler_fn select_do_next;     /* qsThreadInfo */
handler_fn select_do_extra;    /* qThreadExtraInfo,ID */
handler_fn select_do_attached; /* qAttached[:PID] */

/* What the upstream has to say of a thread, for people; "" for nothing. */
void select_extra(struct client *client, int64_t thread, char *text, size_t size);

#endif
