/* Callers and another's hand at random, against the fake machine as the model: when all has come to
 * rest the target is told to run when the machine does, and only then. */
#include "upstream/upstream_target.h"

#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "draw.h"
#include "fake_machine.h"
#include "upstream/upstream.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT  7
#define ROUNDS  10 /* few: a target that is lost comes back after a second */
#define ACTIONS 6
/* Looks, a millisecond or more apart, until both must agree: a loss is found again in a second. */
#define LOOKS_MOST 8000

static struct fake_machine machine;
static struct target *target;
static struct {
    struct ev_loop *loop;
    uint32_t seed;
    void (*hand)(void); /* what the other does */
    unsigned actors;    /* tasks that act */
    enum target_state told;
    bool finished;
} stage;

static uint32_t draw_below(uint32_t most)
{
    return draw(&stage.seed) % most;
}

static void on_state(void *context, enum target_state state, const char *text)
{
    (void)context;
    (void)text;
    stage.told = state;
}

/* A caller's request; most are refused for the state they find. */
static void call(void)
{
    bool cancel = true;
    struct failure failure = {0};
    char text[256];
    switch (draw_below(4)) {
    case 0:
        (void)target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure);
        break;
    case 1:
        (void)target->run->resume(target, CLIENT, TARGET_RESUME_STEP, draw_below(MACHINE_CPUS),
                                  &failure);
        break;
    case 2:
        (void)target->run->wait(target, CLIENT, 0, &cancel, text, sizeof text);
        break;
    default:
        (void)target->run->interrupt(target, CLIENT);
    }
}

static void monitor_or_guest(void)
{
    if (draw_below(3) == 0 && machine.running)
        fake_machine_halt(&machine, "T05thread:02;");
    else
        fake_machine_run(&machine, draw_below(2) != 0);
}

/* By itself alone: nobody else is at the machine. */
static void guest(void)
{
    if (machine.running)
        fake_machine_halt(&machine, "T05thread:02;");
    else
        machine.phantoms = draw_below(3);
}

static void act(void (*action)(void))
{
    for (int i = 0; i < ACTIONS; i++) {
        if (draw_below(3) == 0)
            task_sleep(0.001 * draw_below(4));
        action();
    }
    stage.actors--;
}

static void caller_task(void *arg)
{
    (void)arg;
    act(call);
}

static void hand_task(void *arg)
{
    (void)arg;
    act(stage.hand);
}

static bool agrees(void)
{
    return target->run->state(target) ==
           (machine.running ? TARGET_STATE_RUNNING : TARGET_STATE_HALTED);
}

static void look(uint32_t seed, int number)
{
    const struct run_state *state = &upstream_of(target)->state;
    for (int i = 0; stage.actors > 0 || !agrees(); i++) {
        ck_assert_msg(run_state_fault(state) == NULL, "seed %u, round %d: %s", seed, number,
                      run_state_fault(state));
        ck_assert_msg(i < LOOKS_MOST, "seed %u, round %d: the target is told to be %s, and %s",
                      seed, number, run_text(state->now), machine.running ? "runs" : "is halted");
        task_sleep(0.001);
    }
    ck_assert_msg(stage.told == target->run->state(target) || state->now == RUN_RESUMING,
                  "seed %u, round %d: the listener was told something else", seed, number);
}

static void walk_task(void *arg)
{
    (void)arg;
    uint32_t seed = stage.seed;
    struct failure failure = {0};
    ck_assert_msg(upstream_attach(target, &failure) == TARGET_OK, "%s", failure.text);
    for (int number = 0; number < ROUNDS; number++) {
        stage.actors = 3;
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "caller", caller_task, NULL));
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "caller", caller_task, NULL));
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "hand", hand_task, NULL));
        look(seed, number);
    }
    upstream_detach(target);
    fake_machine_stop(&machine);
    stage.finished = true;
}

static void walk(uint32_t seed, void (*hand)(void))
{
    memset(&stage, 0, sizeof stage);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    stage.loop = ev_loop_new(EVFLAG_AUTO);
    stage.seed = seed;
    stage.hand = hand;
    fake_machine_start(&machine, stage.loop);
    machine.patient = true;
    struct upstream_config config = {
        .gdb = machine.gdb, .have_qmp = true, .qmp = machine.qmp, .timeout = 1, .reattach = true};
    target = upstream_new(stage.loop, &config);
    ck_assert_ptr_nonnull(target);
    struct target_listener listener = {.state_changed = on_state};
    target->about->set_listener(target, &listener);
    fake_machine_serve(&machine);
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "walk", walk_task, NULL));
    ev_run(stage.loop, 0);
    ck_assert(stage.finished);
    upstream_free(target);
    ev_loop_destroy(stage.loop);
}

START_TEST(callers_and_the_guest)
{
    walk((uint32_t)_i, guest);
    ck_assert_uint_eq(machine.bad, 0); /* not a byte while it ran */
}
END_TEST

START_TEST(callers_and_the_monitor)
{
    walk((uint32_t)_i, monitor_or_guest);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("run_random");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, callers_and_the_guest, 1, 4);
    tcase_add_loop_test(tcase, callers_and_the_monitor, 1, 4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
