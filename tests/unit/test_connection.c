#include "rpc/connection.h"

#include "base/task.h"
#include "rpc/inbox.h"
#include "rpc_fixture.h"
#include "wire/protocol.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One connection and its peer. */
struct pair {
    struct peer peer;
    struct rpc_connection *connection;
    bool ended;
};

static void ended(void *context, struct rpc_connection *connection)
{
    struct pair *pair = context;

    ck_assert_ptr_eq(pair->connection, connection);
    ck_assert(!pair->ended);
    pair->ended = true;
}

static void pair_open(struct pair *pair, struct rpc_test *test)
{
    struct rpc_connection_config config = {.space = test->machine.space,
                                           .policy = CACHE_WRITE_BACK,
                                           .name = "rpc#7",
                                           .ended = ended,
                                           .context = pair};
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    *pair = (struct pair){.ended = false};
    peer_open(&pair->peer, ends[0]);
    pair->connection = rpc_connection_new(test->loop, ends[1], &config);
    ck_assert_ptr_nonnull(pair->connection);
}

static void pair_close(struct pair *pair)
{
    peer_close(&pair->peer);
    WAIT_UNTIL(pair->ended);
}

static void pipelined(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    for (int i = 0; i < 500; i++)
        words_pack(&pair.peer.output, "[iis[ub]]", 0, i, "WriteVirtual", BASE + (uint64_t)i, &i,
                   (size_t)1);
    words_pack(&pair.peer.output, "[iis[ui]]", 0, 500, "ReadVirtual", BASE, 256);
    ck_assert(peer_send(&pair.peer));
    for (uint32_t i = 0; i < 500; i++)
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 500), S_OK);
    const msgpack_object_bin *bin = &pair.peer.message.result.via.array.ptr[1].via.bin;
    ck_assert_uint_eq(bin->size, 256);
    for (int i = 0; i < 256; i++)
        ck_assert_uint_eq((uint8_t)bin->ptr[i], i);
    pair_close(&pair);
}

START_TEST(pipelined_requests_are_answered_in_order)
{
    rpc_test_run(pipelined);
}
END_TEST

/* What came together is answered together: one write, so that all answers are there at once. */
static void together(struct rpc_test *test)
{
    const uint32_t count = 50;
    struct pair pair;
    int first, all = 0;

    pair_open(&pair, test);
    SEND(&pair.peer, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "x", (size_t)1);
    ck_assert_int_ne(task_wait_fd(pair.peer.fd, EV_READ, 10), 0);
    ck_assert_int_eq(ioctl(pair.peer.fd, FIONREAD, &first), 0);
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    for (uint32_t i = 0; i < count; i++)
        words_pack(&pair.peer.output, "[iis[ub]]", 0, (int)i, "WriteVirtual", BASE, "x", (size_t)1);
    ck_assert(peer_send(&pair.peer));
    ck_assert_int_ne(task_wait_fd(pair.peer.fd, EV_READ, 10), 0);
    ck_assert_int_eq(ioctl(pair.peer.fd, FIONREAD, &all), 0);
    ck_assert_int_eq(all, first * (int)count);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
    pair_close(&pair);
}

START_TEST(answers_go_out_together)
{
    rpc_test_run(together);
}
END_TEST

/* A warning comes right before the answer to the call that it is about, also among others. */
static void warned(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    words_pack(&pair.peer.output, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "x", (size_t)1);
    words_pack(&pair.peer.output, "[iis[si]]", 0, 2, "Hello", "old", 1);
    words_pack(&pair.peer.output, "[iis[i]]", 0, 3, "SetEventCallbacks", 0x400);
    ck_assert(peer_send(&pair.peer));
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    ck_assert(peer_receive(&pair.peer));
    const struct witness *message = &pair.peer.message;
    ck_assert_int_eq(message->type, MESSAGE_NOTIFICATION);
    ck_assert(witness_text_is(&message->method, WIRE_NOTIFY_WARNING));
    ck_assert_uint_eq(message->params.via.array.size, 2);
    ck_assert(witness_text_is(&message->params.via.array.ptr[0], "Hello"));
    ck_assert_int_eq(message->params.via.array.ptr[1].type, MSGPACK_OBJECT_STR);
    ck_assert_int_eq(peer_response(&pair.peer, 2), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 3), E_INVALIDARG);
    pair_close(&pair);
}

