/* The parts of rsp_client share this: what they know of the connection, and what they ask of each
 * other. rsp_client.c: the connection and its callers; rsp_queue.c: what goes out, and when;
 * rsp_reply.c: what comes in; rsp_step.c: a step that has to be made again. */
#ifndef SB_UPSTREAM_LINK_RSP_INSIDE_H
#define SB_UPSTREAM_LINK_RSP_INSIDE_H

#include "base/buffer.h"
#include "base/busy_poll.h"
#include "base/dial.h"
#include "base/paced_reader.h"
#include "rsp/packet.h"
#include "upstream/link/rsp_client.h"

#define ROOM "target"

/* With that weight in flight the stub has something to do for a few hundred microseconds: nobody
 * need wake for each answer. Microseconds between looks at what has come meanwhile: the stub must
 * neither run out of requests nor fill its socket with replies. */
#define RSP_PACE_LEAST (8u * RSP_WEIGHT_FULL)
#define RSP_PACE       100u

#define RSP_UNKNOWN     UINT64_MAX
#define RSP_PROVEN_MOST 64
/* Requests of one caller that go out before it is another's turn. */
#define RSP_QUANTUM 8

enum rsp_mode_kind {
    RSP_MODE_SPACE,
    RSP_MODE_THREAD,
    RSP_MODE_CONTINUE_THREAD,
    RSP_MODE_MONITOR_CPU,
    RSP_MODE_KINDS
};

/* A switch of the stub's state, a request of its own. */
struct rsp_mode {
    struct rsp_operation operation;
    enum rsp_mode_kind kind;
    uint64_t value;
    bool proven;
    bool printed; /* RSP_MODE_MONITOR_CPU: an error text came */
    char payload[64];
};

/* The requests of one caller that have not been sent. */
struct rsp_turn {
    target_client client;
    struct rsp_operation *operations;
    struct rsp_turn *prev, *next;
};

struct rsp_proof {
    enum rsp_mode_kind kind;
    uint64_t value;
};

enum rsp_step_due { RSP_STEP_NOTHING, RSP_STEP_SELECT, RSP_STEP_LOOK };

/* A step of one thread, and what is needed to see whether it was made. */
struct rsp_step {
    uint64_t thread;       /* whose it is; 0: none is watched */
    unsigned again;        /* how often it was made again */
    bool interrupted;      /* somebody wants the target halted */
    bool checking;         /* answered: the registers after it are asked for, or it is made again */
    enum rsp_step_due due; /* what is to be sent for it next */
    bool selected;         /* the stub is at that thread */
    uint64_t select_thread;
    char words[24];
    struct rsp_operation select, look, repeat;
    struct buffer packet; /* the resume */
    struct buffer before; /* the registers as they stood */
    struct buffer stop;   /* the reply to it, NUL-terminated */
};

struct rsp_client {
    struct ev_loop *loop;
    struct rsp_listener listener;
    double timeout;
    struct dial dial;
    int fd;
    struct paced_reader reading;
    ev_io writing;
    struct busy_poll *busy_poll;
    ev_timer silence; /* active while an answer is owed to us */
    ev_timer idle;
    ev_timer later; /* fires at once: what must not happen inside the caller's call */
    double last_heard, last_reply; /* by clock_now() */
    /* bytes since anything came that was waited for, and at the last time that they counted as a
     * sign of life */
    size_t useless, useless_heard;
    struct packet_reader reader;
    struct buffer in, out;
    char reason[512];
    char exit[64];
    bool failing; /* reason is set, the connection ends at the next turn */
    bool closing; /* as failing, quietly */
    bool intruded;
    bool heard; /* anything, since the connect */

    bool acks, spaces;
    unsigned depth;
    size_t limit;

    struct rsp_turn *turns;
    unsigned quantum_left;
    struct rsp_operation *resume; /* waits for all else; once it is sent, it is in flight too */
    bool resume_sent;
    struct rsp_operation *in_flight;
    unsigned in_flight_count, in_flight_weight;
    struct rsp_operation *dropped; /* failed; done is to be called with their error */
    bool held;                     /* a switch that may be refused is in flight: nothing goes out */
    unsigned retries;

    uint64_t modes[RSP_MODE_KINDS];
    struct rsp_proof proofs[RSP_PROVEN_MOST];
    unsigned proof_count;

    bool doubted; /* it may run by another's doing: nothing goes out until that is known */
    bool running;
    bool taken;   /* the resume was taken; its done is due */
    bool resumed; /* a resume of ours has not been answered by a stop */
    bool interrupt_wanted, interrupt_sent;
    struct rsp_step step;
    unsigned tolerated; /* stop replies that may come unasked */
    unsigned strays;
};

/* rsp_client.c */
/* Have the rest done from the loop: what must not happen inside the caller's call. */
void rsp_fail_later(struct rsp_client *client);
void rsp_tell_dropped(struct rsp_client *client);

/* rsp_queue.c */
/* Forget which processor the stub is at, with space_too also which space, and what it has taken. */
void rsp_mode_forget(struct rsp_client *client, bool space_too);
void rsp_mode_prove(struct rsp_client *client, enum rsp_mode_kind kind, uint64_t value);
void rsp_send_mode(struct rsp_client *client, enum rsp_mode_kind kind, uint64_t value);
struct rsp_turn *rsp_turn_find(struct rsp_client *client, target_client who);
/* The switch that the first in the queue needs was refused: it will never be sent. */
void rsp_refuse_front(struct rsp_client *client, enum target_error error);
/* Frame what may be sent now. */
void rsp_pump(struct rsp_client *client);
void rsp_flush_out(struct rsp_client *client);
/* Start or stop the clock that runs while an answer is owed to us. */
void rsp_watch(struct rsp_client *client);
/* Append a packet, or a byte by itself, to what goes out; the connection ends when out of memory.
 */
bool rsp_frame(struct rsp_client *client, const struct rsp_operation *operation);
void rsp_append_byte(struct rsp_client *client, char byte);
void rsp_send_interrupt(struct rsp_client *client);

/* rsp_reply.c */
/* Take in what the socket has. */
void rsp_receive(struct rsp_client *client);
/* The target has stopped. */
void rsp_halted(struct rsp_client *client);
/* The resume was taken, or refused: tell its caller. */
void rsp_finish_resume(struct rsp_client *client, enum target_error error, const char *reply);
/* Put a NUL behind the content, not counted. False when out of memory. */
bool rsp_terminate(struct buffer *buffer);

/* rsp_step.c */
/* A resume was asked for. When it is a step of one thread that thread is watched. */
void rsp_step_begin(struct rsp_client *client, const struct rsp_operation *resume);
/* Watch no more. */
void rsp_step_end(struct rsp_client *client);
/* The resume will not be sent. When it was a step to be made again, its stop is told now. */
void rsp_step_refused(struct rsp_client *client);
void rsp_step_free(struct rsp_client *client);
/* What is to be sent next to see how the watched thread stands; NULL: nothing. It counts as sent.
 */
struct rsp_operation *rsp_step_next(struct rsp_client *client);
/* The target has stopped. True: it is being looked at whether the step was made; until that is
 * known the target counts as running, and the listener is told later. */
bool rsp_step_stopped(struct rsp_client *client, const char *reply);

#endif
