/* Hides which of the flags of a run change together. */
#include "upstream/link/rsp_run.h"

#include <stddef.h>

void rsp_run_begin(struct rsp_run *run)
{
    run->tolerated = 1; /* QEMU before 8.1 tells of the stop that a connect causes */
    run->strays = 0;
}

void rsp_run_end(struct rsp_run *run)
{
    run->running = run->resumed = run->taken = run->doubted = false;
    run->interrupt_sent = run->interrupt_wanted = false;
}

void rsp_run_ask(struct rsp_run *run, struct rsp_operation *resume)
{
    run->resume = resume;
}

void rsp_run_forget_resume(struct rsp_run *run)
{
    run->resume = NULL;
    run->resume_sent = false;
}

void rsp_run_sent(struct rsp_run *run, bool acked)
{
    run->running = run->resumed = run->resume_sent = true;
    run->interrupt_sent = false;
    run->taken = !acked;
    run->tolerated = 0;
}

void rsp_run_taken(struct rsp_run *run, bool taken)
{
    run->taken = taken;
}

void rsp_run_by_another(struct rsp_run *run)
{
    run->running = true;
    run->resumed = run->interrupt_sent = run->interrupt_wanted = false;
    run->tolerated = 0;
}

void rsp_run_halted(struct rsp_run *run)
{
    run->running = run->resumed = false;
    run->interrupt_sent = run->interrupt_wanted = false;
}

void rsp_run_doubt(struct rsp_run *run, bool doubted)
{
    run->doubted = doubted;
}

bool rsp_run_want_interrupt(struct rsp_run *run)
{
    if (run->resume)
        run->interrupt_wanted = true;
    return !run->resume && run->running;
}

void rsp_run_drop_interrupt(struct rsp_run *run)
{
    run->interrupt_wanted = false;
}

bool rsp_run_interrupt_due(const struct rsp_run *run)
{
    return run->interrupt_wanted && run->running && !run->resume;
}

void rsp_run_interrupt_sent(struct rsp_run *run)
{
    run->interrupt_wanted = false;
    run->interrupt_sent = true;
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