START_TEST(a_warning_comes_before_its_answer)
{
    rpc_test_run(warned);
}
END_TEST

/* ... but none waits for a call behind it that waits. */
static void before_a_wait(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    fake_resume_by_others(&test->machine.fake);
    words_pack(&pair.peer.output, "[iis[]]", 0, 1, "GetExecutionStatus");
    words_pack(&pair.peer.output, "[iis[]]", 0, 2, "GetExecutionStatus");
    words_pack(&pair.peer.output, "[iis[u]]", 0, 3, "WaitForEvent", (uint64_t)UINT32_MAX);
    words_pack(&pair.peer.output, "[iis[]]", 0, 4, "GetExecutionStatus");
    ck_assert(peer_send(&pair.peer));
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 2), S_OK);
    SEND(&pair.peer, "[iis[]]", 0, 5, "SetInterrupt");
    ck_assert_int_eq(peer_response(&pair.peer, 5), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 3), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 4), S_OK);
    pair_close(&pair);
}

START_TEST(answers_do_not_wait_for_a_wait)
{
    rpc_test_run(before_a_wait);
}
END_TEST

/* A stream of small calls lets another connection have its turn long before it ends. */
static void in_turns(struct rpc_test *test)
{
    const int count = 3000;
    struct pair busy, other;
    int answered = 0;

    pair_open(&busy, test);
    pair_open(&other, test);
    for (int i = 0; i < count; i++)
        words_pack(&busy.peer.output, "[iis[ub]]", 0, i, "WriteVirtual", BASE, "x", (size_t)1);
    ck_assert(peer_send(&busy.peer));
    SEND(&other.peer, "[iis[ub]]", 0, 1, "WriteVirtualUncached", BASE, "y", (size_t)1);
    ck_assert_int_eq(peer_response(&other.peer, 1), S_OK);
    ck_assert_int_eq(ioctl(busy.peer.fd, FIONREAD, &answered), 0);
    ck_assert_int_lt(answered, count * 7);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(peer_response(&busy.peer, (uint32_t)i), S_OK);
    pair_close(&busy);
    pair_close(&other);
}

START_TEST(a_stream_of_calls_leaves_others_their_turns)
{
    rpc_test_run(in_turns);
}
END_TEST

static void byte_by_byte(struct rpc_test *test)
{
    struct buffer message = {0};
    struct pair pair;

    pair_open(&pair, test);
    words_pack(&message, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "slow", (size_t)4);
    for (size_t i = 0; i < message.length; i++) {
        buffer_append(&pair.peer.output, buffer_bytes(&message) + i, 1);
        ck_assert(peer_send(&pair.peer));
        task_sleep(0);
    }
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    buffer_free(&message);
    pair_close(&pair);
}

START_TEST(a_slow_sender_is_understood)
{
    rpc_test_run(byte_by_byte);
}
END_TEST

static void half_closed(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    for (int i = 0; i < 20; i++)
        words_pack(&pair.peer.output, "[iis[ui]]", 0, i, "ReadPhysical", RAM_BASE, 0x80000);
    ck_assert(peer_send(&pair.peer));
    shutdown(pair.peer.fd, SHUT_WR);
    for (uint32_t i = 0; i < 20; i++)
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
    peer_expect_end(&pair.peer);
    WAIT_UNTIL(pair.ended);
    peer_close(&pair.peer);
}

START_TEST(a_half_closed_peer_gets_its_answers)
{
    rpc_test_run(half_closed);
}
END_TEST

