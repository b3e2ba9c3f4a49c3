/* Large writes as they come, on the fake target; tests/e2e/test_bulk.py has the others. */
#define _GNU_SOURCE /* memmem */
#include "rpc/bulk_write.h"

#include "base/task.h"
#include "rpc/connection.h"
#include "rpc_fixture.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MIB ((size_t)1024 * 1024)

/* One connection and its peer. */
struct pair {
    struct peer peer;
    struct rpc_connection *connection;
    bool ended;
};

static uint8_t data[4 * MIB];

static void ended(void *context, struct rpc_connection *connection)
{
    struct pair *pair = context;
    (void)connection;
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

    memset(data, 0x5a, sizeof data);
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

/* Until nothing more is asked of the target. */
static void settle(struct rpc_test *test)
{
    size_t log = 0;
    for (int turns = 0; turns < 50; turns++) {
        size_t now = fake_count(&test->machine.fake, FAKE_READ_PHYSICAL) +
                     fake_count(&test->machine.fake, FAKE_WRITE_PHYSICAL);
        if (now != log)
            turns = 0;
        log = now;
        task_sleep(0.001);
    }
}

static uint64_t result_number(const struct pair *pair)
{
    return pair->peer.message.result.via.array.ptr[1].via.u64;
}

static void expect_text(const struct pair *pair, const char *part)
{
    const msgpack_object *text = &pair->peer.message.error.via.array.ptr[1];
    ck_assert_int_eq(text->type, MSGPACK_OBJECT_STR);
    ck_assert_msg(memmem(text->via.str.ptr, text->via.str.size, part, strlen(part)) != NULL,
                  "\"%.*s\" lacks \"%s\"", (int)text->via.str.size, text->via.str.ptr, part);
}

static void unread(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    for (int i = 0; i < 2; i++)
        words_pack(&pair.peer.output, "[iis[ui]]", 0, i, "ReadPhysical", RAM_BASE, (int)MIB);
    ck_assert(peer_send(&pair.peer));
    settle(test);
    SEND(&pair.peer, "[iis[ub]]", 0, 2, "WritePhysical", RAM_BASE, data, 2 * MIB);
    settle(test);
    ck_assert_uint_eq(fake_count(&test->machine.fake, FAKE_WRITE_PHYSICAL), 0);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(peer_response(&pair.peer, i), S_OK);
        ck_assert_uint_eq(pair.peer.message.result.via.array.ptr[1].via.bin.size, MIB);
    }
    ck_assert_int_eq(peer_response(&pair.peer, 2), S_OK);
    ck_assert_uint_eq(result_number(&pair), MIB); /* all the RAM that there is */
    pair_close(&pair);
}

START_TEST(it_waits_while_answers_are_not_read)
{
    rpc_test_run(unread);
}
END_TEST

/* SetInterrupt fails as well, with a sentence of its own, before the write is answered. */
static void refused(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    fake_lose(&test->machine.fake);
    words_pack(&pair.peer.output, "[iis[ub]]", 0, 1, "WritePhysical", RAM_BASE, data, 4 * MIB);
    words_pack(&pair.peer.output, "[iis[]]", 0, 2, "SetInterrupt");
    ck_assert(peer_send(&pair.peer));
    ck_assert_int_eq(peer_response(&pair.peer, 2), E_UNEXPECTED);
    expect_text(&pair, "SetInterrupt");
    ck_assert_int_eq(peer_response(&pair.peer, 1), E_UNEXPECTED);
    expect_text(&pair, "WritePhysical at 0x0: ");
    expect_text(&pair, "(0 of 4194304 bytes written)");
    /* The next call speaks for itself. */
    SEND(&pair.peer, "[iis[ub]]", 0, 3, "WritePhysical", RAM_BASE, data, (size_t)8);
    ck_assert_int_eq(peer_response(&pair.peer, 3), E_UNEXPECTED);
    expect_text(&pair, "(0 of 8 bytes written)");
    pair_close(&pair);
}

START_TEST(a_refusal_names_the_call_and_all_of_its_bytes)
{
    rpc_test_run(refused);
}
END_TEST

static void stopped(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    fake_lose(&test->machine.fake);
    words_pack(&pair.peer.output, "[iis[ub]]", 0, 1, "WritePhysical", RAM_BASE, data, 4 * MIB);
    pair.peer.output.length -= 2 * MIB; /* the rest never comes */
    ck_assert(peer_send(&pair.peer));
    settle(test);
    rpc_connection_stop(pair.connection);
    ck_assert_int_eq(peer_response(&pair.peer, 1), E_UNEXPECTED);
    peer_expect_end(&pair.peer);
    pair_close(&pair);
}

START_TEST(one_that_was_refused_is_answered_when_we_leave_off)
{
    rpc_test_run(stopped);
}
END_TEST

/* The space ends at 2^64, in the middle of it: counted up to there, as any write. */
static void at_the_top(struct rpc_test *test)
{
    struct pair pair;

    pair_open(&pair, test);
    SEND(&pair.peer, "[iis[ub]]", 0, 1, "WriteVirtualUncached", V_TOP + 1, data, 2 * MIB);
    ck_assert_int_eq(peer_response(&pair.peer, 1), S_OK);
    ck_assert_uint_eq(result_number(&pair), PAGE - 1);
    const uint8_t *top = fake_byte(&test->machine.fake, TOP_AT);
    ck_assert_uint_eq(top[0], 0);
    ck_assert_uint_eq(top[1], 0x5a);
    ck_assert_uint_eq(top[PAGE - 1], 0x5a);
    pair_close(&pair);
}

START_TEST(it_ends_where_the_space_does)
{
    rpc_test_run(at_the_top);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bulk_write");
    TCase *tcase = tcase_create("bulk_write");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, it_waits_while_answers_are_not_read);
    tcase_add_test(tcase, a_refusal_names_the_call_and_all_of_its_bytes);
    tcase_add_test(tcase, one_that_was_refused_is_answered_when_we_leave_off);
    tcase_add_test(tcase, it_ends_where_the_space_does);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
