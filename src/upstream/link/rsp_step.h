/* A step that did not step. QEMU answers one now and then without having made it (a timer came due
 * before the processor's thread got to run): its stop reply is that of a step, and no register has
 * changed. Such a step is made again here, so that nobody above ever hears of it. */
#ifndef SB_UPSTREAM_LINK_RSP_STEP_H
#define SB_UPSTREAM_LINK_RSP_STEP_H

#include "base/buffer.h"
#include "upstream/link/rsp_operation.h"

#include <stdbool.h>
#include <stdint.h>

struct rsp_modes;
struct run_state;

/* What the watch leads to. Called from an operation's done, or in rsp_step_refused. */
struct rsp_step_events {
    void *context;
    /* Send this resume: the step is made again. */
    void (*again)(void *context, struct rsp_operation *resume);
    /* The step has ended with that stop reply. */
    void (*stopped)(void *context, const char *reply);
};

enum rsp_step_due { RSP_STEP_NOTHING, RSP_STEP_SELECT, RSP_STEP_LOOK };

/* A step of one thread, and what is needed to see whether it was made. The functions here alone
 * look inside. */
struct rsp_step {
    struct rsp_step_events events;
    struct rsp_modes *modes;
    struct run_state *state; /* RUN_LOOKING: answered; the registers after it are asked for, or it
                              * is made again */
    uint64_t thread;         /* whose it is; 0: none is watched */
    unsigned again;          /* how often it was made again */
    enum rsp_step_due due;   /* what is to be sent for it next */
    bool selected;           /* the stub is at that thread */
    uint64_t select_thread;
    char words[24];
    struct rsp_operation select, look, repeat;
    struct buffer packet; /* the resume */
    struct buffer before; /* the registers as they stood */
    struct buffer stop;   /* the reply to it, NUL-terminated */
};

/* modes: where the stub stands; it is told of the watch's own switches. state: of the run. */
void rsp_step_init(struct rsp_step *step, struct rsp_modes *modes, struct run_state *state,
                   const struct rsp_step_events *events);
void rsp_step_free(struct rsp_step *step);

/* Is it a request of the watch's own? */
bool rsp_step_owns(const struct rsp_step *step, const struct rsp_operation *operation);
/* A resume was asked for. When it is a step of one thread that thread is watched. under_way: a
 * request of a former watch is, so that there can be none. */
void rsp_step_begin(struct rsp_step *step, const struct rsp_operation *resume, bool under_way);
/* Watch no more. */
void rsp_step_end(struct rsp_step *step);
/* The resume will not be sent. When it was a step to be made again, its stop is told now. */
void rsp_step_refused(struct rsp_step *step);
/* What is to be sent next to see how the watched thread stands; NULL: nothing. It counts as sent.
 */
struct rsp_operation *rsp_step_next(struct rsp_step *step);
/* The target stops; the run state has not moved yet. True: it is to be looked at whether the step
 * was made (RUN_STEP_ANSWERED); until that is known the target counts as running, and the stop is
 * told later. */
bool rsp_step_stopped(struct rsp_step *step, const char *reply);

#endif
