/* Hides which moves the run state allows, and which facts belong to which state: two tables. */
#include "upstream/run_state.h"

#include "base/log.h"
#include "config.h"

#include <stdlib.h>

#define ROOM "target"

#define IN(state)    (1u << (state))
#define HALTED_ANY   (IN(RUN_HALTED) | IN(RUN_ASLEEP))
#define MOVING       (IN(RUN_RUNNING) | IN(RUN_HALTING))
#define RUNNING_ANY  (IN(RUN_RESUMING) | MOVING)
#define ATTACHED     (HALTED_ANY | RUNNING_ANY)
#define EVERY        (ATTACHED | IN(RUN_LOST) | IN(RUN_ATTACHING))
#define STAYS        RUNS
#define NO_FACTS     0u
#define EVERY_FACT   (RUN_OURS | RUN_LOOKING | RUN_HALT_WANTED | RUN_HALT_SENT | RUN_DOUBTED)
#define KEEP_RESUMED (RUN_OURS | RUN_HALT_WANTED | RUN_DOUBTED)

/* An input: in which states it may come, where it leads, which facts live through it, and which it
 * adds; and those without which it may not come. */
struct row {
    const char *text;
    unsigned from;
    enum run to;
    unsigned keep, add, need;
};

static const struct row rows[RUN_INPUTS] = {
    [RUN_CONNECTED] = {"connected", IN(RUN_LOST), RUN_ATTACHING, NO_FACTS, NO_FACTS, NO_FACTS},
    [RUN_FOUND_HALTED] = {"attached", IN(RUN_ATTACHING), RUN_HALTED, NO_FACTS, NO_FACTS, NO_FACTS},
    [RUN_FOUND_ASLEEP] = {"attached", IN(RUN_ATTACHING), RUN_ASLEEP, NO_FACTS, NO_FACTS, NO_FACTS},
    [RUN_ENDED] = {"the connection has ended", EVERY, RUN_LOST, NO_FACTS, NO_FACTS, NO_FACTS},
    [RUN_ASKED] = {"a resume is asked for", HALTED_ANY, RUN_RESUMING, RUN_DOUBTED, RUN_OURS,
                   NO_FACTS},
    [RUN_CALLED_OFF] = {"no resume is sent", IN(RUN_RESUMING), RUN_HALTED, RUN_DOUBTED, NO_FACTS,
                        NO_FACTS},
    [RUN_SENT] = {"the resume is sent", IN(RUN_RESUMING), RUN_RUNNING, KEEP_RESUMED, NO_FACTS,
                  NO_FACTS},
    [RUN_REFUSED] = {"the stub has refused", MOVING, RUN_HALTED, RUN_DOUBTED, NO_FACTS, RUN_OURS},
    [RUN_STOPPED] = {"a stop", MOVING, RUN_HALTED, RUN_DOUBTED, NO_FACTS, NO_FACTS},
    [RUN_STEP_ANSWERED] = {"was the step made?", IN(RUN_RUNNING), RUN_RESUMING, KEEP_RESUMED,
                           RUN_LOOKING, RUN_OURS},
    [RUN_STEP_MADE] = {"the step was made", IN(RUN_RESUMING), RUN_HALTED, RUN_DOUBTED, NO_FACTS,
                       NO_FACTS},
    [RUN_WANT_HALT] = {"it is to halt", RUNNING_ANY, STAYS, EVERY_FACT, RUN_HALT_WANTED, NO_FACTS},
    [RUN_INTERRUPT_SENT] = {"the interrupt is sent", MOVING, RUN_HALTING, EVERY_FACT,
                            RUN_HALT_WANTED | RUN_HALT_SENT, NO_FACTS},
    [RUN_MONITOR_HALTS] = {"the monitor is to halt it", MOVING, RUN_HALTING, EVERY_FACT, NO_FACTS,
                           NO_FACTS},
    [RUN_GOES_ON] = {"it runs on", IN(RUN_HALTING), RUN_RUNNING, KEEP_RESUMED, NO_FACTS, NO_FACTS},
    [RUN_SEEN_RUNNING] = {"resumed by another", HALTED_ANY | IN(RUN_RESUMING), RUN_RUNNING,
                          RUN_DOUBTED, NO_FACTS, NO_FACTS},
    [RUN_SEEN_HALTED] = {"seen to be halted", MOVING, RUN_HALTED, RUN_DOUBTED, NO_FACTS, NO_FACTS},
    [RUN_SEEN_ASLEEP] = {"seen to be asleep", MOVING | HALTED_ANY, RUN_ASLEEP, RUN_DOUBTED,
                         NO_FACTS, NO_FACTS},
    [RUN_WOKEN] = {"no longer asleep", IN(RUN_ASLEEP), RUN_HALTED, RUN_DOUBTED, NO_FACTS, NO_FACTS},
    [RUN_DOUBT] = {"another may have resumed it", ATTACHED, STAYS, EVERY_FACT, RUN_DOUBTED,
                   NO_FACTS},
    [RUN_DOUBT_OVER] = {"no doubt any more", EVERY, STAYS, EVERY_FACT & ~RUN_DOUBTED, NO_FACTS,
                        NO_FACTS},
};

