/* What a handler is given and answers with: it carries out one kind of request. */
#ifndef SB_RPC_HANDLER_H
#define SB_RPC_HANDLER_H

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

/* The result of what gave hr, which they return; an hr that says failure leaves the answer alone.
 */
HRESULT call_result_number(struct running *running, HRESULT hr, uint64_t number);
HRESULT call_result_nothing(struct running *running, HRESULT hr);
/* Of the bytes reserved before, done count. */
HRESULT call_result_bin(struct running *running, HRESULT hr, uint32_t done);

/* Room for a result that is one bin of at most size bytes; NULL with the message set when there is
 * no memory. */
uint8_t *call_bin_reserve(struct running *running, uint32_t size);

/* A client's own text, cut and made printable, so that an answer that repeats it stays readable to
 * any client. quoted has size bytes, and is what is returned. */
const char *call_quotable(char *quoted, size_t size, const struct value_bytes *text);

/* The handlers, one for each row of wire/calls.def. rpc/calls.c has their table and calls them; the
 * files rpc/calls_*.c have them, each some. */
#define CALL(name, function, ...) call_handler call_##function;
#include "wire/calls.def"

#endif
