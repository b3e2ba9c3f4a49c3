/* lldb's own requests. */
#ifndef SB_STUB_LLDB_H
#define SB_STUB_LLDB_H

#include "stub/client.h"

handler_fn lldb_do_host;      /* qHostInfo */
handler_fn lldb_do_process;   /* qProcessInfo */
handler_fn lldb_do_region;    /* qMemoryRegionInfo:ADDR */
handler_fn lldb_do_suffix;    /* QThreadSuffixSupported */
handler_fn lldb_do_list;      /* QListThreadsInStopReply */
handler_fn lldb_do_errors;    /* QEnableErrorStrings */
handler_fn lldb_do_stop_info; /* qThreadStopInfo ID */
handler_fn lldb_do_threads;   /* jThreadsInfo */

#endif
