/* Steps that the stub answers without having made them, against a scripted stub. */
#include "upstream/link/rsp_client.h"

#include "base/log.h"
#include "base/task.h"
#include "fake_stub.h"
#include "upstream/run_state.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STOP "T05thread:01;"

static struct stage {
    struct ev_loop *loop;
    struct fake_stub stub;
    struct rsp_client *client;
    struct run_state state;
    task_fn *script;
    struct rsp_operation step, other;
    unsigned steps_done, others_done;
    /* what the listener was told */
    unsigned resumed, stopped, refused, lost;
    char text[256];
} stage;

static void on_resumed(void *context)
{
    (void)context;
    stage.resumed++;
}

static void on_stopped(void *context, bool running, const char *reply)
{
    (void)context;
    ck_assert(running);
    ck_assert(!rsp_client_running(stage.client) && !rsp_client_resuming(stage.client));
    stage.stopped++;
    snprintf(stage.text, sizeof stage.text, "%s", reply);
}

static void on_refused(void *context, const char *reply)
{
    (void)context;
    (void)reply;
    stage.refused++;
}

static void on_lost(void *context, const char *reason)
{
    (void)context;
    stage.lost++;
    snprintf(stage.text, sizeof stage.text, "%s", reason);
}

static void run_script(void *arg)
{
    stage.script(arg);
    ev_break(stage.loop, EVBREAK_ALL);
}

static void play(task_fn *script)
{
    int fds[2];
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    memset(&stage, 0, sizeof stage);
    stage.loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct rsp_listener listener = {
        .resumed = on_resumed, .stopped = on_stopped, .refused = on_refused, .lost = on_lost};
    stage.client = rsp_client_new(stage.loop, 5., &stage.state, &listener);
    ck_assert_ptr_nonnull(stage.client);
    fake_stub_init(&stage.stub, fds[1]);
    rsp_client_adopt(stage.client, fds[0]);
    run_state_take(&stage.state, RUN_FOUND_HALTED);
    stage.script = script;
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "script", run_script, NULL));
    ev_run(stage.loop, 0);
    rsp_client_free(stage.client);
    fake_stub_free(&stage.stub);
    ev_loop_destroy(stage.loop);
}

#define SCRIPT(name)                                                                               \
    static void script_##name(void *arg);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        play(script_##name);                                                                       \
    }                                                                                              \
    END_TEST                                                                                       \
    static void script_##name(void *arg __attribute__((unused)))

static void on_step_done(struct rsp_operation *operation)
{
    (void)operation;
    stage.steps_done++;
}

static void on_other_done(struct rsp_operation *operation)
{
    (void)operation;
    stage.others_done++;
}

static void start(const char *payload, uint64_t thread)
{
    stage.step = (struct rsp_operation){.payload = payload,
                                        .length = strlen(payload),
                                        .kind = RSP_RESUME,
                                        .client = 1,
                                        .continue_thread = 1,
                                        .step_thread = thread,
                                        .done = on_step_done};
    ck_assert_int_eq(rsp_client_submit(stage.client, &stage.step), TARGET_OK);
    rsp_client_kick(stage.client);
}

static enum target_error other(const char *payload)
{
    stage.other = (struct rsp_operation){.payload = payload,
                                         .length = strlen(payload),
                                         .kind = RSP_REQUEST,
                                         .client = 2,
                                         .done = on_other_done};
    enum target_error error = rsp_client_submit(stage.client, &stage.other);
    rsp_client_kick(stage.client);
    return error;
}

/* What the stub is asked before a step that is watched, and the step. */
static void expect_step(const char *registers)
{
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "g", registers);
    fake_stub_answer(&stage.stub, "Hc1", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
}

/* It is answered, and looked at. */
static void expect_look(const char *registers)
{
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "g", registers);
}

