/* Hides which inputs of the run state the stub's client knows of. */
#include "upstream/link/rsp_run.h"

#include "upstream/link/rsp_operation.h"

#include <stddef.h>

void rsp_run_init(struct rsp_run *run, struct run_state *state)
{
    *run = (struct rsp_run){.state = state};
}

void rsp_run_begin(struct rsp_run *run)
{
    run->tolerated = 1; /* QEMU before 8.1 tells of the stop that a connect causes */
    run->strays = 0;
    run_state_take(run->state, RUN_CONNECTED);
}

void rsp_run_end(struct rsp_run *run)
{
    if (run->state->now != RUN_LOST)
        run_state_take(run->state, RUN_ENDED);
}

void rsp_run_ask(struct rsp_run *run, struct rsp_operation *resume)
{
    run->resume = resume;
    resume->acked = false;
    if (!run_state_is(run->state, RUN_LOOKING))
        run_state_take(run->state, RUN_ASKED);
}

void rsp_run_forget_resume(struct rsp_run *run)
{
    run->resume = NULL;
}

void rsp_run_sent(struct rsp_run *run, bool acks)
{
    run_state_take(run->state, RUN_SENT);
    run->resume->acked = !acks;
    run->tolerated = 0;
}

bool rsp_run_in_flight(const struct rsp_run *run)
{
    return run->resume && rsp_run_moving(run);
}

bool rsp_run_taken(const struct rsp_run *run)
{
    return rsp_run_in_flight(run) && run->resume->acked;
}

bool rsp_run_resuming(const struct rsp_run *run)
{
    return run->resume || run_state_is(run->state, RUN_LOOKING);
}

bool rsp_run_moving(const struct rsp_run *run)
{
    return run_state_moving(run->state);
}

bool rsp_run_ours(const struct rsp_run *run)
{
    return rsp_run_moving(run) && run_state_is(run->state, RUN_OURS);
}

bool rsp_run_doubted(const struct rsp_run *run)
{
    return run_state_is(run->state, RUN_DOUBTED);
}

void rsp_run_by_another(struct rsp_run *run)
{
    run_state_take(run->state, RUN_SEEN_RUNNING);
    run->tolerated = 0;
}

void rsp_run_halted(struct rsp_run *run, enum run_input input)
{
    run_state_take(run->state, input);
}

bool rsp_run_want_interrupt(struct rsp_run *run)
{
    if (rsp_run_stop_owed(run) || !run_state_allows(run->state, RUN_WANT_HALT))
        return false;
    run_state_take(run->state, RUN_WANT_HALT);
    return !run->resume && rsp_run_moving(run);
}

bool rsp_run_interrupt_due(const struct rsp_run *run)
{
    return run_state_is(run->state, RUN_HALT_WANTED) && !rsp_run_stop_owed(run) &&
           rsp_run_moving(run) && !run->resume;
}

void rsp_run_interrupt_sent(struct rsp_run *run)
{
    run_state_take(run->state, RUN_INTERRUPT_SENT);
}

bool rsp_run_stop_owed(const struct rsp_run *run)
{
    return run_state_is(run->state, RUN_HALT_SENT);
}

void rsp_run_tolerate(struct rsp_run *run)
{
    run->tolerated++;
}

bool rsp_run_stray(struct rsp_run *run)
{
    run->strays++;
    if (run->tolerated == 0)
        return false;
    run->tolerated--;
    return true;
}
