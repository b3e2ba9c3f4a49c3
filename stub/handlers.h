/* The requests, by the files that carry them out. Each handler has a request that begins with its
 * word and leaves a reply; a reply left empty says that the request is not known. */
#ifndef SB_STUB_HANDLERS_H
#define SB_STUB_HANDLERS_H

#include "stub/client.h"

typedef void handler_fn(struct client *client, const struct request *request);

/* memory.c */
handler_fn memory_do_read;        /* m ADDR,LENGTH */
handler_fn memory_do_read_binary; /* x ADDR,LENGTH */
handler_fn memory_do_write;       /* M ADDR,LENGTH:hex, X ADDR,LENGTH:binary */
handler_fn memory_do_search;      /* qSearch:memory:ADDR;LENGTH;pattern */
handler_fn memory_do_crc;         /* qCRC:ADDR,LENGTH */
/* The readable prefix of a range, as the client sees memory now: by its view, physical, or live.
 * done bytes were read; false where that is none, and the reply says why. */
bool memory_read(struct client *client, uint64_t address, void *bytes, uint32_t size,
                 uint32_t *done);

/* registers.c */
handler_fn registers_do_read_all;  /* g */
handler_fn registers_do_write_all; /* G hex */
handler_fn registers_do_read;      /* p N */
handler_fn registers_do_write;     /* P N=hex */

/* breakpoint requests: points.c */
handler_fn points_do_insert; /* Z TYPE,ADDR,KIND */
handler_fn points_do_remove; /* z TYPE,ADDR,KIND */

/* run.c */
handler_fn run_do_resume;  /* vCont;…, c, C, s, S */
handler_fn run_do_reverse; /* bc, bs */
handler_fn run_do_offer;   /* vCont? */
handler_fn run_do_start;   /* vRun;… (gdbserver) */

/* report.c */
handler_fn report_do_status; /* ? */

/* attach.c */
handler_fn attach_do_attach;     /* vAttach;PID */
handler_fn attach_do_detach;     /* D, D;PID */
handler_fn attach_do_kill;       /* k */
handler_fn attach_do_kill_named; /* vKill;PID */

/* threads and selection: select.c */
handler_fn select_do_select;   /* H OP ID */
handler_fn select_do_alive;    /* T ID */
handler_fn select_do_current;  /* qC */
handler_fn select_do_first;    /* qfThreadInfo */
handler_fn select_do_next;     /* qsThreadInfo */
handler_fn select_do_extra;    /* qThreadExtraInfo,ID */
handler_fn select_do_attached; /* qAttached[:PID] */
/* What the upstream has to say of a thread, for people; \"\" for nothing. */
void select_extra(struct client *client, int64_t thread, char *text, size_t size);

/* query.c */
handler_fn query_do_supported; /* qSupported */
handler_fn query_do_no_ack;    /* QStartNoAckMode */
handler_fn query_do_xfer;      /* qXfer:… */
handler_fn query_do_extended;  /* ! */
handler_fn query_do_nothing;   /* vMustReplyEmpty and whatever must never be more than unknown */
handler_fn query_do_qemu;      /* qqemu.… and Qqemu.… */

/* lldb.c */
handler_fn lldb_do_host;      /* qHostInfo */
handler_fn lldb_do_process;   /* qProcessInfo */
handler_fn lldb_do_region;    /* qMemoryRegionInfo:ADDR */
handler_fn lldb_do_suffix;    /* QThreadSuffixSupported */
handler_fn lldb_do_list;      /* QListThreadsInStopReply */
handler_fn lldb_do_errors;    /* QEnableErrorStrings */
handler_fn lldb_do_stop_info; /* qThreadStopInfo ID */
handler_fn lldb_do_threads;   /* jThreadsInfo */

/* monitor.c */
handler_fn monitor_do_command; /* qRcmd,hex */

/* passthrough.c: everything else */
handler_fn passthrough_do;

#endif
