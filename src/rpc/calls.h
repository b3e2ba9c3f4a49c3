/* The calls of the protocol: a request is checked whole, against its row of wire/calls.def,
 * before anything is done. Contract: docs/protocol.md. */
#ifndef SB_RPC_CALLS_H
#define SB_RPC_CALLS_H

#include "base/buffer.h"
#include "rpc/params.h"
#include "space/session.h"
#include "wire/calls.h"
#include "wire/message.h"

#include <stdbool.h>

/* Carry out a request and put its whole response, one frame, into reply, which must be empty.
 * Suspends as the session's call does. False when there was no memory even for an error response;
 * reply is then empty. name: the connection's, for the log. */
bool call_carry_out(struct session *session, const char *name, const struct message *request,
                    struct buffer *reply);

/* The response to a call that was carried out by other means and has one number as its result, as
 * call_carry_out would make it. message: why it failed, the session's own if it is empty. */
bool call_answer_number(struct session *session, const char *name, const char *call, uint32_t id,
                        HRESULT hr, const char *message, uint64_t number, struct buffer *reply);
/* Is this a request for that call, with arguments that it can be given? They are set then
 * (PARAMS_MOST of them). */
bool call_is(const struct message *request, enum wire_call call, union argument *arguments);

/* Is this the one call that overtakes the others of its connection? It never suspends. */
bool call_overtakes(const struct message *request);

#endif
