/* What the stub's client knows of whether the target runs, and what is under way to change it: the
 * resume that goes, the interrupt behind it. Others read the fields, the functions change them. */
#ifndef SB_UPSTREAM_LINK_RSP_RUN_H
#define SB_UPSTREAM_LINK_RSP_RUN_H

#include <stdbool.h>

struct rsp_operation;

/* Zero-initialise. */
struct rsp_run {
    bool running;
    bool doubted; /* it may run by another's doing: nothing goes out until that is known */
    bool resumed; /* a resume of ours has not been answered by a stop */
    struct rsp_operation *resume; /* waits for all else; once it is sent, it is in flight too */
    bool resume_sent;
    bool taken; /* the resume was taken; its done is due */
    bool interrupt_wanted, interrupt_sent;
    unsigned tolerated; /* stop replies that may come unasked */
    unsigned strays;    /* that have come unasked since the connect */
};

/* A new connection: the target is halted, no resume is under way. */
void rsp_run_begin(struct rsp_run *run);
/* The connection has ended; resumes have been dropped. */
void rsp_run_end(struct rsp_run *run);

/* A resume is to be sent, once nothing else is in flight. */
void rsp_run_ask(struct rsp_run *run, struct rsp_operation *resume);
/* It will not be sent, or its outcome is known. */
void rsp_run_forget_resume(struct rsp_run *run);
/* It is sent, and the target runs from here on. acked: the stub says that it has taken it. */
void rsp_run_sent(struct rsp_run *run, bool acked);
void rsp_run_taken(struct rsp_run *run, bool taken);
/* Another has let the target run. */
void rsp_run_by_another(struct rsp_run *run);
void rsp_run_halted(struct rsp_run *run);
void rsp_run_doubt(struct rsp_run *run, bool doubted);

/* Somebody wants the target halted: true: the interrupt is to be sent now. */
bool rsp_run_want_interrupt(struct rsp_run *run);
/* No interrupt waits any more. */
void rsp_run_drop_interrupt(struct rsp_run *run);
/* Is an interrupt to be sent that has waited for a resume? */
bool rsp_run_interrupt_due(const struct rsp_run *run);
void rsp_run_interrupt_sent(struct rsp_run *run);

/* One more stop reply may come unasked. */
void rsp_run_tolerate(struct rsp_run *run);
/* A stop reply came unasked. True: it was to be expected. */
bool rsp_run_stray(struct rsp_run *run);

#endif
