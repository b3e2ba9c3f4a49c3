/* Every move of what the front's clients see of the run state, and who has caused a run or a halt.
 */
#include "base/log.h"
#include "config.h"
#include "draw.h"
#include "stub/front_run.h"
#include "stub_run.h"

#include <signal.h>
#include <stdint.h>

/* Where each input leads from lost, running, settling, halted: by the state's first letter, . where
 * it is refused. */
static const char *const moves[FRONT_INPUTS] = {
    [FRONT_SEES_RUN] = ".rrr",   [FRONT_SEES_HALT] = "hhsh",     [FRONT_SEES_LOSS] = "llll",
    [FRONT_UNSETTLED] = "..ss",  [FRONT_TOLD] = "..hh",          [FRONT_RESUMES] = "lrsh",
    [FRONT_STEPS] = "lrsh",      [FRONT_RESUMES_AGAIN] = "..sh", [FRONT_RESUME_OVER] = "lrsh",
    [FRONT_STEPS_OVER] = "lrsh", [FRONT_STEPPED_OVER] = "lrsh",  [FRONT_HALTS] = ".rsh",
    [FRONT_HALT_OVER] = "lrsh",  [FRONT_ASKED_TO_HALT] = ".rsh", [FRONT_FIRST_CLIENT] = "lrsh",
};

START_TEST(every_move)
{
    for (int input = 0; input < FRONT_INPUTS; input++)
        for (int now = 0; now < FRONT_RUNS; now++) {
            struct front_run run = {.now = (enum front_run_now)now};
            char to = moves[input][now];
            ck_assert_msg(front_run_allows(&run, (enum front_run_input)input) == (to != '.'),
                          "%s, input %d", front_run_text((enum front_run_now)now), input);
            if (to == '.')
                continue;
            ck_assert(front_run_take(&run, (enum front_run_input)input));
            ck_assert_msg(front_run_text(run.now)[0] == to, "%s, input %d: %s",
                          front_run_text((enum front_run_now)now), input, front_run_text(run.now));
            ck_assert_ptr_null(front_run_fault(&run));
        }
}
END_TEST

START_TEST(a_refused_move_changes_nothing)
{
    struct front_run run = {.now = FRONT_RUNNING, .facts = FRONT_RUN_OURS};
    /* In a strict build this is the end. */
    ck_assert(!front_run_take(&run, FRONT_TOLD));
    ck_assert_int_eq(run.now, FRONT_RUNNING);
    ck_assert_uint_eq(run.facts, FRONT_RUN_OURS);
#ifdef SB_STRICT
    ck_abort_msg("a strict build goes on");
#endif
}
END_TEST

START_TEST(facts_that_do_not_fit)
{
    struct front_run none = {.now = FRONT_RUNS},
                     runs = {.now = FRONT_RUNNING, .facts = FRONT_HALT_OURS};
    ck_assert_ptr_nonnull(front_run_fault(&none));
    ck_assert_ptr_nonnull(front_run_fault(&runs));
}
END_TEST

static void take(struct front_run *run, const enum front_run_input *inputs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(front_run_take(run, inputs[i]), "input %zu", i);
}
#define TAKE(run, ...)                                                                             \
    take(run, (const enum front_run_input[]){__VA_ARGS__},                                         \
         sizeof((const enum front_run_input[]){__VA_ARGS__}) / sizeof(enum front_run_input))

START_TEST(a_client_resumes_it)
{
    struct front_run run = {.now = FRONT_HALTED};
    TAKE(&run, FRONT_STEPS, FRONT_SEES_RUN, FRONT_RESUME_OVER);
    ck_assert_uint_eq(run.facts, FRONT_STEPPED | FRONT_RUN_OURS);
    TAKE(&run, FRONT_SEES_HALT);
    ck_assert_uint_eq(run.facts, FRONT_STEPPED | FRONT_RUN_OURS | FRONT_HALT_OURS);
    TAKE(&run, FRONT_TOLD, FRONT_RESUMES, FRONT_SEES_RUN, FRONT_RESUME_OVER);
    ck_assert_uint_eq(run.facts, FRONT_RUN_OURS);
}
END_TEST

