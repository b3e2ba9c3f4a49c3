/* What goes to the stub, and when: requests in turn, the switches before them, what a watched step
 * has to know, and behind all of them the resume. */
#ifndef SB_UPSTREAM_LINK_RSP_QUEUE_H
#define SB_UPSTREAM_LINK_RSP_QUEUE_H

#include "upstream/link/rsp_flight.h"
#include "upstream/link/rsp_modes.h"
#include "upstream/link/rsp_operation.h"
#include "upstream/link/rsp_run.h"
#include "upstream/link/rsp_step.h"
#include "upstream/link/rsp_turns.h"

#include <stdbool.h>
#include <stddef.h>

struct rsp_wire;

/* Others read, and use the parts by their own functions. */
struct rsp_queue {
    struct rsp_wire *wire;
    const struct rsp_listener *listener;
    bool spaces;    /* the stub has a physical space */
    unsigned depth; /* full requests in flight */
    size_t limit;   /* the longest payload, escapes included */
    struct rsp_modes modes;
    struct rsp_turns turns;
    struct rsp_flight flight;
    struct rsp_run run;
    struct rsp_step step;
    struct rsp_operation *dropped; /* failed; done is to be called with their error */
    bool held;                     /* a switch that may be refused is in flight: nothing goes out */
    double last_reply;             /* by clock_now() */
};

/* wire, state and listener must outlive it. */
void rsp_queue_init(struct rsp_queue *queue, struct rsp_wire *wire, struct run_state *state,
                    const struct rsp_listener *listener);
/* Nothing may be left in it but what belongs to the queue itself. */
void rsp_queue_free(struct rsp_queue *queue);
/* A new connection: nothing is known of the stub yet. */
void rsp_queue_begin(struct rsp_queue *queue);

/* Take it in; errors as rsp_client_submit, of which too long, unknown space and memory are seen
 * here. */
enum target_error rsp_queue_add(struct rsp_queue *queue, struct rsp_operation *operation);
/* Frame what may be sent now. */
void rsp_queue_pump(struct rsp_queue *queue);
/* Is an answer of any kind owed to us? */
bool rsp_queue_owed(const struct rsp_queue *queue);
/* Start or stop the clock that runs while one is. */
void rsp_queue_watch(struct rsp_queue *queue);

void rsp_queue_send_switch(struct rsp_queue *queue, enum rsp_mode_kind kind, uint64_t value);
/* The outcome of a switch in flight is known. */
void rsp_queue_release(struct rsp_queue *queue);
/* The switch that the first in the queue needs was refused: it will never be sent. */
void rsp_queue_refuse_front(struct rsp_queue *queue, enum target_error error);
void rsp_queue_send_interrupt(struct rsp_queue *queue);
/* The reply to it has come. */
void rsp_queue_answered(struct rsp_queue *queue, struct rsp_operation *operation);
/* The target is halted; input: as rsp_run_halted. */
void rsp_queue_halted(struct rsp_queue *queue, enum run_input input);
/* The resume was taken, or refused: tell its caller. */
void rsp_queue_finish_resume(struct rsp_queue *queue, enum target_error error, const char *reply);

/* Move everything that waits to the list of those to be told. */
void rsp_queue_drop(struct rsp_queue *queue, enum target_error error);
/* Tell them. From the loop only. */
void rsp_queue_tell_dropped(struct rsp_queue *queue);

#endif