static void overtaking(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    fake_resume_by_others(&test->machine.fake);
    SEND(&pair.peer, "[iis[u]]", 0, 1, "WaitForEvent", (uint64_t)UINT32_MAX);
    SEND(&pair.peer, "[iis[]]", 0, 2, "GetExecutionStatus");
    SEND(&pair.peer, "[iis[]]", 0, 3, "SetInterrupt");
    SEND(&pair.peer, "[iis[]]", 0, 4, "GetExecutionStatus");
    ck_assert_int_eq(peer_response(&pair.peer, 3), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 2), S_OK);
    ck_assert_int_eq(peer_response(&pair.peer, 4), S_OK);
    ck_assert_uint_eq(pair.peer.message.result.via.array.ptr[1].via.u64, DEBUG_STATUS_BREAK);
    pair_close(&pair);
}

START_TEST(an_interrupt_overtakes_a_wait)
{
    rpc_test_run(overtaking);
}
END_TEST

static void queue_port_writes(struct pair *pair, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        uint8_t byte = (uint8_t)(i * 7);
        words_pack(&pair->peer.output, "[iis[iiiib]]", 0, i, "WriteIo", 1, 0, 1, 0x1000 + i, &byte,
                   (size_t)1);
    }
}

/* Each once, in order. */
static void port_writes_done(struct fake_target *fake, size_t nth, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        ck_assert_uint_eq(fake_nth(fake, FAKE_PORT_OUT, nth++)->address, 0x1000 + (uint64_t)i);
        ck_assert_uint_eq(fake->ports[0x1000 + i], (uint8_t)(i * 7));
    }
}

static bool ports_together;

static void port_writes(struct rpc_test *test)
{
    struct fake_target *fake = &test->machine.fake;
    struct pair pair;

    fake->ports_together = ports_together;
    pair_open(&pair, test);
    queue_port_writes(&pair, 0, 600);
    /* refused by the session, by the check of parameters, and another call */
    words_pack(&pair.peer.output, "[iis[iiiib]]", 0, 600, "WriteIo", 1, 0, 1, 0x71, "ab",
               (size_t)2);
    queue_port_writes(&pair, 601, 2);
    words_pack(&pair.peer.output, "[iis[iiiis]]", 0, 603, "WriteIo", 1, 0, 1, 0x71, "a");
    queue_port_writes(&pair, 604, 2);
    words_pack(&pair.peer.output, "[iis[iiiii]]", 0, 606, "ReadIo", 1, 0, 1, 0x1000 + 605, 1);
    queue_port_writes(&pair, 607, 1);
    ck_assert(peer_send(&pair.peer));
    for (uint32_t i = 0; i < 608; i++) {
        HRESULT hr = peer_response(&pair.peer, i);
        ck_assert_int_eq(hr, i == 600   ? SB_STATUS_DATATYPE_MISALIGNMENT
                             : i == 603 ? E_INVALIDARG
                                        : S_OK);
        if (hr == S_OK && i != 606)
            ck_assert_uint_eq(pair.peer.message.result.via.array.ptr[1].via.u64, 1);
    }
    port_writes_done(fake, 0, 0, 600);
    port_writes_done(fake, 600, 601, 2);
    port_writes_done(fake, 602, 604, 2);
    port_writes_done(fake, 604, 607, 1);
    ck_assert_uint_eq(fake_count(fake, FAKE_PORT_OUT), 605);
    ck_assert_uint_eq(fake->together > 0, ports_together);
    ck_assert_uint_le(fake->together_most, 256);
    pair_close(&pair);
}

START_TEST(port_writes_that_come_together_are_each_made_in_order)
{
    ports_together = _i != 0;
    rpc_test_run(port_writes);
}
END_TEST

static void some_port_writes_fail(struct rpc_test *test)
{
    struct fake_target *fake = &test->machine.fake;
    struct pair pair;

    fake->ports_together = true;
    fake->fail_after = 10;
    fake->fail_error = TARGET_FAILED;
    pair_open(&pair, test);
    queue_port_writes(&pair, 0, 50);
    ck_assert(peer_send(&pair.peer));
    for (uint32_t i = 0; i < 50; i++)
        ck_assert_int_eq(peer_response(&pair.peer, i), i < 10 ? S_OK : E_FAIL);
    ck_assert_uint_eq(fake_count(fake, FAKE_PORT_OUT), 11);
    pair_close(&pair);
}