static void expect_again(void)
{
    fake_stub_answer(&stage.stub, "Hc1", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
}

static void expect_told(const char *reply, unsigned resumed)
{
    while (!stage.stopped)
        task_sleep(0.001);
    ck_assert_uint_eq(stage.stopped, 1);
    ck_assert_str_eq(stage.text, reply);
    ck_assert_uint_eq(stage.resumed, resumed);
    ck_assert_uint_eq(stage.steps_done, 1);
    ck_assert_int_eq(stage.step.error, TARGET_OK);
    fake_stub_expect_byte(&stage.stub, '+');
    fake_stub_expect_silence(&stage.stub);
    ck_assert_int_eq(other("m0,1"), TARGET_OK);
    fake_stub_answer(&stage.stub, "m0,1", "00");
    while (!stage.others_done)
        task_sleep(0.001);
    ck_assert_int_eq(stage.other.error, TARGET_OK);
    ck_assert_uint_eq(stage.lost, 0);
}

/* count answers without a step, then a real one where there is one. */
static void phantoms(unsigned count, bool then_made)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    for (unsigned i = 0; i < count; i++) {
        expect_look("00aa");
        if (i < 3)
            expect_again();
    }
    if (then_made)
        expect_look("00ab");
}

SCRIPT(a_step_that_was_made)
{
    phantoms(0, true);
    expect_told(STOP, 1);
}

SCRIPT(a_step_that_was_not_made)
{
    phantoms(1, true);
    expect_told(STOP, 2);
}

SCRIPT(two_times_not_made)
{
    phantoms(2, true);
    expect_told(STOP, 3);
}

/* As `jmp .` looks, too. The fourth answer counts, whatever it was. */
SCRIPT(three_times_not_made)
{
    phantoms(3, false);
    fake_stub_reply(&stage.stub, STOP);
    expect_told(STOP, 4);
}

SCRIPT(nobody_sees_it_halted_meanwhile)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_expect(&stage.stub, "g");
    ck_assert(rsp_client_running(stage.client) && rsp_client_resuming(stage.client));
    ck_assert_int_eq(other("m0,1"), TARGET_RUNNING);
    fake_stub_reply(&stage.stub, "00aa");
    fake_stub_expect(&stage.stub, "Hc1");
    ck_assert(rsp_client_running(stage.client) && rsp_client_resuming(stage.client));
    ck_assert_int_eq(other("m0,1"), TARGET_RUNNING);
    ck_assert_uint_eq(stage.stopped, 0);
    fake_stub_reply(&stage.stub, "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
    expect_look("00ab");
    expect_told(STOP, 2);
}

/* Between the two a fresh question for the thread is not needed. */
SCRIPT(a_thread_that_is_selected_already)
{
    stage.other = (struct rsp_operation){
        .payload = "p0", .length = 2, .client = 2, .thread = 1, .done = on_other_done};
    ck_assert_int_eq(rsp_client_submit(stage.client, &stage.other), TARGET_OK);
    rsp_client_kick(stage.client);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "p0", "00");
    start("vCont;s:1", 1);
    fake_stub_answer(&stage.stub, "g", "00aa");
    fake_stub_answer(&stage.stub, "Hc1", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
    fake_stub_reply(&stage.stub, "T05thread:01;");
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "g", "00ab");
    stage.others_done = 0;
    expect_told(STOP, 1);
}

/* Stops that are not just the end of that step. */
static void told_at_once(const char *reply)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, reply);
    expect_told(reply, 1);
}

SCRIPT(a_watchpoint)
{
    told_at_once("T05thread:01;watch:1000;");
}

SCRIPT(another_thread_stopped)
{
    told_at_once("T05thread:02;");
}

SCRIPT(another_signal)
{
    told_at_once("T0bthread:01;");
}

SCRIPT(a_stop_without_a_thread)
{
    told_at_once("T05core:01;");
}

SCRIPT(a_step_that_is_not_watched)
{
    start("vCont;s:1", 0);
    fake_stub_answer(&stage.stub, "Hc1", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
    fake_stub_reply(&stage.stub, STOP);
    expect_told(STOP, 1);
}

SCRIPT(interrupted_while_it_runs)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_bytes(&stage.stub, "+", 1);
    while (!stage.steps_done)
        task_sleep(0.001);
    rsp_client_interrupt(stage.client);
    fake_stub_expect_byte(&stage.stub, 0x03);
    fake_stub_packet(&stage.stub, STOP); /* it had stopped by itself */
    expect_told(STOP, 1);
}

