/* The upstream queue against a scripted stub at the other end of a socket pair. */
#include "upstream/link/rsp_client.h"

#include "base/buffer.h"
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

#define TIMEOUT 5.

static struct stage {
    struct ev_loop *loop;
    struct fake_stub stub;
    struct rsp_client *client;
    struct run_state state;
    task_fn *script;
    /* what the listener was told */
    unsigned resumed, stopped, strays, refused, lost;
    char text[256];
    unsigned disturb; /* so often it will say that another may let the target run */
} stage;

/* A request that remembers how it ended. */
struct request {
    struct rsp_operation operation;
    char payload[64];
    char reply[128];
    bool done;
    unsigned order; /* of all that were done */
};

static unsigned done_count;

static void on_done(struct rsp_operation *operation)
{
    struct request *request = operation->context;
    ck_assert(!request->done);
    request->done = true;
    request->order = ++done_count;
    snprintf(request->reply, sizeof request->reply, "%s",
             operation->error == TARGET_OK ? operation->reply : "");
}

static void make(struct request *request, const char *payload)
{
    memset(request, 0, sizeof *request);
    snprintf(request->payload, sizeof request->payload, "%s", payload);
    request->operation.payload = request->payload;
    request->operation.length = strlen(payload);
    request->operation.client = 1;
    request->operation.done = on_done;
    request->operation.context = request;
}

static void submit(struct request *request)
{
    ck_assert_int_eq(rsp_client_submit(stage.client, &request->operation), TARGET_OK);
    ck_assert(!request->done);
}

static void post(struct request *request, const char *payload)
{
    make(request, payload);
    submit(request);
    rsp_client_kick(stage.client);
}

static void finish(struct request *request)
{
    while (!request->done)
        task_sleep(0.001);
}

static void expect_reply(struct request *request, const char *reply)
{
    finish(request);
    ck_assert_int_eq(request->operation.error, TARGET_OK);
    ck_assert_str_eq(request->reply, reply);
}

static void expect_error(struct request *request, enum target_error error)
{
    finish(request);
    ck_assert_int_eq(request->operation.error, error);
}

static void expect_lost(const char *reason)
{
    while (!stage.lost)
        task_sleep(0.001);
    ck_assert_msg(strstr(stage.text, reason) != NULL, "'%s' is not in '%s'", reason, stage.text);
    ck_assert(!rsp_client_connected(stage.client));
    struct request late;
    make(&late, "g");
    ck_assert_int_eq(rsp_client_submit(stage.client, &late.operation), TARGET_GONE);
}

static bool on_undisturbed(void *context)
{
    (void)context;
    if (stage.disturb == 0)
        return true;
    stage.disturb--;
    return false;
}

static void on_resumed(void *context)
{
    (void)context;
    stage.resumed++;
}

static void on_stopped(void *context, bool running, const char *reply)
{
    (void)context;
    stage.stopped += running;
    stage.strays += !running;
    snprintf(stage.text, sizeof stage.text, "%s", reply);
}

