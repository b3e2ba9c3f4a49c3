/* What a peer is sent: answers, those that are ready together in one write, and notifications. */
#ifndef SB_RPC_OUTBOX_H
#define SB_RPC_OUTBOX_H

#include "base/buffer.h"
#include "base/peer.h"
#include "space/session.h"
#include "wire/value.h"

#include <stdbool.h>
#include <stddef.h>

struct outbox {
    const char *name; /* the connection's, for the log */
    struct peer *peer;
    size_t urgent; /* bytes put in by others than the task since the output was last empty */
};

/* name and peer must outlive the outbox. */
void outbox_init(struct outbox *outbox, const char *name, struct peer *peer);
/* To be called when the peer was written to. */
void outbox_written(struct outbox *outbox);

/* So much has been said beside the answers, to a peer that does not read, that no more is to come.
 */
bool outbox_urgent_full(const struct outbox *outbox);

/* Send the answer to a call that overtook, which is left empty. */
void outbox_send_urgent(struct outbox *outbox, struct buffer *frames);
/* Send the answer to a request, which is left empty: it waits for those to the requests behind it
 * that are here already (more). When one of them suspends, the loop sends what there is. */
void outbox_send_answer(struct outbox *outbox, struct buffer *frames, bool more);
/* Behind what is to be sent, before the answer to that call, which is sent next: what could not be
 * told of it. */
void outbox_warn(struct outbox *outbox, const struct value_bytes *call, const char *text);
/* The last words of a connection that broke the protocol. */
void outbox_error(struct outbox *outbox, HRESULT hr, const char *message);
void outbox_flush_failed(struct outbox *outbox, HRESULT hr, const char *message);
/* What IDebugEventCallbacks would hear, for a client that has asked for it by that mask. */
void outbox_state_changed(struct outbox *outbox, uint32_t mask, enum space_state state,
                          const char *text);

#endif