START_TEST(port_writes_whose_way_is_lost_fail_each)
{
    rpc_test_run(some_port_writes_fail);
}
END_TEST

/* The first port write takes until it is let go. */
struct held {
    bool reached, let_go;
};

static void hold_port(void *context, enum fake_op op, bool after)
{
    struct held *held = context;

    if (op != FAKE_PORT_OUT || after)
        return;
    held->reached = true;
    while (!held->let_go)
        task_sleep(0.001);
}

static void beside_port_writes(struct rpc_test *test)
{
    struct held held = {0};
    struct pair pair, other;

    test->machine.fake.ports_together = true;
    test->machine.fake.hook = hold_port;
    test->machine.fake.hook_context = &held;
    pair_open(&pair, test);
    pair_open(&other, test);
    queue_port_writes(&pair, 0, 20);
    ck_assert(peer_send(&pair.peer));
    WAIT_UNTIL(held.reached);
    SEND(&pair.peer, "[iis[]]", 0, 900, "SetInterrupt");
    ck_assert_int_eq(peer_response(&pair.peer, 900), S_OK);
    SEND(&other.peer, "[iis[ub]]", 0, 1, "WriteVirtualUncached", BASE, "y", (size_t)1);
    ck_assert_int_eq(peer_response(&other.peer, 1), S_OK);
    held.let_go = true;
    for (uint32_t i = 0; i < 20; i++)
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
    pair_close(&pair);
    pair_close(&other);
}

START_TEST(others_have_their_turn_beside_port_writes)
{
    rpc_test_run(beside_port_writes);
}
END_TEST

/* A peer that leaves while its writes are made one by one: the rest is not made. */
static void leaving_port_writes(struct rpc_test *test)
{
    struct held held = {0};
    struct pair pair;

    test->machine.fake.hook = hold_port;
    test->machine.fake.hook_context = &held;
    pair_open(&pair, test);
    queue_port_writes(&pair, 0, 20);
    ck_assert(peer_send(&pair.peer));
    WAIT_UNTIL(held.reached);
    rpc_connection_stop(pair.connection);
    held.let_go = true;
    ck_assert_int_eq(peer_response(&pair.peer, 0), S_OK);
    peer_expect_end(&pair.peer);
    pair_close(&pair);
    ck_assert_uint_eq(fake_count(&test->machine.fake, FAKE_PORT_OUT), 1);
}

START_TEST(stopping_ends_port_writes_that_are_made_one_by_one)
{
    rpc_test_run(leaving_port_writes);
}
END_TEST

static void interrupt_without_wait(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    SEND(&pair.peer, "[iis[]]", 0, 1, "SetInterrupt");
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    SEND(&pair.peer, "[iis[i]]", 0, 2, "SetInterrupt", 5);
    ck_assert_int_eq(peer_response(&pair.peer, 2), E_INVALIDARG);
    /* The name alone does not make it one. */
    SEND(&pair.peer, "[iis[s]]", 0, 3, "SetCachePolicy", "SetInterrupt");
    ck_assert_int_eq(peer_response(&pair.peer, 3), E_INVALIDARG);
    pair_close(&pair);
}

START_TEST(interrupts_are_answered_at_any_time)
{
    rpc_test_run(interrupt_without_wait);
}
END_TEST

static void many_waiting(struct rpc_test *test)
{
    const uint32_t count = INBOX_REQUESTS_MOST + 1000;
    struct pair pair;

    pair_open(&pair, test);
    fake_resume_by_others(&test->machine.fake);
    SEND(&pair.peer, "[iis[u]]", 0, 1000000, "WaitForEvent", (uint64_t)UINT32_MAX);
    for (uint32_t i = 0; i < count; i++)
        words_pack(&pair.peer.output, "[ius[]]", 0, (uint64_t)i,
                   i % 7 == 3 && i < 4000 ? "SetInterrupt" : "GetExecutionStatus");
    /* An interrupt among the first halts it, so all the rest gets its turn. */
    ck_assert(peer_send(&pair.peer));
    bool *answered = calloc(count, 1);
    uint32_t last = 0;
    for (uint32_t i = 0; i <= count; i++) {
        ck_assert(peer_receive(&pair.peer));
        uint32_t id = pair.peer.message.id;
        if (id == 1000000)
            continue;
        ck_assert_uint_lt(id, count);
        ck_assert(!answered[id]);
        answered[id] = true;
        if (id % 7 == 3 && id < 4000)
            continue;
        ck_assert(id == 0 || id > last);
        last = id;
    }
    free(answered);
    pair_close(&pair);
}

