/* Requests about coming and leaving. */
#ifndef SB_STUB_ATTACH_H
#define SB_STUB_ATTACH_H

#include "stub/client.h"

handler_fn attach_do_attach;     /* vAttach;PID */
handler_fn attach_do_detach;     /* D, D;PID */
handler_fn attach_do_kill;       /* k */
handler_fn attach_do_kill_named; /* vKill;PID */

#endif
