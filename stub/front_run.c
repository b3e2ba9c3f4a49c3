/* Hides which moves the clients' view of the run state allows, and what an input leaves of who has
 * caused what. */
#include "stub/front_run.h"

#include "base/log.h"
#include "config.h"

#include <stdlib.h>

#define ROOM "stub"

/* Where an input leads. */
#define L FRONT_LOST
#define R FRONT_RUNNING
#define S FRONT_SETTLING
#define H FRONT_HALTED
#define X FRONT_RUNS /* not allowed */

struct row {
    const char *text;
    enum front_run_now to[FRONT_RUNS]; /* from lost, running, settling, halted */
    unsigned drop, add;                /* facts */
};

static const struct row rows[FRONT_INPUTS] = {
    /* A target that is there again is halted first. */
    [FRONT_SEES_RUN] = {"it runs", {X, R, R, R}, FRONT_HALT_ASKED | FRONT_HALT_OURS, 0},
    [FRONT_SEES_HALT] = {"it halted", {H, H, S, H}, FRONT_HALT_OURS, 0},
    [FRONT_SEES_LOSS] = {"it is lost", {L, L, L, L}, FRONT_HALT_OURS, 0},
    [FRONT_UNSETTLED] = {"the halt is to be settled", {X, X, S, S}, 0, 0},
    [FRONT_TOLD] = {"the halt is told", {X, X, H, H}, 0, 0},
    [FRONT_RESUMES] = {"a resume", {L, R, S, H}, FRONT_STEPPED, FRONT_RESUMING},
    [FRONT_STEPS] = {"a step", {L, R, S, H}, 0, FRONT_RESUMING | FRONT_STEPPED},
    [FRONT_RESUMES_AGAIN] = {"a silent resume", {X, X, S, H}, FRONT_RESUMING, 0},
    [FRONT_RESUME_OVER] = {"the resume is over", {L, R, S, H}, FRONT_RESUMING, 0},
    [FRONT_STEPS_OVER] = {"a step over", {L, R, S, H}, 0, FRONT_STEPPING_OVER},
    [FRONT_STEPPED_OVER] = {"the step over is over", {L, R, S, H}, FRONT_STEPPING_OVER, 0},
    [FRONT_HALTS] = {"a halt", {X, R, S, H}, 0, FRONT_HALTING},
    [FRONT_HALT_OVER] = {"the halt is over", {L, R, S, H}, FRONT_HALTING, 0},
    [FRONT_ASKED_TO_HALT] = {"a client asks for a halt", {X, R, S, H}, 0, FRONT_HALT_ASKED},
    [FRONT_FIRST_CLIENT] = {"the first client", {L, R, S, H}, FRONT_RUN_OURS | FRONT_HALT_OURS, 0},
};

#undef L
#undef R
#undef S
#undef H
#undef X

static const char *const texts[FRONT_RUNS] = {[FRONT_LOST] = "lost",
                                              [FRONT_RUNNING] = "running",
                                              [FRONT_SETTLING] = "settling",
                                              [FRONT_HALTED] = "halted"};

const char *front_run_text(enum front_run_now now)
{
    return texts[now];
}

const char *front_run_fault(const struct front_run *run)
{
    if (run->now >= FRONT_RUNS)
        return "no such state";
    if (front_run_is(run, FRONT_HALT_OURS) && run->now != FRONT_SETTLING &&
        run->now != FRONT_HALTED)
        return "a halt of ours, and it is not halted";
    return NULL;
}

bool front_run_allows(const struct front_run *run, enum front_run_input input)
{
    return rows[input].to[run->now] != FRONT_RUNS;
}

/* A fault of ours. */
static void complain(const struct front_run *run, enum front_run_input input, const char *fault)
{
    log_error(ROOM, "run state of the front: %s (0x%x), '%s': %s", front_run_text(run->now),
              run->facts, rows[input].text, fault);
#ifdef SB_STRICT
    abort();
#endif
}

/* The facts that an input adds because of others. */
static unsigned follows(const struct front_run *run, enum front_run_input input)
{
    if (input == FRONT_SEES_HALT)
        return front_run_is(run, FRONT_RUN_OURS) || front_run_halt_wanted(run) ? FRONT_HALT_OURS
                                                                               : 0;
    if (input == FRONT_RESUMES_AGAIN)
        return front_run_is(run, FRONT_RUN_OURS) ? FRONT_RESUMING : 0;
    return 0;
}

/* Who has resumed it, now that it runs: a step over changes nothing about that. */
static unsigned run_by(const struct front_run *run)
{
    unsigned facts = run->facts;

    if (!front_run_is(run, FRONT_RESUMING))
        facts &= ~(unsigned)FRONT_STEPPED;
    if (!front_run_is(run, FRONT_STEPPING_OVER)) {
        facts &= ~(unsigned)FRONT_RUN_OURS;
        facts |= front_run_is(run, FRONT_RESUMING) ? FRONT_RUN_OURS : 0;
    }
    return facts;
}

bool front_run_take(struct front_run *run, enum front_run_input input)
{
    const struct row *row = &rows[input];

    if (!front_run_allows(run, input)) {
        complain(run, input, "not allowed");
        return false;
    }
    unsigned add = row->add | follows(run, input);
    unsigned facts = input == FRONT_SEES_RUN ? run_by(run) : run->facts;
    *run = (struct front_run){.now = row->to[run->now], .facts = (facts & ~row->drop) | add};
    const char *fault = front_run_fault(run);
    if (fault)
        complain(run, input, fault);
    return true;
}