START_TEST(more_requests_than_may_wait_are_all_answered)
{
    rpc_test_run(many_waiting);
}
END_TEST

static void notifications(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    SEND(&pair.peer, "[is[ub]]", 2, "WriteVirtual", BASE, "no", (size_t)2);
    SEND(&pair.peer, "[is[]]", 2, "SetInterrupt");
    SEND(&pair.peer, "[iis[]]", 0, 1, "FlushCache");
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    ck_assert_uint_eq(pair.peer.message.result.via.array.ptr[1].via.u64, 0);
    ck_assert_uint_eq(fake_count(&test->machine.fake, FAKE_INTERRUPT), 0);
    pair_close(&pair);
}

START_TEST(a_clients_notification_does_nothing)
{
    rpc_test_run(notifications);
}
END_TEST

static const struct {
    const char *bytes;
    size_t length;
} broken[] = {
    {"\xc1", 1},                             /* no value */
    {"GET / HTTP/1.1\r\n\r\n", 18},          /* another protocol */
    {"\x94\x00\x01\xdd\xff\xff\xff\xff", 8}, /* a bomb */
    {"\x94\x00\x01\xd4\x00\x00", 6},         /* an extension */
    {"\x94\x91\x91\x91\x91\x91\x91\x91\x91", 9},
    {"\x94\x01\x05\xc0\x91\x00", 6},                               /* a response */
    {"\x94\x03\x05\xc0\x91\x00", 6},                               /* no such type */
    {"\x94\xff\x05\xc0\x91\x00", 6},                               /* a negative type */
    {"\x93\x00\x05\xa1x", 5},                                      /* a request of three values */
    {"\x94\x02\xa1x\x90\x90", 6},                                  /* a notification of four */
    {"\x94\x00\xff\xa1x\x90", 6},                                  /* a negative msgid */
    {"\x94\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xa1x\x90", 14}, /* msgid 2^32 */
};
static int broken_which;

static void broken_framing(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    words_pack(&pair.peer.output, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "dirt", (size_t)4);
    buffer_append(&pair.peer.output, broken[broken_which].bytes, broken[broken_which].length);
    /* What follows is not looked at. */
    words_pack(&pair.peer.output, "[iis[]]", 0, 2, "DiscardCache");
    ck_assert(peer_send(&pair.peer));
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    ck_assert_int_eq(peer_notification(&pair.peer, WIRE_NOTIFY_ERROR), E_INVALIDARG);
    peer_expect_end(&pair.peer);
    pair_close(&pair);
    /* Nothing lost. */
    ck_assert_mem_eq(ram(&test->machine, BASE), "dirt", 4);
}

START_TEST(bad_framing_is_told_once_and_ends_the_connection)
{
    broken_which = _i;
    rpc_test_run(broken_framing);
}
END_TEST

static void broken_while_waiting(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    fake_resume_by_others(&test->machine.fake);
    SEND(&pair.peer, "[iis[u]]", 0, 1, "WaitForEvent", (uint64_t)UINT32_MAX);
    buffer_append(&pair.peer.output, "\xc1", 1);
    ck_assert(peer_send(&pair.peer));
    ck_assert_int_lt(peer_response(&pair.peer, 1), 0);
    ck_assert_int_eq(peer_notification(&pair.peer, WIRE_NOTIFY_ERROR), E_INVALIDARG);
    peer_expect_end(&pair.peer);
    pair_close(&pair);
}

START_TEST(bad_framing_ends_a_wait)
{
    rpc_test_run(broken_while_waiting);
}
END_TEST