SCRIPT(interrupted_before_it_goes_out)
{
    start("vCont;s:1", 1);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    rsp_client_interrupt(stage.client);
    fake_stub_answer(&stage.stub, "g", "00aa");
    fake_stub_answer(&stage.stub, "Hc1", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
    fake_stub_reply(&stage.stub, STOP);
    expect_told(STOP, 1);
}

SCRIPT(interrupted_while_it_is_looked_at)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_expect(&stage.stub, "g");
    rsp_client_interrupt(stage.client);
    fake_stub_reply(&stage.stub, "00aa");
    expect_told(STOP, 1);
}

SCRIPT(interrupted_while_it_is_made_again)
{
    phantoms(1, false);
    fake_stub_bytes(&stage.stub, "+", 1);
    rsp_client_interrupt(stage.client);
    fake_stub_expect_byte(&stage.stub, 0x03);
    fake_stub_packet(&stage.stub, "T02thread:01;");
    expect_told("T02thread:01;", 2);
}

SCRIPT(an_interrupt_of_before_does_not_count)
{
    rsp_client_interrupt(stage.client);
    phantoms(1, true);
    expect_told(STOP, 2);
}

/* A stub that does not say how the processor stands. */
SCRIPT(registers_refused_before)
{
    start("vCont;s:1", 1);
    expect_step("E14");
    fake_stub_reply(&stage.stub, STOP);
    expect_told(STOP, 1);
}

SCRIPT(registers_refused_in_words)
{
    start("vCont;s:1", 1);
    expect_step("E.text"); /* as long as registers might be */
    fake_stub_reply(&stage.stub, STOP);
    expect_told(STOP, 1);
}

SCRIPT(registers_refused_after)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    expect_look("E14");
    expect_told(STOP, 1);
}

SCRIPT(fewer_registers_after)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    expect_look("00");
    expect_told(STOP, 1);
}

SCRIPT(the_thread_is_refused_before)
{
    start("vCont;s:1", 1);
    fake_stub_answer(&stage.stub, "Hg1", "E22");
    fake_stub_answer(&stage.stub, "g", "00aa");
    fake_stub_answer(&stage.stub, "Hc1", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
    fake_stub_reply(&stage.stub, STOP);
    expect_told(STOP, 1);
}

SCRIPT(the_thread_is_refused_after)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_answer(&stage.stub, "Hg1", "E22");
    fake_stub_answer(&stage.stub, "g", "00aa");
    expect_told(STOP, 1);
}

SCRIPT(the_step_is_refused)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, "E22");
    while (!stage.refused)
        task_sleep(0.001);
    ck_assert_int_eq(stage.step.error, TARGET_FAILED);
    ck_assert(!rsp_client_running(stage.client));
    phantoms(1, true); /* the next one is watched as any */
    while (!stage.stopped)
        task_sleep(0.001);
}

SCRIPT(it_is_refused_when_made_again)
{
    phantoms(1, false);
    fake_stub_reply(&stage.stub, "E22");
    while (!stage.refused)
        task_sleep(0.001);
    ck_assert_uint_eq(stage.stopped, 0);
    ck_assert(!rsp_client_running(stage.client) && !rsp_client_resuming(stage.client));
}

SCRIPT(its_processor_is_refused)
{
    rsp_client_set_depth(stage.client, 8);
    start("vCont;s:1", 1);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "g", "00aa");
    fake_stub_answer(&stage.stub, "Hc1", "E22");
    while (!stage.steps_done)
        task_sleep(0.001);
    ck_assert_int_eq(stage.step.error, TARGET_INVALID);
    ck_assert_uint_eq(stage.resumed, 0);
    ck_assert(!rsp_client_running(stage.client) && !rsp_client_resuming(stage.client));
}

SCRIPT(its_processor_is_refused_when_made_again)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    expect_look("00aa");
    fake_stub_answer(&stage.stub, "Hc1", "E22");
    expect_told(STOP, 1);
}

static void expect_lost(void)
{
    while (!stage.lost)
        task_sleep(0.001);
    ck_assert_uint_eq(stage.stopped, 0);
    ck_assert(!rsp_client_running(stage.client) && !rsp_client_resuming(stage.client));
}

SCRIPT(lost_before_it_goes_out)
{
    start("vCont;s:1", 1);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    close(stage.stub.fd);
    expect_lost();
    ck_assert_int_eq(stage.step.error, TARGET_GONE);
    stage.stub.fd = -1;
}