START_TEST(others_resume_it)
{
    struct front_run run = {.now = FRONT_HALTED,
                            .facts = FRONT_STEPPED | FRONT_RUN_OURS | FRONT_HALT_OURS};
    TAKE(&run, FRONT_SEES_RUN);
    ck_assert_uint_eq(run.facts, 0);
    TAKE(&run, FRONT_SEES_HALT);
    ck_assert(!front_run_is(&run, FRONT_HALT_OURS));
    /* before its halt is settled */
    TAKE(&run, FRONT_UNSETTLED, FRONT_SEES_RUN);
    ck_assert_int_eq(run.now, FRONT_RUNNING);
}
END_TEST

START_TEST(a_step_over_changes_nobodys_run)
{
    for (unsigned ours = 0; ours <= FRONT_RUN_OURS; ours += FRONT_RUN_OURS) {
        struct front_run run = {.now = FRONT_HALTED, .facts = ours};
        TAKE(&run, FRONT_STEPS_OVER, FRONT_SEES_RUN, FRONT_SEES_HALT, FRONT_STEPPED_OVER);
        ck_assert_int_eq(run.now, FRONT_HALTED);
        ck_assert_uint_eq(run.facts & FRONT_RUN_OURS, ours);
    }
}
END_TEST

START_TEST(a_silent_resume_is_for_whom_it_ran)
{
    for (unsigned ours = 0; ours <= FRONT_RUN_OURS; ours += FRONT_RUN_OURS) {
        struct front_run run = {.now = FRONT_SETTLING, .facts = ours | FRONT_STEPPED};
        TAKE(&run, FRONT_RESUMES_AGAIN, FRONT_SEES_RUN, FRONT_RESUME_OVER);
        ck_assert_uint_eq(run.facts, ours ? ours | FRONT_STEPPED : 0);
    }
}
END_TEST

START_TEST(who_wants_a_halt)
{
    struct front_run run = {.now = FRONT_RUNNING};
    ck_assert(!front_run_halt_wanted(&run));
    TAKE(&run, FRONT_ASKED_TO_HALT, FRONT_SEES_HALT, FRONT_TOLD);
    ck_assert(front_run_halt_wanted(&run) && front_run_is(&run, FRONT_HALT_OURS));
    TAKE(&run, FRONT_SEES_RUN); /* until it runs */
    ck_assert(!front_run_halt_wanted(&run));
    TAKE(&run, FRONT_HALTS, FRONT_SEES_RUN); /* until it is over */
    ck_assert(front_run_halt_wanted(&run));
    TAKE(&run, FRONT_SEES_HALT, FRONT_HALT_OVER);
    ck_assert(!front_run_halt_wanted(&run) && front_run_is(&run, FRONT_HALT_OURS));
    TAKE(&run, FRONT_FIRST_CLIENT);
    ck_assert_uint_eq(run.facts, 0);
}
END_TEST

START_TEST(random_walks_keep_the_facts)
{
    uint32_t seed = (uint32_t)_i + 1;
    struct front_run run = {0};
    unsigned seen = 0;
    for (int i = 0; i < 5000; i++) {
        enum front_run_input input = (enum front_run_input)(draw(&seed) % FRONT_INPUTS);
        if (!front_run_allows(&run, input))
            continue;
        front_run_take(&run, input);
        const char *fault = front_run_fault(&run);
        ck_assert_msg(fault == NULL, "seed %d, after %d inputs: %s", _i + 1, i + 1, fault);
        seen |= 1u << run.now;
    }
    ck_assert_uint_eq(seen, (1u << FRONT_RUNS) - 1);
}
END_TEST

int main(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    TCase *tcase = tcase_create("all");
    tcase_add_test(tcase, every_move);
#ifdef SB_STRICT
    tcase_add_test_raise_signal(tcase, a_refused_move_changes_nothing, SIGABRT);
#else
    tcase_add_test(tcase, a_refused_move_changes_nothing);
#endif
    tcase_add_test(tcase, facts_that_do_not_fit);
    tcase_add_test(tcase, a_client_resumes_it);
    tcase_add_test(tcase, others_resume_it);
    tcase_add_test(tcase, a_step_over_changes_nobodys_run);
    tcase_add_test(tcase, a_silent_resume_is_for_whom_it_ran);
    tcase_add_test(tcase, who_wants_a_halt);
    tcase_add_loop_test(tcase, random_walks_keep_the_facts, 0, 5);
    return stub_run(tcase, "stub front run");
}