static void on_refused(void *context, const char *reply)
{
    (void)context;
    stage.refused++;
    snprintf(stage.text, sizeof stage.text, "%s", reply);
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

/* Run a test as one task that plays both the callers and the stub. */
static void play(task_fn *script, double timeout)
{
    int fds[2];
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    memset(&stage, 0, sizeof stage);
    done_count = 0;
    stage.loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct rsp_listener listener = {.undisturbed = on_undisturbed,
                                    .resumed = on_resumed,
                                    .stopped = on_stopped,
                                    .refused = on_refused,
                                    .lost = on_lost};
    stage.client = rsp_client_new(stage.loop, timeout, &stage.state, &listener);
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
        play(script_##name, TIMEOUT);                                                              \
    }                                                                                              \
    END_TEST                                                                                       \
    static void script_##name(void *arg __attribute__((unused)))

/* Deep enough that nothing waits; the first request of a burst goes alone, so one is answered. */
static void deepen(unsigned depth)
{
    struct request first;
    rsp_client_set_depth(stage.client, depth);
    post(&first, "qC");
    fake_stub_answer(&stage.stub, "qC", "QC1");
    expect_reply(&first, "QC1");
    fake_stub_expect_byte(&stage.stub, '+');
}

SCRIPT(one_request_and_its_ack)
{
    struct request request;
    post(&request, "m10,4");
    fake_stub_expect(&stage.stub, "m10,4");
    fake_stub_reply(&stage.stub, "00112233");
    expect_reply(&request, "00112233");
    fake_stub_expect_byte(&stage.stub, '+');
    fake_stub_expect_silence(&stage.stub);
}

/* qOffsets: not a stop reply, though it begins with a T and a hex digit. */
SCRIPT(a_reply_with_the_letter_of_a_stop)
{
    struct request request;
    post(&request, "qOffsets");
    fake_stub_answer(&stage.stub, "qOffsets", "Text=0;Data=0;Bss=0");
    expect_reply(&request, "Text=0;Data=0;Bss=0");
    ck_assert_int_eq(stage.lost, 0);
}

SCRIPT(depth_one_waits)
{
    struct request a, b;
    post(&a, "m0,1");
    post(&b, "m1,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_expect_silence(&stage.stub);
    fake_stub_reply(&stage.stub, "aa");
    fake_stub_answer(&stage.stub, "m1,1", "bb");
    expect_reply(&a, "aa");
    expect_reply(&b, "bb");
}

SCRIPT(pipelined_up_to_the_depth_and_in_order)
{
    struct request requests[6];
    char payload[16];
    deepen(4);
    for (int i = 0; i < 6; i++) {
        snprintf(payload, sizeof payload, "m%d,1", i);
        post(&requests[i], payload);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(payload, sizeof payload, "m%d,1", i);
        fake_stub_expect(&stage.stub, payload);
    }
    fake_stub_expect_silence(&stage.stub);
    /* One failure in the middle stays in its place. */
    fake_stub_reply(&stage.stub, "00");
    fake_stub_reply(&stage.stub, "E14");
    fake_stub_answer(&stage.stub, "m4,1", "02");
    fake_stub_answer(&stage.stub, "m5,1", "03");
    fake_stub_reply(&stage.stub, "04");
    fake_stub_reply(&stage.stub, "05");
    const char *replies[] = {"00", "E14", "02", "03", "04", "05"};
    for (unsigned i = 0; i < 6; i++) {
        expect_reply(&requests[i], replies[i]);
        ck_assert_uint_eq(requests[i].order, i + 2);
    }
}

SCRIPT(after_a_pause_the_first_goes_alone)
{
    struct request a, b;
    deepen(4);
    task_sleep(0.1); /* longer than a burst pauses */
    make(&a, "m0,1");
    make(&b, "m1,1");
    submit(&a);
    submit(&b);
    rsp_client_kick(stage.client);
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_expect_silence(&stage.stub);
    fake_stub_reply(&stage.stub, "aa");
    fake_stub_answer(&stage.stub, "m1,1", "bb");
    expect_reply(&b, "bb");
}

SCRIPT(callers_take_turns)
{
    struct request many[20], other;
    char payload[16];
    deepen(1);
    for (int i = 0; i < 20; i++) {
        snprintf(payload, sizeof payload, "m%x,1", i);
        make(&many[i], payload);
        submit(&many[i]);
    }
    make(&other, "g");
    other.operation.client = 2;
    submit(&other);
    rsp_client_kick(stage.client);
    for (int i = 0; i < 21; i++) {
        ck_assert(fake_stub_hear(&stage.stub));
        fake_stub_reply(&stage.stub, "00");
    }
    for (int i = 0; i < 20; i++)
        finish(&many[i]);
    finish(&other);
    /* Its turn came long before the first caller was through, and each kept its own order. */
    ck_assert_uint_lt(other.order, many[12].order);
    for (int i = 1; i < 20; i++)
        ck_assert_uint_gt(many[i].order, many[i - 1].order);
}

/* Switches of processor and space */

static void post_at(struct request *request, const char *payload, uint64_t thread,
                    enum rsp_space space)
{
    make(request, payload);
    request->operation.thread = thread;
    request->operation.space = space;
    submit(request);
    rsp_client_kick(stage.client);
}

SCRIPT(switches_only_when_it_differs)
{
    struct request a, b, c, d, e;
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "m0,1", 1, RSP_SPACE_VIRTUAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:0", "OK");
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    post_at(&b, "m1,1", 1, RSP_SPACE_VIRTUAL);
    fake_stub_answer(&stage.stub, "m1,1", "bb");
    post_at(&c, "m2,1", 2, RSP_SPACE_VIRTUAL);
    fake_stub_answer(&stage.stub, "Hg2", "OK");
    fake_stub_answer(&stage.stub, "m2,1", "cc");
    /* Physical memory is the same for all. */
    post_at(&d, "m3,1", 0, RSP_SPACE_PHYSICAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:1", "OK");
    fake_stub_answer(&stage.stub, "m3,1", "dd");
    /* Neither is asked for: nothing is switched. */
    post_at(&e, "qC", 0, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "qC", "QC1");
    expect_reply(&a, "aa");
    expect_reply(&b, "bb");
    expect_reply(&c, "cc");
    expect_reply(&d, "dd");
    expect_reply(&e, "QC1");
}

SCRIPT(an_untried_switch_is_waited_for)
{
    struct request a, b;
    deepen(8);
    post_at(&a, "m0,1", 3, RSP_SPACE_ANY);
    post_at(&b, "m1,1", 0, RSP_SPACE_ANY);
    fake_stub_expect(&stage.stub, "Hg3");
    fake_stub_expect_silence(&stage.stub);
    fake_stub_reply(&stage.stub, "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    fake_stub_answer(&stage.stub, "m1,1", "bb");
    expect_reply(&b, "bb");
}

SCRIPT(a_tried_switch_is_pipelined)
{
    struct request a, b, c;
    deepen(8);
    post_at(&a, "m0,1", 1, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    post_at(&b, "m0,1", 2, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "Hg2", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    expect_reply(&b, "aa");
    post_at(&c, "m1,1", 1, RSP_SPACE_ANY);
    fake_stub_expect(&stage.stub, "Hg1");
    fake_stub_expect(&stage.stub, "m1,1");
    fake_stub_reply(&stage.stub, "OK");
    fake_stub_reply(&stage.stub, "bb");
    expect_reply(&c, "bb");
}

SCRIPT(a_refused_processor_fails_the_request_alone)
{
    struct request a, b;
    deepen(8);
    post_at(&a, "M0,1:00", 9, RSP_SPACE_ANY);
    post_at(&b, "m1,1", 1, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "Hg9", "E22");
    /* The write must never be seen. */
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "m1,1", "bb");
    expect_error(&a, TARGET_INVALID);
    expect_reply(&b, "bb");
}

SCRIPT(a_refused_space_fails_the_request_alone)
{
    struct request a, b;
    deepen(8);
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "M0,1:00", 0, RSP_SPACE_PHYSICAL);
    post_at(&b, "m1,1", 0, RSP_SPACE_VIRTUAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:1", "E22");
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:0", "OK");
    fake_stub_answer(&stage.stub, "m1,1", "bb");
    expect_error(&a, TARGET_UNSUPPORTED);
    expect_reply(&b, "bb");
}

SCRIPT(no_way_back_to_virtual_is_the_end)
{
    struct request a;
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "M0,1:00", 0, RSP_SPACE_VIRTUAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:0", "E22");
    expect_error(&a, TARGET_GONE);
    expect_lost("refused");
}

SCRIPT(physical_needs_a_stub_that_has_it)
{
    struct request a;
    make(&a, "m0,1");
    a.operation.space = RSP_SPACE_PHYSICAL;
    ck_assert_int_eq(rsp_client_submit(stage.client, &a.operation), TARGET_UNSUPPORTED);
    fake_stub_expect_silence(&stage.stub);
}

SCRIPT(the_monitor_is_moved_by_cpu)
{
    struct request a, b;
    struct buffer output = {0};
    make(&a, "qRcmd,78");
    a.operation.kind = RSP_COMMAND;
    a.operation.monitor_cpu = 2;
    a.operation.output = &output;
    submit(&a);
    rsp_client_kick(stage.client);
    fake_stub_answer(&stage.stub, "qRcmd,6370752031", "OK"); /* cpu 1 */
    fake_stub_expect(&stage.stub, "qRcmd,78");
    fake_stub_reply(&stage.stub, "O6162");
    fake_stub_packet(&stage.stub, "O63");
    fake_stub_packet(&stage.stub, "OK");
    expect_reply(&a, "OK");
    ck_assert_str_eq((const char *)buffer_bytes(&output), "abc");
    /* Output says that there is no such processor, though the reply is OK. */
    make(&b, "qRcmd,79");
    b.operation.kind = RSP_COMMAND;
    b.operation.monitor_cpu = 6;
    submit(&b);
    rsp_client_kick(stage.client);
    fake_stub_expect(&stage.stub, "qRcmd,6370752035");
    fake_stub_reply(&stage.stub, "O6e6f");
    fake_stub_packet(&stage.stub, "OK");
    expect_error(&b, TARGET_INVALID);
    buffer_free(&output);
}

SCRIPT(output_packets_are_not_acknowledged)
{
    struct request a;
    make(&a, "qRcmd,78");
    a.operation.kind = RSP_COMMAND;
    submit(&a);
    rsp_client_kick(stage.client);
    fake_stub_expect(&stage.stub, "qRcmd,78");
    fake_stub_reply(&stage.stub, "O61");
    fake_stub_packet(&stage.stub, "O62");
    fake_stub_expect_silence(&stage.stub);
    fake_stub_packet(&stage.stub, "OK");
    finish(&a);
    fake_stub_expect_byte(&stage.stub, '+');
    fake_stub_expect_silence(&stage.stub);
}

SCRIPT(an_idle_stub_is_put_back_into_its_virtual_space)
{
    struct request a;
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "m0,1", 0, RSP_SPACE_PHYSICAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    finish(&a);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:0", "OK");
}

/* Whoever else lets the target run may not have been heard yet: QEMU would lose the packet. */
SCRIPT(an_idle_stub_is_left_alone_while_the_target_may_run)
{
    struct request a;
    stage.disturb = 3;
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "m0,1", 0, RSP_SPACE_PHYSICAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    finish(&a);
    fake_stub_expect_byte(&stage.stub, '+');
    while (stage.disturb > 0) {
        fake_stub_expect_silence(&stage.stub);
        task_sleep(0.001);
    }
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:0", "OK");
}

/* Running */

static void resume(struct request *request, const char *payload)
{
    make(request, payload);
    request->operation.kind = RSP_RESUME;
    submit(request);
    rsp_client_kick(stage.client);
}

/* A target that runs, taken and all. */
static void run(void)
{
    struct request request;
    resume(&request, "c");
    fake_stub_expect(&stage.stub, "c");
    fake_stub_bytes(&stage.stub, "+", 1);
    expect_reply(&request, "");
    ck_assert(rsp_client_running(stage.client));
}

SCRIPT(a_running_target_hears_nothing)
{
    struct request request;
    run();
    ck_assert_uint_eq(stage.resumed, 1);
    make(&request, "m0,4");
    ck_assert_int_eq(rsp_client_submit(stage.client, &request.operation), TARGET_RUNNING);
    rsp_client_kick(stage.client);
    fake_stub_packet(&stage.stub, "O6869"); /* console output */
    fake_stub_expect_silence(&stage.stub);
    fake_stub_packet(&stage.stub, "T05thread:01;");
    fake_stub_expect_byte(&stage.stub, '+');
    ck_assert_uint_eq(stage.stopped, 1);
    ck_assert_str_eq(stage.text, "T05thread:01;");
    ck_assert(!rsp_client_running(stage.client));
}

SCRIPT(a_resume_is_a_barrier)
{
    struct request a, b, c, late;
    deepen(8);
    make(&a, "m0,1");
    make(&b, "m1,1");
    b.operation.client = 2;
    submit(&a);
    submit(&b);
    make(&c, "vCont;c");
    c.operation.kind = RSP_RESUME;
    submit(&c);
    make(&late, "m2,1");
    ck_assert_int_eq(rsp_client_submit(stage.client, &late.operation), TARGET_RUNNING);
    rsp_client_kick(stage.client);
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_expect(&stage.stub, "m1,1");
    ck_assert_uint_eq(stage.resumed, 0);
    fake_stub_reply(&stage.stub, "aa");
    fake_stub_expect_byte(&stage.stub, '+');
    fake_stub_expect_silence(&stage.stub);
    fake_stub_reply(&stage.stub, "bb");
    fake_stub_expect(&stage.stub, "vCont;c");
    ck_assert_uint_eq(stage.resumed, 1);
    ck_assert(!c.done);
    ck_assert(rsp_client_resuming(stage.client));
    fake_stub_bytes(&stage.stub, "+", 1);
    expect_reply(&c, "");
    fake_stub_expect_silence(&stage.stub);
}

SCRIPT(a_resume_leaves_the_physical_space)
{
    struct request a, b;
    deepen(8);
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "m0,1", 0, RSP_SPACE_PHYSICAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    finish(&a);
    make(&b, "vCont;s:2");
    b.operation.kind = RSP_RESUME;
    b.operation.space = RSP_SPACE_VIRTUAL;
    b.operation.continue_thread = 2;
    submit(&b);
    rsp_client_kick(stage.client);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:0", "OK");
    fake_stub_answer(&stage.stub, "Hc2", "OK");
    fake_stub_expect(&stage.stub, "vCont;s:2");
    fake_stub_reply(&stage.stub, "T05thread:02;");
    expect_reply(&b, "");
    ck_assert_uint_eq(stage.stopped, 1);
}

SCRIPT(a_resume_whose_processor_is_refused)
{
    struct request a, b;
    make(&a, "vCont;s:9");
    a.operation.kind = RSP_RESUME;
    a.operation.continue_thread = 9;
    submit(&a);
    rsp_client_kick(stage.client);
    fake_stub_answer(&stage.stub, "Hc9", "E22");
    expect_error(&a, TARGET_INVALID);
    ck_assert_uint_eq(stage.resumed, 0);
    post(&b, "m0,1");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    expect_reply(&b, "aa");
}

SCRIPT(a_refused_resume_leaves_it_halted)
{
    struct request a, b;
    resume(&a, "vCont;s:9");
    fake_stub_answer(&stage.stub, "vCont;s:9", "E22");
    expect_error(&a, TARGET_FAILED);
    ck_assert_uint_eq(stage.refused, 1);
    post(&b, "m0,1");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    expect_reply(&b, "aa");
}

SCRIPT(processors_are_named_again_after_a_stop)
{
    struct request a, b;
    post_at(&a, "m0,1", 1, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    finish(&a);
    run();
    fake_stub_packet(&stage.stub, "T05thread:02;");
    while (rsp_client_running(stage.client))
        task_sleep(0);
    post_at(&b, "m0,1", 1, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "bb");
    expect_reply(&b, "bb");
}

SCRIPT(one_interrupt_for_each_stop)
{
    run();
    rsp_client_interrupt(stage.client);
    rsp_client_interrupt(stage.client);
    fake_stub_expect_byte(&stage.stub, 0x03);
    fake_stub_expect_silence(&stage.stub);
    fake_stub_packet(&stage.stub, "T02thread:01;");
    fake_stub_expect_byte(&stage.stub, '+');
    rsp_client_interrupt(stage.client); /* halted: nothing to send */
    fake_stub_expect_silence(&stage.stub);
    run();
    rsp_client_interrupt(stage.client);
    fake_stub_expect_byte(&stage.stub, 0x03);
}

SCRIPT(an_interrupt_waits_for_the_resume_to_be_taken)
{
    struct request request;
    resume(&request, "c");
    rsp_client_interrupt(stage.client);
    fake_stub_expect(&stage.stub, "c");
    fake_stub_expect_silence(&stage.stub);
    fake_stub_bytes(&stage.stub, "+", 1);
    fake_stub_expect_byte(&stage.stub, 0x03);
    finish(&request);
}

SCRIPT(without_acks_a_resume_is_taken_when_it_is_sent)
{
    struct request request;
    rsp_client_set_acks(stage.client, false);
    resume(&request, "vCont;c");
    fake_stub_expect(&stage.stub, "vCont;c");
    expect_reply(&request, "");
    fake_stub_packet(&stage.stub, "T05");
    while (rsp_client_running(stage.client))
        task_sleep(0);
    fake_stub_expect_silence(&stage.stub);
}

SCRIPT(others_resume_and_halt)
{
    struct request waiting, request;
    rsp_client_set_depth(stage.client, 1);
    make(&waiting, "m0,1");
    submit(&waiting); /* not sent yet */
    rsp_client_set_running(stage.client, true);
    expect_error(&waiting, TARGET_RUNNING);
    fake_stub_expect_silence(&stage.stub);
    rsp_client_set_running(stage.client, false);
    post(&request, "m0,1");
    /* The stub's own word of the stop comes late, in front of the reply. */
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_packet(&stage.stub, "T02thread:01;");
    fake_stub_reply(&stage.stub, "aa");
    expect_reply(&request, "aa");
    ck_assert_uint_eq(stage.stopped + stage.strays, 0);
}

SCRIPT(a_stop_that_nobody_waits_for)
{
    fake_stub_packet(&stage.stub, "T02thread:01;"); /* of the connect */
    fake_stub_expect_byte(&stage.stub, '+');
    ck_assert_uint_eq(stage.strays, 0);
    ck_assert_uint_eq(rsp_client_strays(stage.client), 1);
    fake_stub_packet(&stage.stub, "T05thread:01;");
    fake_stub_expect_byte(&stage.stub, '+');
    ck_assert_uint_eq(stage.strays, 1);
}

SCRIPT(a_stop_in_place_of_a_reply)
{
    struct request a, b;
    fake_stub_packet(&stage.stub, "T02thread:01;"); /* of the connect */
    fake_stub_expect_byte(&stage.stub, '+');
    post(&a, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    make(&b, "m1,1");
    submit(&b);
    fake_stub_packet(&stage.stub, "T02thread:01;");
    expect_error(&a, TARGET_GONE);
    expect_error(&b, TARGET_GONE);
    expect_lost("resumed by another");
    ck_assert(rsp_client_intruded(stage.client));
}

SCRIPT(status_takes_a_stop_reply)
{
    struct request request;
    make(&request, "?");
    request.operation.kind = RSP_STATUS;
    submit(&request);
    rsp_client_kick(stage.client);
    fake_stub_answer(&stage.stub, "?", "T05thread:01;");
    expect_reply(&request, "T05thread:01;");
}

SCRIPT(the_target_ends)
{
    run();
    fake_stub_packet(&stage.stub, "W07");
    expect_lost("W07");
    ck_assert_str_eq(rsp_client_exit(stage.client), "W07");
}

/* Misfortune */

SCRIPT(a_retransmission_asked_for)
{
    struct request request;
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "-", 1);
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    expect_reply(&request, "aa");
}

SCRIPT(a_retransmission_asked_for_again_and_again)
{
    struct request request;
    post(&request, "m0,1");
    for (int i = 0; i < 4; i++) {
        fake_stub_expect(&stage.stub, "m0,1");
        fake_stub_bytes(&stage.stub, "-", 1);
    }
    expect_error(&request, TARGET_GONE);
    expect_lost("again and again");
}

SCRIPT(a_retransmission_with_several_in_flight)
{
    struct request a, b;
    deepen(8);
    post(&a, "m0,1");
    post(&b, "m1,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_expect(&stage.stub, "m1,1");
    fake_stub_bytes(&stage.stub, "-", 1);
    expect_error(&a, TARGET_GONE);
    expect_error(&b, TARGET_GONE);
    expect_lost("several are in flight");
}

SCRIPT(a_bad_checksum_is_asked_for_again)
{
    struct request request;
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "+$aa#00", 7);
    fake_stub_expect_byte(&stage.stub, '-');
    fake_stub_packet(&stage.stub, "aa");
    expect_reply(&request, "aa");
    fake_stub_expect_byte(&stage.stub, '+');
}

SCRIPT(a_bad_checksum_with_several_in_flight)
{
    struct request a, b;
    deepen(8);
    post(&a, "m0,1");
    post(&b, "m1,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "+$aa#00", 7);
    expect_error(&a, TARGET_GONE);
    expect_error(&b, TARGET_GONE);
    expect_lost("bad checksum");
}

SCRIPT(a_bad_checksum_without_acks)
{
    struct request request;
    rsp_client_set_acks(stage.client, false);
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "$aa#00", 6);
    expect_error(&request, TARGET_GONE);
    expect_lost("bad checksum");
}

SCRIPT(closed_in_mid_packet)
{
    struct request request;
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "+$a", 3);
    fake_stub_free(&stage.stub);
    expect_error(&request, TARGET_GONE);
    expect_lost("mid-packet");
}

SCRIPT(closed_while_running)
{
    run();
    fake_stub_free(&stage.stub);
    expect_lost("closed");
}

SCRIPT(garbage)
{
    struct request request;
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "HTTP", 4);
    expect_error(&request, TARGET_GONE);
    expect_lost("garbage");
}

SCRIPT(a_reply_to_nothing)
{
    fake_stub_packet(&stage.stub, "OK");
    expect_lost("nobody asked for");
}

SCRIPT(a_reply_without_end)
{
    struct request request;
    char block[65536];
    memset(block, '0', sizeof block);
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "+$", 2);
    for (size_t sent = 0; sent <= RSP_REPLY_MAX; sent += sizeof block)
        fake_stub_bytes(&stage.stub, block, sizeof block);
    fake_stub_bytes(&stage.stub, "#00", 3);
    expect_error(&request, TARGET_GONE);
    expect_lost("more than");
}

/* Each packet is a good one, but none is what was asked for. */
SCRIPT(noise_without_end)
{
    static const char *const noise[] = {"%Stop:T05#99", "$O4141#19", "+"};
    struct request request;
    for (size_t i = 0; i < sizeof noise / sizeof *noise; i++) {
        char block[64 * 1024];
        size_t length = 0, one = strlen(noise[i]);
        for (; length + one <= sizeof block; length += one)
            memcpy(block + length, noise[i], one);
        int fds[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                         0);
        fake_stub_free(&stage.stub);
        fake_stub_init(&stage.stub, fds[1]);
        rsp_client_adopt(stage.client, fds[0]);
        run_state_take(&stage.state, RUN_FOUND_HALTED);
        stage.lost = 0;
        post(&request, "m0,1");
        fake_stub_expect(&stage.stub, "m0,1");
        for (size_t sent = 0; sent < 4 * RSP_REPLY_MAX && !stage.lost; sent += length)
            fake_stub_bytes(&stage.stub, block, length);
        expect_error(&request, TARGET_GONE);
        expect_lost("no answer");
    }
}

SCRIPT(a_reply_that_looks_like_output)
{
    static const char *const replies[] = {"OK!", "O", "Oxy", "O1", "O6g"};
    struct request request;
    struct buffer output = {0};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        make(&request, "qRcmd,78");
        request.operation.kind = RSP_COMMAND;
        request.operation.output = &output;
        submit(&request);
        rsp_client_kick(stage.client);
        fake_stub_expect(&stage.stub, "qRcmd,78");
        fake_stub_reply(&stage.stub, replies[i]);
        if (strcmp(replies[i], "O") != 0) /* output of nothing */
            expect_reply(&request, replies[i]);
        else
            fake_stub_packet(&stage.stub, "OK");
        finish(&request);
    }
    ck_assert_uint_eq(output.length, 0);
    buffer_free(&output);
}

SCRIPT(too_long_a_request_is_not_sent)
{
    struct request request;
    rsp_client_set_limit(stage.client, 6);
    make(&request, "m0,1000");
    ck_assert_int_eq(rsp_client_submit(stage.client, &request.operation), TARGET_INVALID);
    make(&request, "X0,$$$"); /* fits only without escapes */
    request.operation.escape = true;
    ck_assert_int_eq(rsp_client_submit(stage.client, &request.operation), TARGET_INVALID);
    fake_stub_expect_silence(&stage.stub);
}

static void script_silence(void *arg __attribute__((unused)))
{
    struct request a, b;
    post(&a, "m0,1");
    make(&b, "m1,1");
    submit(&b);
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "+", 1); /* taken, but never answered */
    expect_error(&a, TARGET_GONE);
    expect_error(&b, TARGET_GONE);
    expect_lost("timed out: no answer to 'm0,1'");
}
START_TEST(silence_is_timed_out)
{
    play(script_silence, 0.05);
}
END_TEST

static void script_trickle(void *arg __attribute__((unused)))
{
    struct request request;
    post(&request, "m0,1");
    fake_stub_expect(&stage.stub, "m0,1");
    fake_stub_bytes(&stage.stub, "+$", 2);
    for (int i = 0; i < 200 && !stage.lost; i++) {
        fake_stub_bytes(&stage.stub, "0", 1);
        task_sleep(0.005);
    }
    expect_error(&request, TARGET_GONE);
    expect_lost("timed out: no answer to 'm0,1'");
}
START_TEST(a_trickle_is_timed_out)
{
    play(script_trickle, 0.05);
}
END_TEST

static void script_deaf(void *arg __attribute__((unused)))
{
    run();
    task_sleep(0.2); /* a running target may be silent for ever */
    ck_assert_uint_eq(stage.lost, 0);
    rsp_client_interrupt(stage.client);
    expect_lost("timed out: not halted");
}
START_TEST(an_interrupt_without_a_stop_is_timed_out)
{
    play(script_deaf, 0.05);
}
END_TEST

SCRIPT(a_dying_connection_leaves_the_virtual_space)
{
    struct request a;
    rsp_client_set_spaces(stage.client, true);
    post_at(&a, "m0,1", 0, RSP_SPACE_PHYSICAL);
    fake_stub_answer(&stage.stub, "Qqemu.PhyMemMode:1", "OK");
    fake_stub_expect(&stage.stub, "m0,1");
    rsp_client_fail(stage.client, "enough");
    expect_error(&a, TARGET_GONE);
    expect_lost("enough");
    fake_stub_expect(&stage.stub, "Qqemu.PhyMemMode:0");
    fake_stub_expect_end(&stage.stub);
}

SCRIPT(closing_fails_requests_quietly)
{
    struct request a;
    post(&a, "m0,1");
    rsp_client_close(stage.client);
    ck_assert(!a.done);
    expect_error(&a, TARGET_GONE);
    ck_assert_uint_eq(stage.lost, 0);
    fake_stub_expect_end(&stage.stub);
}

SCRIPT(a_second_connection_starts_afresh)
{
    struct request a;
    int fds[2];
    post_at(&a, "m0,1", 1, RSP_SPACE_ANY);
    rsp_client_close(stage.client);
    fake_stub_free(&stage.stub);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    fake_stub_init(&stage.stub, fds[1]);
    rsp_client_adopt(stage.client, fds[0]);
    run_state_take(&stage.state, RUN_FOUND_HALTED);
    ck_assert(a.done);
    ck_assert_int_eq(a.operation.error, TARGET_GONE);
    post_at(&a, "m0,1", 1, RSP_SPACE_ANY);
    fake_stub_answer(&stage.stub, "Hg1", "OK");
    fake_stub_answer(&stage.stub, "m0,1", "aa");
    expect_reply(&a, "aa");
}

int main(void)
{
    Suite *suite = suite_create("rsp_client");
    TCase *tcase = tcase_create("queue");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, one_request_and_its_ack);
    tcase_add_test(tcase, a_reply_with_the_letter_of_a_stop);
    tcase_add_test(tcase, depth_one_waits);
    tcase_add_test(tcase, pipelined_up_to_the_depth_and_in_order);
    tcase_add_test(tcase, after_a_pause_the_first_goes_alone);
    tcase_add_test(tcase, callers_take_turns);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("switches");
    tcase_add_test(tcase, switches_only_when_it_differs);
    tcase_add_test(tcase, an_untried_switch_is_waited_for);
    tcase_add_test(tcase, a_tried_switch_is_pipelined);
    tcase_add_test(tcase, a_refused_processor_fails_the_request_alone);
    tcase_add_test(tcase, a_refused_space_fails_the_request_alone);
    tcase_add_test(tcase, no_way_back_to_virtual_is_the_end);
    tcase_add_test(tcase, physical_needs_a_stub_that_has_it);
    tcase_add_test(tcase, the_monitor_is_moved_by_cpu);
    tcase_add_test(tcase, output_packets_are_not_acknowledged);
    tcase_add_test(tcase, an_idle_stub_is_put_back_into_its_virtual_space);
    tcase_add_test(tcase, an_idle_stub_is_left_alone_while_the_target_may_run);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("running");
    tcase_add_test(tcase, a_running_target_hears_nothing);
    tcase_add_test(tcase, a_resume_is_a_barrier);
    tcase_add_test(tcase, a_resume_leaves_the_physical_space);
    tcase_add_test(tcase, a_resume_whose_processor_is_refused);
    tcase_add_test(tcase, a_refused_resume_leaves_it_halted);
    tcase_add_test(tcase, processors_are_named_again_after_a_stop);
    tcase_add_test(tcase, one_interrupt_for_each_stop);
    tcase_add_test(tcase, an_interrupt_waits_for_the_resume_to_be_taken);
    tcase_add_test(tcase, without_acks_a_resume_is_taken_when_it_is_sent);
    tcase_add_test(tcase, others_resume_and_halt);
    tcase_add_test(tcase, a_stop_that_nobody_waits_for);
    tcase_add_test(tcase, a_stop_in_place_of_a_reply);
    tcase_add_test(tcase, status_takes_a_stop_reply);
    tcase_add_test(tcase, the_target_ends);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("misfortune");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, a_retransmission_asked_for);
    tcase_add_test(tcase, a_retransmission_asked_for_again_and_again);
    tcase_add_test(tcase, a_retransmission_with_several_in_flight);
    tcase_add_test(tcase, a_bad_checksum_is_asked_for_again);
    tcase_add_test(tcase, a_bad_checksum_with_several_in_flight);
    tcase_add_test(tcase, a_bad_checksum_without_acks);
    tcase_add_test(tcase, closed_in_mid_packet);
    tcase_add_test(tcase, closed_while_running);
    tcase_add_test(tcase, garbage);
    tcase_add_test(tcase, a_reply_to_nothing);
    tcase_add_test(tcase, a_reply_without_end);
    tcase_add_test(tcase, noise_without_end);
    tcase_add_test(tcase, a_trickle_is_timed_out);
    tcase_add_test(tcase, a_reply_that_looks_like_output);
    tcase_add_test(tcase, too_long_a_request_is_not_sent);
    tcase_add_test(tcase, silence_is_timed_out);
    tcase_add_test(tcase, an_interrupt_without_a_stop_is_timed_out);
    tcase_add_test(tcase, a_dying_connection_leaves_the_virtual_space);
    tcase_add_test(tcase, closing_fails_requests_quietly);
    tcase_add_test(tcase, a_second_connection_starts_afresh);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
