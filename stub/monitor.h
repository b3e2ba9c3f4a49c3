/* Monitor commands. */
#ifndef SB_STUB_MONITOR_H
#define SB_STUB_MONITOR_H

#include "stub/client.h"

handler_fn monitor_do_command; /* qRcmd,hex */

#endif
