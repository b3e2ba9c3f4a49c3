/* The resume and the interrupt that go to the stub, as inputs and readings of the run state. */
#ifndef SB_UPSTREAM_LINK_RSP_RUN_H
#define SB_UPSTREAM_LINK_RSP_RUN_H

#include "upstream/run_state.h"

#include <stdbool.h>

struct rsp_operation;

/* Others read the fields, the functions change them. */
struct rsp_run {
    struct run_state *state;      /* not its own */
    struct rsp_operation *resume; /* waits for all else; once it is sent, it is in flight too */
    unsigned tolerated;           /* stop replies that may come unasked */
    unsigned strays;              /* that have come unasked since the connect */
};

void rsp_run_init(struct rsp_run *run, struct run_state *state);
/* A new connection: the target is halted, no resume is under way. */
void rsp_run_begin(struct rsp_run *run);
/* The connection has ended; resumes have been dropped. */
void rsp_run_end(struct rsp_run *run);

/* A resume is to be sent, once nothing else is in flight; or a step, again. */
void rsp_run_ask(struct rsp_run *run, struct rsp_operation *resume);
/* Its outcome is known, or it was dropped: the state moves by itself. */
void rsp_run_forget_resume(struct rsp_run *run);
/* It is sent, and the target runs from here on. acks: the stub is to say that it has taken it. */
void rsp_run_sent(struct rsp_run *run, bool acks);
/* Is it in flight? */
bool rsp_run_in_flight(const struct rsp_run *run);
/* Was it taken, so that its done is due? */
bool rsp_run_taken(const struct rsp_run *run);
/* Is one under way, of which it is not known whether the stub has taken it, or needed? */
bool rsp_run_resuming(const struct rsp_run *run);

/* Does the stub take nothing but the interrupt? */
bool rsp_run_moving(const struct rsp_run *run);
/* The same because of a resume of ours? */
bool rsp_run_ours(const struct rsp_run *run);
/* Has another perhaps let it run? */
bool rsp_run_doubted(const struct rsp_run *run);
/* Another has let the target run. */
void rsp_run_by_another(struct rsp_run *run);
/* It is halted: RUN_STOPPED, RUN_STEP_ANSWERED, RUN_REFUSED or RUN_SEEN_HALTED. */
void rsp_run_halted(struct rsp_run *run, enum run_input input);

/* Somebody wants the target halted: true: the interrupt is to be sent now. */
bool rsp_run_want_interrupt(struct rsp_run *run);
/* Is an interrupt to be sent that has waited for a resume? */
bool rsp_run_interrupt_due(const struct rsp_run *run);
void rsp_run_interrupt_sent(struct rsp_run *run);
/* Was it, so that a stop is owed? */
bool rsp_run_stop_owed(const struct rsp_run *run);

/* One more stop reply may come unasked. */
void rsp_run_tolerate(struct rsp_run *run);
/* A stop reply came unasked. True: it was to be expected. */
bool rsp_run_stray(struct rsp_run *run);

#endif