static void vanishing(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    SEND(&pair.peer, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "dirt", (size_t)4);
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    test->machine.fake.state = TARGET_STATE_RUNNING;
    SEND(&pair.peer, "[iis[u]]", 0, 2, "WaitForEvent", (uint64_t)UINT32_MAX);
    for (int i = 3; i < 100; i++)
        words_pack(&pair.peer.output, "[iis[]]", 0, i, "DiscardCache");
    ck_assert(peer_send(&pair.peer));
    for (int i = 0; i < 10; i++)
        task_sleep(0.001);
    ck_assert(!pair.ended);
    test->halts_when_cancelled = true;
    peer_close(&pair.peer);
    WAIT_UNTIL(test->cancelled);
    WAIT_UNTIL(pair.ended);
    /* The requests behind the wait were dropped, so what was dirty was not discarded. */
    ck_assert_mem_eq(ram(&test->machine, BASE), "dirt", 4);
}

START_TEST(a_peer_that_vanishes_is_cleaned_up_after)
{
    rpc_test_run(vanishing);
}
END_TEST

static void mid_message(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    SEND(&pair.peer, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "whole", (size_t)5);
    buffer_append(&pair.peer.output, "\x94\x00\x05\xac", 4);
    ck_assert(peer_send(&pair.peer));
    pair_close(&pair);
    ck_assert_mem_eq(ram(&test->machine, BASE), "whole", 5);
}

START_TEST(a_peer_may_end_in_the_middle_of_a_message)
{
    rpc_test_run(mid_message);
}
END_TEST

static void never_reading(struct rpc_test *test)
{
    const uint32_t count = 60;
    struct pair pair;

    pair_open(&pair, test);
    for (uint32_t i = 0; i < count; i++)
        words_pack(&pair.peer.output, "[ius[ui]]", 0, (uint64_t)i, "ReadPhysical", RAM_BASE,
                   0x100000);
    ck_assert(peer_send(&pair.peer));
    /* Requests wait once an answer and a little more is stuck: 60 MiB do not pile up. */
    size_t reads = 0, turns = 0;
    while (turns++ < 50) {
        size_t now = fake_count(&test->machine.fake, FAKE_READ_PHYSICAL);
        if (now != reads)
            turns = 0;
        reads = now;
        task_sleep(0.001);
    }
    ck_assert_uint_gt(reads, 0);
    size_t first = reads;
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
        ck_assert_uint_eq(pair.peer.message.result.via.array.ptr[1].via.bin.size, 0x100000);
    }
    reads = fake_count(&test->machine.fake, FAKE_READ_PHYSICAL);
    ck_assert_uint_lt(first * 10, reads);
    pair_close(&pair);
}

START_TEST(a_peer_that_never_reads_waits_for_itself)
{
    rpc_test_run(never_reading);
}
END_TEST

static void stuck_and_closed(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    for (int i = 0; i < 20; i++)
        words_pack(&pair.peer.output, "[iis[ui]]", 0, i, "ReadPhysical", RAM_BASE, 0x100000);
    ck_assert(peer_send(&pair.peer));
    pair_close(&pair);
}

START_TEST(a_peer_may_close_on_unread_answers)
{
    rpc_test_run(stuck_and_closed);
}
END_TEST

static void large_frames(struct rpc_test *test)
{
    const size_t size = WIRE_BUFFER_MOST;
    uint8_t *bytes = calloc(1, size);
    struct pair pair;

    pair_open(&pair, test);
    memset(bytes, 0x5a, size);
    for (int i = 0; i < 2; i++)
        words_pack(&pair.peer.output, "[iis[ub]]", 0, i, "WriteVirtual", BASE, bytes, size);
    SEND(&pair.peer, "[iis[uu]]", 0, 2, "ReadVirtual", BASE, (uint64_t)size);
    for (uint32_t i = 0; i < 3; i++)
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
    ck_assert_uint_eq(pair.peer.message.result.via.array.ptr[1].via.bin.size, 8 * PAGE);
    free(bytes);
    pair_close(&pair);
}

