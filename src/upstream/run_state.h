/* Does the target run? The one object that says so: named states, the inputs that move it, and the
 * facts that belong to a state. Pure: no input or output but the log.
 *
 * Whoever owns a connection to the target owns one of these. The queue to the stub, and run/, feed
 * it; everybody else reads it. */
#ifndef SB_UPSTREAM_RUN_STATE_H
#define SB_UPSTREAM_RUN_STATE_H

#include "upstream/types.h"

#include <stdbool.h>

enum run {
    RUN_LOST,      /* no connection to the stub */
    RUN_ATTACHING, /* connected; what is there is being found out. Halted, as the stub sees it */
    RUN_HALTED,    /* the stub takes requests */
    /* a resume was asked for, and nothing of it was sent; or it was a step, and the stub has
     * answered, and it is not known yet whether the step was made. The stub takes what was asked
     * before; nothing new is asked */
    RUN_RESUMING,
    RUN_RUNNING, /* the resume was sent, by us or by another: the stub takes the interrupt alone */
    RUN_HALTING, /* as RUN_RUNNING, and it was asked to halt: by the stub, or by the monitor */
    /* halted, and QEMU says that a resume does not let it run: it was shut down or suspended, or
     * has failed within (QEMU: runstate_needs_reset). A resume is tried all the same, for it may
     * have been woken meanwhile */
    RUN_ASLEEP,
    RUNS
};

/* Facts: bits of run_state.facts. Each holds in some states alone. */
enum run_fact {
    RUN_OURS = 1,        /* RESUMING, RUNNING, HALTING: it runs because we resumed it */
    RUN_LOOKING = 2,     /* RESUMING: a step was answered, and is being looked at */
    RUN_HALT_WANTED = 4, /* RESUMING, RUNNING, HALTING: somebody wants it halted */
    RUN_HALT_SENT = 8,   /* HALTING: the stub has the interrupt, and owes the stop */
    RUN_DOUBTED = 16,    /* it may run by another's doing: send nothing until that is known */
};

enum run_input {
    RUN_CONNECTED,      /* the stub is connected */
    RUN_FOUND_HALTED,   /* the attach is done */
    RUN_FOUND_ASLEEP,   /* the same */
    RUN_ENDED,          /* the connection is gone, whatever the state */
    RUN_ASKED,          /* we are asked to resume it */
    RUN_CALLED_OFF,     /* what was asked for will not be sent */
    RUN_SENT,           /* the resume goes out */
    RUN_REFUSED,        /* the stub has answered it with an error */
    RUN_STOPPED,        /* the stub tells of a stop */
    RUN_STEP_ANSWERED,  /* the stub tells of a step's end, and that is looked at */
    RUN_STEP_MADE,      /* it was made, or is taken for it */
    RUN_WANT_HALT,      /* somebody wants it halted */
    RUN_INTERRUPT_SENT, /* the stub was told so */
    RUN_MONITOR_HALTS,  /* the monitor is told so */
    RUN_GOES_ON,        /* the monitor has refused, or it runs all the same */
    RUN_SEEN_RUNNING,   /* the monitor says that it runs: another has resumed it */
    RUN_SEEN_HALTED,    /* the monitor says that it is halted */
    RUN_SEEN_ASLEEP,    /* the same, and why */
    RUN_WOKEN,          /* what was asleep can be resumed again: a reset, a stop nobody asked for */
    RUN_DOUBT,          /* another may have let it run */
    RUN_DOUBT_OVER,     /* no more */
    RUN_INPUTS
};

/* Read by everybody, written by run_state_take alone. All zero: lost, since nothing was there. */
struct run_state {
    enum run now;
    enum run before; /* RUN_LOST: the state in which it was lost; else undefined */
    bool ran;        /* RUN_LOST: the target ran when it was lost; else undefined */
    unsigned facts;  /* enum run_fact */
};

/* Take an input. True: the state allows it; a trace line tells what came of it. False: it does not
 * and is left as it is, which is a fault of ours: it is logged as an error, and in a build with
 * --enable-strict the process aborts. */
bool run_state_take(struct run_state *state, enum run_input input);
/* May that input come now? */
bool run_state_allows(const struct run_state *state, enum run_input input);
/* What is wrong with state and facts; NULL: they fit each other. */
const char *run_state_fault(const struct run_state *state);

/* "halted"; for people. */
const char *run_text(enum run run);

static inline bool run_state_is(const struct run_state *state, enum run_fact fact)
{
    return (state->facts & fact) != 0;
}

/* Connected, and attached. */
static inline bool run_state_attached(const struct run_state *state)
{
    return state->now != RUN_LOST && state->now != RUN_ATTACHING;
}

/* The stub takes nothing but the interrupt. */
static inline bool run_state_moving(const struct run_state *state)
{
    return state->now == RUN_RUNNING || state->now == RUN_HALTING;
}

/* The target runs, or it is not known yet whether a step has ended. A resume that was only asked
 * for does not count. */
static inline bool run_state_runs(const struct run_state *state)
{
    return run_state_moving(state) || run_state_is(state, RUN_LOOKING);
}

/* As the layers above see it. A resume that was asked for is as good as done: what the target
 * should have before it must not come any more. */
enum target_state run_state_told(enum run run);

#endif
