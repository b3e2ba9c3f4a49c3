/* Every move of the run state, allowed and refused, and random walks that must keep the facts. */
#include "upstream/run_state.h"

#include "base/log.h"
#include "config.h"
#include "draw.h"

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Where each input leads from lost, attaching, halted, resuming, running, halting, asleep: by the
 * state's first letter (i: resuming, g: halting), . where it is refused. */
static const char *const moves[RUN_INPUTS] = {
    [RUN_CONNECTED] = "t......",      [RUN_FOUND_HALTED] = ".h.....",
    [RUN_FOUND_ASLEEP] = ".a.....",   [RUN_ENDED] = "lllllll",
    [RUN_ASKED] = "..i...i",          [RUN_CALLED_OFF] = "...h...",
    [RUN_SENT] = "...r...",           [RUN_REFUSED] = "....hh.",
    [RUN_STOPPED] = "....hh.",        [RUN_STEP_ANSWERED] = "....i..",
    [RUN_STEP_MADE] = "...h...",      [RUN_WANT_HALT] = "...irg.",
    [RUN_INTERRUPT_SENT] = "....gg.", [RUN_MONITOR_HALTS] = "....gg.",
    [RUN_GOES_ON] = ".....r.",        [RUN_SEEN_RUNNING] = "..rr..r",
    [RUN_SEEN_HALTED] = "....hh.",    [RUN_SEEN_ASLEEP] = "..a.aaa",
    [RUN_WOKEN] = "......h",          [RUN_DOUBT] = "..hirga",
    [RUN_DOUBT_OVER] = "lthirga",
};
static const char letters[] = "lthirga";

/* In that state; where it runs, by our doing. */
static struct run_state standing(enum run run)
{
    bool runs = run_state_told(run) == TARGET_STATE_RUNNING;
    return (struct run_state){.now = run, .facts = runs ? RUN_OURS : 0};
}

START_TEST(every_move)
{
    for (int input = 0; input < RUN_INPUTS; input++)
        for (int run = 0; run < RUNS; run++) {
            struct run_state state = standing((enum run)run);
            char to = moves[input][run];
            ck_assert_msg(run_state_allows(&state, (enum run_input)input) == (to != '.'),
                          "%s, input %d", run_text((enum run)run), input);
            if (to == '.')
                continue;
            ck_assert(run_state_take(&state, (enum run_input)input));
            ck_assert_msg(letters[state.now] == to, "%s, input %d: %s", run_text((enum run)run),
                          input, run_text(state.now));
            ck_assert_ptr_null(run_state_fault(&state));
        }
}
END_TEST

START_TEST(a_refused_move_changes_nothing)
{
    struct run_state state = standing(RUN_HALTED);
    /* In a strict build this is the end. */
    ck_assert(!run_state_take(&state, RUN_STOPPED));
    ck_assert_int_eq(state.now, RUN_HALTED);
#ifdef SB_STRICT
    ck_abort_msg("a strict build goes on");
#endif
}
END_TEST

