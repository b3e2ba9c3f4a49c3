/* The parts of rpc/connection share this: what they know of the connection, and what they ask of
 * each other. connection.c: the connection's life, and the task that carries out its requests;
 * connection_input.c: what the peer sends; connection_output.c: what it is sent. */
#ifndef SB_RPC_CONNECTION_INTERNAL_H
#define SB_RPC_CONNECTION_INTERNAL_H

#include "base/buffer.h"
#include "base/task.h"
#include "rpc/bulk_write.h"
#include "rpc/connection.h"
#include "wire/frame.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of requests and answers at a stretch: then the others of the daemon have their turn. */
#define CONNECTION_TURN_BYTES ((size_t)1024 * 1024)
/* Answers to calls that overtook, and notifications: what may wait in the output beyond one
 * response. */
#define CONNECTION_URGENT_MOST ((size_t)1024 * 1024)

/* A whole request that waits in the input. */
struct rpc_waiting {
    uint32_t length;
    bool taken; /* it has overtaken: already answered */
};

struct rpc_connection {
    struct rpc_connection_config config;
    char name[32];
    struct ev_loop *loop;
    int fd;
    ev_io reader, writer;
    ev_timer look; /* while not reading */
    struct session *session;
    struct task_cond changed; /* whatever the task may be waiting for */

    struct buffer input; /* whole requests, then what is there of the next one */
    size_t whole;        /* bytes of whole requests in it */
    struct rpc_waiting *queue;
    size_t first, count, room; /* the queue is a ring of room places */
    struct frame_scanner scanner;
    struct bulk_write bulk; /* under way: the input begins with bytes of it, */
    size_t bulk_here;       /* this many, which count as whole */
    struct buffer current;  /* the request that is being carried out */
    struct buffer reply;    /* its answer, as it is put together */

    struct buffer output; /* whole frames; the first may be partly sent */
    size_t urgent;        /* bytes put in by others than the task since it was last empty */

    bool input_ended;  /* the peer has closed its sending side */
    bool gone;         /* nothing can be read or written any more */
    bool stopping;     /* asked to end */
    const char *fault; /* what it sent is no message; static text */
    HRESULT fault_hr;
};

/* connection.c */
/* Start or stop the watchers as the state asks for. */
void rpc_connection_watch(struct rpc_connection *connection);
/* Give back an empty buffer that is large. */
void rpc_connection_trim(struct buffer *buffer);
/* The peer is there no more: nobody hears an answer, so nobody waits for one. */
void rpc_connection_lost(struct rpc_connection *connection, const char *reason);

/* connection_input.c */
/* Once, when fd is set. */
void rpc_input_init(struct rpc_connection *connection);
/* What the peer sends is read no more, for good. */
bool rpc_input_done(const struct rpc_connection *connection);
/* So much waits that nothing more is read for now. */
bool rpc_input_full(const struct rpc_connection *connection);
/* The peer broke the protocol: it is told so after the answers that it still has to get, and
 * closed. fault is static text. */
void rpc_input_broken(struct rpc_connection *connection, HRESULT hr, const char *fault);
/* Find the whole requests in what has been read. Carries out those that overtake. */
void rpc_input_scan(struct rpc_connection *connection);
/* Drop the queue's first request, which there must be, from the input. */
void rpc_input_pop(struct rpc_connection *connection);
/* Move the queue's first request, which there must be, to current, for the reader may move the
 * input about while it is carried out. False when out of memory: the connection is lost then. */
bool rpc_input_take_request(struct rpc_connection *connection);
/* Move the next length bytes, at most bulk_here, of a large write to current. False when out of
 * memory. */
bool rpc_input_take_piece(struct rpc_connection *connection, size_t length);

/* connection_output.c */
/* Once, when fd is set. */
void rpc_output_init(struct rpc_connection *connection);
/* Write what the peer takes now; the loop writes the rest. */
void rpc_output_write(struct rpc_connection *connection);
/* Send frames, which is left empty. */
void rpc_output_send(struct rpc_connection *connection, struct buffer *frames);
/* Send the answer to a request, which is left empty: it waits for those to the requests behind it
 * that are here already (more). When one of them suspends, the loop sends what there is. */
void rpc_output_send_answer(struct rpc_connection *connection, struct buffer *frames, bool more);
/* Behind what is to be sent, before the answer to that call, which is sent next: what the session
 * could not tell, if anything. */
void rpc_output_warn(struct rpc_connection *connection, const msgpack_object_str *call);
/* The session's listener; context is the connection. */
void rpc_output_flush_failed(void *context, HRESULT hr, const char *message);
void rpc_output_state_changed(void *context, enum space_state state, const char *text);

#endif
