/* What a peer is sent: answers, those that are ready together in one write, and notifications. */
#ifndef SB_RPC_OUTBOX_H
#define SB_RPC_OUTBOX_H

#include "base/buffer.h"
#include "space/session.h"
#include "wire/value.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

/* Output that may wait to be written before the next request has to wait. */
#define OUTBOX_MOST ((size_t)1024 * 1024)
/* Bytes of requests and answers at a stretch: then the others of the daemon have their turn. */
#define OUTBOX_TURN_BYTES ((size_t)1024 * 1024)

/* What the owner is told. Neither suspends. */
struct outbox_listener {
    void (*lost)(void *context, const char *reason); /* the peer is there no more */
    void (*changed)(void *context);                  /* there may be room again */
    void *context;
};

struct outbox {
    const char *name; /* the connection's, for the log */
    struct ev_loop *loop;
    int fd;
    ev_io writer;
    struct outbox_listener listener;
    struct buffer frames; /* whole ones; the first may be partly sent */
    size_t urgent;        /* bytes put in by others than the task since it was last empty */
    bool closed;          /* nothing can be written any more */
};

/* name must outlive the outbox, which must not be moved; fd stays the caller's. */
void outbox_init(struct outbox *outbox, const char *name, struct ev_loop *loop, int fd,
                 const struct outbox_listener *listener);
void outbox_free(struct outbox *outbox);
/* From now on what is sent is thrown away. */
void outbox_close(struct outbox *outbox);
/* Start or stop the watcher as the state asks for. */
void outbox_watch(struct outbox *outbox);

/* Bytes that wait to be written. */
size_t outbox_length(const struct outbox *outbox);
/* So much has been said beside the answers, to a peer that does not read, that no more is to come.
 */
bool outbox_urgent_full(const struct outbox *outbox);

/* Write what the peer takes now; the loop writes the rest. */
void outbox_write(struct outbox *outbox);
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