/* The facts that may, and those that must, hold in a state. */
static const struct {
    const char *text;
    enum target_state told;
    unsigned may, must;
} states[RUNS] = {
    [RUN_LOST] = {"lost", TARGET_STATE_LOST, NO_FACTS, NO_FACTS},
    [RUN_ATTACHING] = {"attaching", TARGET_STATE_LOST, NO_FACTS, NO_FACTS},
    [RUN_HALTED] = {"halted", TARGET_STATE_HALTED, RUN_DOUBTED, NO_FACTS},
    [RUN_RESUMING] = {"resuming", TARGET_STATE_RUNNING, KEEP_RESUMED | RUN_LOOKING, RUN_OURS},
    [RUN_RUNNING] = {"running", TARGET_STATE_RUNNING, KEEP_RESUMED, NO_FACTS},
    [RUN_HALTING] = {"halting", TARGET_STATE_RUNNING, KEEP_RESUMED | RUN_HALT_SENT, NO_FACTS},
    [RUN_ASLEEP] = {"asleep", TARGET_STATE_HALTED, RUN_DOUBTED, NO_FACTS},
};

const char *run_text(enum run run)
{
    return states[run].text;
}

enum target_state run_state_told(enum run run)
{
    return states[run].told;
}

const char *run_state_fault(const struct run_state *state)
{
    if (state->now >= RUNS)
        return "no such state";
    if (state->facts & ~states[state->now].may)
        return "a fact that does not belong to the state";
    if ((state->facts & states[state->now].must) != states[state->now].must)
        return "a fact is missing that belongs to the state";
    if (run_state_is(state, RUN_HALT_SENT) && !run_state_is(state, RUN_HALT_WANTED))
        return "an interrupt that nobody wanted";
    return NULL;
}

bool run_state_allows(const struct run_state *state, enum run_input input)
{
    const struct row *row = &rows[input];
    return (row->from & IN(state->now)) != 0 && (state->facts & row->need) == row->need;
}

/* A fault of ours. */
static void complain(const struct run_state *state, enum run_input input, const char *fault)
{
    log_error(ROOM, "run state: %s (0x%x), '%s': %s", run_text(state->now), state->facts,
              rows[input].text, fault);
#ifdef SB_STRICT
    abort();
#endif
}

bool run_state_take(struct run_state *state, enum run_input input)
{
    const struct row *row = &rows[input];
    if (!run_state_allows(state, input)) {
        complain(state, input, "not allowed");
        return false;
    }
    enum run from = state->now;
    if (row->to == RUN_LOST && from != RUN_LOST) {
        state->before = from;
        state->ran = run_state_runs(state);
    }
    if (row->to != STAYS)
        state->now = row->to;
    state->facts = (state->facts & row->keep) | row->add;
    log_trace(ROOM, "run state: %s -> %s (%s)", run_text(from), run_text(state->now), row->text);
    const char *fault = run_state_fault(state);
    if (fault)
        complain(state, input, fault);
    return true;
}