START_TEST(facts_that_do_not_fit)
{
    struct run_state bad[] = {
        {.now = RUNS},
        {.now = RUN_RESUMING},
        {.now = RUN_HALTED, .facts = RUN_OURS},
        {.now = RUN_RUNNING, .facts = RUN_LOOKING},
        {.now = RUN_RUNNING, .facts = RUN_HALT_WANTED | RUN_HALT_SENT},
        {.now = RUN_HALTING, .facts = RUN_HALT_SENT},
        {.now = RUN_LOST, .facts = RUN_DOUBTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(run_state_fault(&bad[i]) != NULL, "%zu", i);
}
END_TEST

START_TEST(what_the_rooms_above_see)
{
    static const enum target_state told[RUNS] = {
        TARGET_STATE_LOST,    TARGET_STATE_LOST,    TARGET_STATE_HALTED, TARGET_STATE_RUNNING,
        TARGET_STATE_RUNNING, TARGET_STATE_RUNNING, TARGET_STATE_HALTED};
    for (int run = 0; run < RUNS; run++) {
        struct run_state state = standing((enum run)run);
        ck_assert_int_eq(run_state_told((enum run)run), told[run]);
        ck_assert_int_eq(run_state_attached(&state), told[run] != TARGET_STATE_LOST);
        ck_assert_int_eq(run_state_moving(&state), run == RUN_RUNNING || run == RUN_HALTING);
    }
}
END_TEST

START_TEST(who_resumed_it_is_known_while_it_runs)
{
    struct run_state state = standing(RUN_HALTED);
    run_state_take(&state, RUN_ASKED);
    run_state_take(&state, RUN_WANT_HALT);
    run_state_take(&state, RUN_SENT);
    ck_assert(run_state_is(&state, RUN_OURS) && run_state_is(&state, RUN_HALT_WANTED));
    run_state_take(&state, RUN_INTERRUPT_SENT);
    ck_assert(run_state_is(&state, RUN_OURS) && run_state_is(&state, RUN_HALT_SENT));
    run_state_take(&state, RUN_STOPPED);
    ck_assert_uint_eq(state.facts, 0);
    run_state_take(&state, RUN_SEEN_RUNNING);
    ck_assert(!run_state_is(&state, RUN_OURS));
    /* What another has resumed is no step of ours, and nothing that the stub could refuse. */
    ck_assert(!run_state_allows(&state, RUN_STEP_ANSWERED));
    ck_assert(!run_state_allows(&state, RUN_REFUSED));
}
END_TEST

START_TEST(a_step_that_is_made_again)
{
    struct run_state state = standing(RUN_HALTED);
    run_state_take(&state, RUN_ASKED);
    run_state_take(&state, RUN_SENT);
    run_state_take(&state, RUN_STEP_ANSWERED);
    ck_assert(state.now == RUN_RESUMING && run_state_is(&state, RUN_LOOKING));
    run_state_take(&state, RUN_SENT);
    ck_assert(state.now == RUN_RUNNING && !run_state_is(&state, RUN_LOOKING));
}
END_TEST

START_TEST(how_it_was_lost_is_remembered)
{
    struct run_state state = standing(RUN_RUNNING);
    run_state_take(&state, RUN_ENDED);
    ck_assert_int_eq(state.before, RUN_RUNNING);
    run_state_take(&state, RUN_ENDED);
    ck_assert_int_eq(state.before, RUN_RUNNING);
}
END_TEST

START_TEST(random_walks_keep_the_facts)
{
    uint32_t seed = (uint32_t)_i + 1;
    struct run_state state = {0};
    unsigned seen = 0;
    for (int i = 0; i < 20000; i++) {
        enum run_input input = (enum run_input)(draw(&seed) % RUN_INPUTS);
        if (!run_state_allows(&state, input))
            continue;
        run_state_take(&state, input);
        const char *fault = run_state_fault(&state);
        ck_assert_msg(fault == NULL, "seed %d, after %d inputs: %s", _i + 1, i + 1, fault);
        seen |= 1u << state.now;
    }
    ck_assert_uint_eq(seen, (1u << RUNS) - 1);
}
END_TEST

int main(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    Suite *suite = suite_create("run_state");
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, every_move);
#ifdef SB_STRICT
    tcase_add_test_raise_signal(tcase, a_refused_move_changes_nothing, SIGABRT);
#else
    tcase_add_test(tcase, a_refused_move_changes_nothing);
#endif
    tcase_add_test(tcase, facts_that_do_not_fit);
    tcase_add_test(tcase, what_the_rooms_above_see);
    tcase_add_test(tcase, who_resumed_it_is_known_while_it_runs);
    tcase_add_test(tcase, a_step_that_is_made_again);
    tcase_add_test(tcase, how_it_was_lost_is_remembered);
    tcase_add_loop_test(tcase, random_walks_keep_the_facts, 0, 20);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