START_TEST(the_largest_frames_pass)
{
    rpc_test_run(large_frames);
}
END_TEST

static void flush_fails(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    SEND(&pair.peer, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "dirt", (size_t)4);
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    fake_lose(&test->machine.fake);
    ck_assert_int_lt(peer_notification(&pair.peer, WIRE_NOTIFY_FLUSH_FAILED), 0);
    /* and the connection goes on */
    SEND(&pair.peer, "[iis[]]", 0, 2, "GetExecutionStatus");
    ck_assert_int_eq(peer_response(&pair.peer, 2), E_UNEXPECTED);
    pair_close(&pair);
}

START_TEST(a_flush_that_fails_is_told)
{
    rpc_test_run(flush_fails);
}
END_TEST

static void stopping(struct rpc_test *test)
{
    struct pair pair, idle;

    pair_open(&pair, test);
    pair_open(&idle, test);
    SEND(&pair.peer, "[iis[ub]]", 0, 1, "WriteVirtual", BASE, "dirt", (size_t)4);
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    test->machine.fake.state = TARGET_STATE_RUNNING;
    SEND(&pair.peer, "[iis[u]]", 0, 2, "WaitForEvent", (uint64_t)UINT32_MAX);
    SEND(&pair.peer, "[iis[]]", 0, 3, "DiscardCache");
    for (int i = 0; i < 10; i++)
        task_sleep(0.001);
    rpc_connection_stop(pair.connection);
    rpc_connection_stop(pair.connection);
    rpc_connection_stop(idle.connection);
    test->machine.fake.state = TARGET_STATE_HALTED;
    peer_response(&pair.peer, 2);
    peer_expect_end(&pair.peer);
    peer_expect_end(&idle.peer);
    WAIT_UNTIL(pair.ended && idle.ended);
    ck_assert_mem_eq(ram(&test->machine, BASE), "dirt", 4);
    peer_close(&pair.peer);
    peer_close(&idle.peer);
}

START_TEST(stopping_answers_the_call_and_flushes)
{
    rpc_test_run(stopping);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("connection");
    TCase *tcase = tcase_create("connection");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, pipelined_requests_are_answered_in_order);
    tcase_add_test(tcase, answers_go_out_together);
    tcase_add_test(tcase, a_warning_comes_before_its_answer);
    tcase_add_test(tcase, answers_do_not_wait_for_a_wait);
    tcase_add_test(tcase, a_stream_of_calls_leaves_others_their_turns);
    tcase_add_test(tcase, a_slow_sender_is_understood);
    tcase_add_test(tcase, a_half_closed_peer_gets_its_answers);
    tcase_add_test(tcase, an_interrupt_overtakes_a_wait);
    tcase_add_loop_test(tcase, port_writes_that_come_together_are_each_made_in_order, 0, 2);
    tcase_add_test(tcase, port_writes_whose_way_is_lost_fail_each);
    tcase_add_test(tcase, others_have_their_turn_beside_port_writes);
    tcase_add_test(tcase, stopping_ends_port_writes_that_are_made_one_by_one);
    tcase_add_test(tcase, interrupts_are_answered_at_any_time);
    tcase_add_test(tcase, more_requests_than_may_wait_are_all_answered);
    tcase_add_test(tcase, a_clients_notification_does_nothing);
    tcase_add_loop_test(tcase, bad_framing_is_told_once_and_ends_the_connection, 0,
                        (int)(sizeof broken / sizeof broken[0]));
    tcase_add_test(tcase, bad_framing_ends_a_wait);
    tcase_add_test(tcase, a_peer_that_vanishes_is_cleaned_up_after);
    tcase_add_test(tcase, a_peer_may_end_in_the_middle_of_a_message);
    tcase_add_test(tcase, a_peer_that_never_reads_waits_for_itself);
    tcase_add_test(tcase, a_peer_may_close_on_unread_answers);
    tcase_add_test(tcase, the_largest_frames_pass);
    tcase_add_test(tcase, a_flush_that_fails_is_told);
    tcase_add_test(tcase, stopping_answers_the_call_and_flushes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
