/* Requests about the conversation itself. */
#ifndef SB_STUB_QUERY_H
#define SB_STUB_QUERY_H

#include "stub/client.h"

handler_fn query_do_supported; /* qSupported */
handler_fn query_do_no_ack;    /* QStartNoAckMode */
handler_fn query_do_xfer;      /* qXfer:… */
handler_fn query_do_extended;  /* ! */
handler_fn query_do_nothing;   /* vMustReplyEmpty and whatever must never be more than unknown */
handler_fn query_do_qemu;      /* qqemu.… and Qqemu.… */

#endif