SCRIPT(lost_while_it_is_looked_at)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_expect(&stage.stub, "Hg1");
    close(stage.stub.fd);
    expect_lost();
    stage.stub.fd = -1;
}

SCRIPT(lost_while_it_is_made_again)
{
    phantoms(1, false);
    close(stage.stub.fd);
    expect_lost();
    stage.stub.fd = -1;
}

SCRIPT(closed_while_it_is_looked_at)
{
    start("vCont;s:1", 1);
    expect_step("00aa");
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_expect(&stage.stub, "g");
    rsp_client_close(stage.client);
    ck_assert(!rsp_client_running(stage.client) && !rsp_client_resuming(stage.client));
    task_sleep(0.01);
    ck_assert_uint_eq(stage.lost + stage.stopped, 0);
}

/* With room for several in flight all that has to be known first is asked at once. */
SCRIPT(asked_in_one_piece)
{
    rsp_client_set_depth(stage.client, 8);
    ck_assert_int_eq(other("qC"), TARGET_OK);
    fake_stub_answer(&stage.stub, "qC", "QC1"); /* the first after a pause goes alone */
    while (!stage.others_done)
        task_sleep(0.001);
    stage.others_done = 0;
    start("vCont;s:1", 1);
    fake_stub_expect(&stage.stub, "Hg1");
    fake_stub_expect(&stage.stub, "g");
    fake_stub_expect(&stage.stub, "Hc1");
    fake_stub_expect_silence(&stage.stub);
    fake_stub_reply(&stage.stub, "OK");
    fake_stub_reply(&stage.stub, "00aa");
    fake_stub_reply(&stage.stub, "OK");
    fake_stub_expect(&stage.stub, "vCont;s:1");
    fake_stub_reply(&stage.stub, STOP);
    fake_stub_expect(&stage.stub, "Hg1");
    fake_stub_expect(&stage.stub, "g");
    fake_stub_reply(&stage.stub, "OK");
    fake_stub_reply(&stage.stub, "00ab");
    fake_stub_expect_byte(&stage.stub, '+');
    expect_told(STOP, 1);
}

int main(void)
{
    Suite *suite = suite_create("rsp_step");
    TCase *tcase = tcase_create("made or not");
    tcase_add_test(tcase, a_step_that_was_made);
    tcase_add_test(tcase, a_step_that_was_not_made);
    tcase_add_test(tcase, two_times_not_made);
    tcase_add_test(tcase, three_times_not_made);
    tcase_add_test(tcase, nobody_sees_it_halted_meanwhile);
    tcase_add_test(tcase, a_thread_that_is_selected_already);
    tcase_add_test(tcase, asked_in_one_piece);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("told as it came");
    tcase_add_test(tcase, a_watchpoint);
    tcase_add_test(tcase, another_thread_stopped);
    tcase_add_test(tcase, another_signal);
    tcase_add_test(tcase, a_stop_without_a_thread);
    tcase_add_test(tcase, a_step_that_is_not_watched);
    tcase_add_test(tcase, interrupted_while_it_runs);
    tcase_add_test(tcase, interrupted_before_it_goes_out);
    tcase_add_test(tcase, interrupted_while_it_is_looked_at);
    tcase_add_test(tcase, interrupted_while_it_is_made_again);
    tcase_add_test(tcase, an_interrupt_of_before_does_not_count);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("misfortune");
    tcase_add_test(tcase, registers_refused_before);
    tcase_add_test(tcase, registers_refused_in_words);
    tcase_add_test(tcase, registers_refused_after);
    tcase_add_test(tcase, fewer_registers_after);
    tcase_add_test(tcase, the_thread_is_refused_before);
    tcase_add_test(tcase, the_thread_is_refused_after);
    tcase_add_test(tcase, the_step_is_refused);
    tcase_add_test(tcase, it_is_refused_when_made_again);
    tcase_add_test(tcase, its_processor_is_refused);
    tcase_add_test(tcase, its_processor_is_refused_when_made_again);
    tcase_add_test(tcase, lost_before_it_goes_out);
    tcase_add_test(tcase, lost_while_it_is_looked_at);
    tcase_add_test(tcase, lost_while_it_is_made_again);
    tcase_add_test(tcase, closed_while_it_is_looked_at);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
