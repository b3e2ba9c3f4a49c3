/* What the front's clients see of the run state: four named states, the inputs that move it, and
 * who has caused what. Whether the target runs is said upstream alone; here a halt is told to
 * nobody before it is settled, and a stop may turn out to be nobody's. Pure: no input or output but
 * the log. */
#ifndef SB_STUB_FRONT_RUN_H
#define SB_STUB_FRONT_RUN_H

#include <stdbool.h>

enum front_run_now {
    FRONT_LOST,     /* the target is not there */
    FRONT_RUNNING,  /* nothing is to be told */
    FRONT_SETTLING, /* halted, and things are put in order before anybody hears of it */
    FRONT_HALTED,   /* halted, and told to whoever waits for it: unless a step over ended so */
    FRONT_RUNS
};

/* Facts: bits of front_run.facts. Those that the front does itself take a while, and the target may
 * change meanwhile: they hold in every state, and so do those that outlive a halt. */
enum front_run_fact {
    FRONT_RESUMING = 1,      /* a resume of ours is on its way */
    FRONT_STEPPING_OVER = 2, /* a step that no client asked for: its stop is nobody's */
    FRONT_HALTING = 4,       /* a halt of ours is on its way */
    FRONT_HALT_ASKED = 8,    /* a client has asked for a halt since the target last ran */
    FRONT_STEPPED = 16,      /* the last resume of ours was a step: its stop is wanted */
    FRONT_RUN_OURS = 32,     /* it was resumed last by a client of this front */
    FRONT_HALT_OURS = 64,    /* SETTLING, HALTED: by a client of this front */
};

enum front_run_input {
    /* what the target tells */
    FRONT_SEES_RUN,
    FRONT_SEES_HALT,
    FRONT_SEES_LOSS,
    /* what becomes of a halt */
    FRONT_UNSETTLED, /* it is not to be told yet */
    FRONT_TOLD,      /* the clients are told */
    /* what the front does */
    FRONT_RESUMES,       /* for a client */
    FRONT_STEPS,         /* for a client, and it is a step */
    FRONT_RESUMES_AGAIN, /* the stop was nobody's: for whom it ran before */
    FRONT_RESUME_OVER,   /* it has gone out, or has failed */
    FRONT_STEPS_OVER,
    FRONT_STEPPED_OVER, /* it has ended, or has failed */
    FRONT_HALTS,
    FRONT_HALT_OVER, /* it has halted and settled, or that has failed */
    /* what clients do */
    FRONT_ASKED_TO_HALT,
    FRONT_FIRST_CLIENT, /* attaches: what was done before was done by others */
    FRONT_INPUTS
};

/* Read by everybody, written by front_run_take alone. */
struct front_run {
    enum front_run_now now;
    unsigned facts; /* enum front_run_fact */
};

/* Take an input. False: the state does not allow it and is left as it is, which is a fault of ours:
 * it is logged as an error, and in a build with --enable-strict the process aborts. */
bool front_run_take(struct front_run *run, enum front_run_input input);
/* May that input come now? */
bool front_run_allows(const struct front_run *run, enum front_run_input input);
/* What is wrong with state and facts; NULL: they fit each other. */
const char *front_run_fault(const struct front_run *run);
/* "settling"; for people. */
const char *front_run_text(enum front_run_now now);

static inline bool front_run_is(const struct front_run *run, enum front_run_fact fact)
{
    return (run->facts & fact) != 0;
}

/* Somebody who is there wants the target halted. */
static inline bool front_run_halt_wanted(const struct front_run *run)
{
    return front_run_is(run, FRONT_HALTING) || front_run_is(run, FRONT_HALT_ASKED);
}

#endif
