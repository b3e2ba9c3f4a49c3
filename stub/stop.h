/* Stop replies: what the target said, as each client needs to hear it. Pure text.
 * Source: the GDB manual, "Stop Reply Packets". */
#ifndef SB_STUB_STOP_H
#define SB_STUB_STOP_H

#include "base/buffer.h"
#include "rsp/stop_reply.h"
#include "stub/breakpoints.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One client's way to hear it. */
struct stop_view {
    bool multiprocess;
    int64_t process;
    int64_t thread;        /* named where the reply names none */
    bool nobodys;          /* the stop is about no thread: thread is named, whatever reply names */
    bool hide_watch;       /* the watchpoint is somebody else's */
    bool swbreak, hwbreak; /* say that it is that kind of breakpoint of the client's own */
    bool hide_breaks;      /* the client does not know the words swbreak and hwbreak */
    const char *threads;   /* lldb's list of all threads, "1,2"; NULL: not asked for */
};
/* Append the reply to out: registers and unknown words as they came, thread ids in the client's
 * form. False when out of memory or when reply is no stop reply. */
bool stop_write(struct buffer *out, const char *reply, const struct stop_view *view);

#endif
