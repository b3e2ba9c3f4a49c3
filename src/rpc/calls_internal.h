/* The parts of calls share this: a request that is being carried out, what it is answered with, and
 * the handlers. calls.c has their table and calls them; each of the others says at its top which
 * calls it carries out. */
#ifndef SB_RPC_CALLS_INTERNAL_H
#define SB_RPC_CALLS_INTERNAL_H

#include "rpc/answer.h"
#include "rpc/params.h"
#include "space/session.h"

#include <stddef.h>
#include <stdint.h>

/* A request that is being carried out. */
struct running {
    struct session *session;
    const char *name; /* the connection's */
    const char *call;
    union argument arguments[PARAMS_MOST];
    struct answer answer;
    char message[PARAMS_MESSAGE_SIZE]; /* why it failed, where the session was not asked */
};

/* Carry out a call whose arguments were found good: on success the answer has its result. Suspends
 * as the session's call does. */
typedef HRESULT call_handler(struct running *running);

/* calls_result.c: the result of what gave hr, which they return; an hr that says failure leaves the
 * answer alone. */
HRESULT call_result_number(struct running *running, HRESULT hr, uint64_t number);
HRESULT call_result_nothing(struct running *running, HRESULT hr);
/* Of the bytes reserved before, done count. */
HRESULT call_result_bin(struct running *running, HRESULT hr, uint32_t done);

/* Room for a result that is one bin of at most size bytes; NULL with the message set when there is
 * no memory. */
uint8_t *call_bin_reserve(struct running *running, uint32_t size);

/* A client's own text, cut and made printable, so that an answer that repeats it stays readable to
 * any client. quoted has size bytes, and is what is returned. */
const char *call_quotable(char *quoted, size_t size, const msgpack_object_str *text);

/* calls_memory.c */
call_handler call_read_virtual;
call_handler call_read_virtual_uncached;
call_handler call_write_virtual;
call_handler call_write_virtual_uncached;
call_handler call_read_pointers_virtual;
call_handler call_write_pointers_virtual;
call_handler call_read_physical;
call_handler call_read_physical2;
call_handler call_write_physical;
call_handler call_write_physical2;
call_handler call_fill_virtual;
call_handler call_fill_physical;
call_handler call_virtual_to_physical;

/* calls_ports.c */
call_handler call_read_io;
call_handler call_write_io;

/* calls_run.c */
call_handler call_get_execution_status;
call_handler call_set_execution_status;
call_handler call_set_interrupt;
call_handler call_wait_for_event;
call_handler call_get_number_processors;
call_handler call_get_current_processor;
call_handler call_set_current_processor;
call_handler call_set_event_callbacks;

/* calls_bridge.c */
call_handler call_hello;
call_handler call_flush_cache;
call_handler call_discard_cache;
call_handler call_invalidate_cache;
call_handler call_get_cache_status;
call_handler call_get_transport_status;
call_handler call_set_cache_policy;

#endif
