/* The client library's queue of calls, against the real front and against false daemons. */
#include "spacebridge/spacebridge.h"

#include "false_daemon.h"
#include "served_machine.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct served_machine served;
static struct false_daemon other;
static spacebridge_t *sb;
static char error[2048];

static void join(const char *endpoint)
{
    sb = spacebridge_open(endpoint, 20, error, sizeof error);
    ck_assert_msg(sb != NULL, "%s", error);
}

static void set_up(void)
{
    served_start(&served, NULL);
    join(served.endpoint);
}

static void tear_down(void)
{
    spacebridge_close(sb);
    served_stop(&served);
}

static struct spacebridge_outcome collected(void)
{
    struct spacebridge_outcome outcome;

    memset(&outcome, 0x55, sizeof outcome);
    assert_hr(spacebridge_collect(sb, &outcome), S_OK);
    return outcome;
}

static void nothing_left(void)
{
    struct spacebridge_outcome outcome;

    ck_assert_uint_eq(spacebridge_queued(sb), 0);
    assert_hr(spacebridge_collect(sb, &outcome), S_FALSE);
}

START_TEST(outcomes_come_in_order)
{
    char text[8] = "";
    uint64_t ticket = 0;

    assert_hr(spacebridge_queue_write_virtual(sb, BASE, "abcd", 4, &ticket), S_OK);
    ck_assert_uint_eq(ticket, 1);
    assert_hr(spacebridge_queue_read_virtual(sb, BASE + 1, text, 3, &ticket), S_OK);
    ck_assert_uint_eq(ticket, 2);
    assert_hr(spacebridge_queue_flush_cache(sb, &ticket), S_OK);
    assert_hr(spacebridge_queue_virtual_to_physical(sb, BASE, NULL), S_OK);
    ck_assert_uint_eq(spacebridge_queued(sb), 4);
    ck_assert_str_eq(text, "");

    struct spacebridge_outcome outcome = collected();
    ck_assert_uint_eq(outcome.ticket, 1);
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 4);
    outcome = collected();
    ck_assert_uint_eq(outcome.ticket, 2);
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 3);
    ck_assert_str_eq(text, "bcd");
    outcome = collected();
    ck_assert_uint_eq(outcome.ticket, 3);
    ck_assert_uint_eq(outcome.value, 4);
    outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    nothing_left();
}
END_TEST

START_TEST(a_failure_keeps_nothing_back)
{
    uint8_t bytes[32] = {0};

    spacebridge_queue_write_virtual(sb, UNMAPPED, bytes, 8, NULL);
    spacebridge_queue_write_virtual(sb, UNMAPPED - 8, bytes, 32, NULL);
    spacebridge_queue_write_physical2(sb, 0, 77, bytes, 4, NULL);
    spacebridge_queue_write_virtual(sb, BASE, bytes, 0, NULL);
    spacebridge_queue_write_virtual(sb, BASE, NULL, 0, NULL);
    spacebridge_queue_read_virtual_uncached(sb, BASE, bytes, 4, NULL);

    struct spacebridge_outcome outcome = collected();
    assert_hr(outcome.hresult, SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(outcome.value, 0);
    ck_assert_ptr_nonnull(strstr(spacebridge_last_message(sb), "WriteVirtual at 0x"));
    outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 8);
    ck_assert_str_eq(spacebridge_last_message(sb), "");
    assert_hr(collected().hresult, E_INVALIDARG);
    outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 0);
    assert_hr(collected().hresult, S_OK);
    outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 4);
    nothing_left();
}
END_TEST

/* A call in between is carried out behind what is queued and leaves the outcomes alone. */
START_TEST(calls_in_between)
{
    char text[8] = "";

    spacebridge_queue_write_virtual(sb, BASE, "abcd", 4, NULL);
    assert_hr(spacebridge_read_virtual(sb, BASE, text, 4, NULL), S_OK);
    ck_assert_str_eq(text, "abcd");
    assert_hr(spacebridge_set_interrupt(sb), S_OK);
    spacebridge_queue_write_virtual(sb, BASE, "efgh", 4, NULL);
    ck_assert_uint_eq(collected().ticket, 1);
    assert_hr(spacebridge_read_virtual(sb, BASE, text, 4, NULL), S_OK);
    ck_assert_str_eq(text, "efgh");
    ck_assert_uint_eq(collected().ticket, 2);
    nothing_left();
    assert_hr(spacebridge_send_queued(sb), S_OK);
}
END_TEST

/* More than both sockets' buffers and the daemon's own bounds hold, in both directions, before one
 * outcome is collected. */
START_TEST(full_buffers_do_not_lock)
{
    enum { COUNT = 20000, SIZE = 2048 };
    uint8_t *bytes = malloc(SIZE), *read = malloc((size_t)COUNT * SIZE);
    size_t count = 0;
    struct spacebridge_outcome outcome;

    memset(bytes, 0x5a, SIZE);
    memset(read, 0, (size_t)COUNT * SIZE);
    for (size_t i = 0; i < COUNT; i++) {
        assert_hr(spacebridge_queue_write_virtual(sb, BASE, bytes, SIZE, NULL), S_OK);
        assert_hr(spacebridge_queue_read_virtual(sb, BASE, read + i * SIZE, SIZE, NULL), S_OK);
    }
    while (spacebridge_collect(sb, &outcome) == S_OK) {
        ck_assert_uint_eq(outcome.ticket, ++count);
        assert_hr(outcome.hresult, S_OK);
        ck_assert_uint_eq(outcome.value, SIZE);
    }
    ck_assert_uint_eq(count, 2 * COUNT);
    for (size_t i = 0; i < COUNT; i++)
        ck_assert_int_eq(memcmp(read + i * SIZE, bytes, SIZE), 0);
    free(bytes);
    free(read);
}
END_TEST

/* A body of its own size goes out from the caller's memory, between gathered ones. */
START_TEST(large_bodies)
{
    enum { SIZE = 40000 };
    uint8_t *bytes = malloc(SIZE), *read = calloc(1, SIZE);

    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7);
    spacebridge_queue_write_virtual(sb, BASE + 1, "x", 1, NULL);
    spacebridge_queue_write_virtual(sb, BASE, bytes, 4096, NULL);
    spacebridge_queue_write_virtual(sb, BASE, bytes, SIZE, NULL);
    spacebridge_queue_write_virtual(sb, BASE + 1, "y", 1, NULL);
    spacebridge_queue_read_virtual(sb, BASE, read, 4096, NULL);
    bytes[1] = 'y';
    for (uint64_t i = 1; i <= 5; i++) {
        struct spacebridge_outcome outcome = collected();
        ck_assert_uint_eq(outcome.ticket, i);
        assert_hr(outcome.hresult, S_OK);
    }
    ck_assert_int_eq(memcmp(bytes, read, 4096), 0);
    nothing_left();
    assert_hr(spacebridge_queue_read_virtual(sb, BASE, read, (size_t)64 << 20, NULL), E_INVALIDARG);
    ck_assert_ptr_nonnull(strstr(spacebridge_last_message(sb), "ReadVirtual: 67108864 bytes"));
    nothing_left();
    free(bytes);
    free(read);
}
END_TEST

START_TEST(closing_with_outcomes_left)
{
    for (int i = 0; i < 1000; i++)
        spacebridge_queue_write_virtual(sb, UNMAPPED, "abcd", 4, NULL);
    ck_assert_uint_eq(collected().ticket, 1);
}
END_TEST

/* False daemons */

static void answer_two_and_go(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    int64_t id = script_request(fd, "WriteVirtual");
    script_request(fd, "WriteVirtual");
    script_request(fd, "WriteVirtual");
    SCRIPT_SEND(fd, "[iin[ii]]", 1, (int)id, 0, 4);
    SCRIPT_SEND(fd, "[iin[ii]]", 1, (int)id + 1, 0, 3);
}

START_TEST(what_was_answered_before_the_loss_counts)
{
    false_daemon_start(&other, answer_two_and_go, NULL);
    join(other.endpoint);
    for (int i = 0; i < 3; i++)
        assert_hr(spacebridge_queue_write_virtual(sb, BASE, "abcd", 4, NULL), S_OK);
    struct spacebridge_outcome outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 4);
    outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, 3);
    outcome = collected();
    assert_hr(outcome.hresult, E_UNEXPECTED);
    ck_assert_uint_eq(outcome.value, 0);
    ck_assert_uint_eq(outcome.ticket, 3);
    ck_assert_ptr_nonnull(strstr(spacebridge_last_message(sb), "closed the connection"));
    assert_hr(spacebridge_queue_write_virtual(sb, BASE, "abcd", 4, NULL), E_UNEXPECTED);
    assert_hr(spacebridge_send_queued(sb), E_UNEXPECTED);
    nothing_left();
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

#define BULK 300000u

/* A large bin in the form that the daemon gives it, in two parts; context: it ends in the midst. */
static void answer_in_bulk(int fd, void *context)
{
    static uint8_t bytes[BULK];

    script_hello(fd);
    for (int i = 0; i < 2; i++) {
        uint32_t id = (uint32_t)script_request(fd, "ReadVirtual");
        const uint8_t head[] = {0x94,
                                1,
                                0xce,
                                (uint8_t)(id >> 24),
                                (uint8_t)(id >> 16),
                                (uint8_t)(id >> 8),
                                (uint8_t)id,
                                0xc0,
                                0x92,
                                0,
                                0xc6,
                                0,
                                BULK >> 16,
                                (uint8_t)(BULK >> 8),
                                (uint8_t)BULK};
        memset(bytes, 'a' + i, BULK);
        script_bytes(fd, head, sizeof head);
        script_bytes(fd, bytes, BULK / 3);
        if (i == 1 && *(int *)context)
            return;
        script_bytes(fd, bytes, BULK - BULK / 3);
    }
    script_wait_end(fd);
}

/* Received right where they belong, one queued and one by a call. */
START_TEST(large_results)
{
    uint8_t *first = calloc(1, BULK), *second = calloc(1, BULK);
    int cut = _i;
    size_t count = 7;

    false_daemon_start(&other, answer_in_bulk, &cut);
    join(other.endpoint);
    assert_hr(spacebridge_queue_read_virtual(sb, BASE, first, BULK, NULL), S_OK);
    HRESULT hr = spacebridge_read_virtual(sb, BASE, second, BULK, &count);
    assert_hr(hr, cut ? E_UNEXPECTED : S_OK);
    ck_assert_uint_eq(count, cut ? 0 : BULK);
    ck_assert(cut || (second[0] == 'b' && second[BULK - 1] == 'b'));
    struct spacebridge_outcome outcome = collected();
    assert_hr(outcome.hresult, S_OK);
    ck_assert_uint_eq(outcome.value, BULK);
    ck_assert(first[0] == 'a' && first[BULK / 2] == 'a' && first[BULK - 1] == 'a');
    spacebridge_close(sb);
    false_daemon_end(&other);
    free(first);
    free(second);
}
END_TEST

/* context: the answer's form, with the id to put in. */
static void answer_wrongly(int fd, void *context)
{
    script_hello(fd);
    int id = (int)script_request(fd, NULL);

    switch (*(int *)context) {
    case 0: /* more than was asked */
        SCRIPT_SEND(fd, "[iin[ii]]", 1, id, 0, 5);
        break;
    case 1: /* a text where a number should be */
        SCRIPT_SEND(fd, "[iin[is]]", 1, id, 0, "x");
        break;
    case 2: /* no value */
        SCRIPT_SEND(fd, "[iin[i]]", 1, id, 0);
        break;
    case 3: /* another's */
        SCRIPT_SEND(fd, "[iin[ii]]", 1, id + 1, 0, 4);
        break;
    case 4: /* twice */
        SCRIPT_SEND(fd, "[iin[ii]]", 1, id, 0, 4);
        SCRIPT_SEND(fd, "[iin[ii]]", 1, id, 0, 4);
        break;
    }
    script_wait_end(fd);
}

START_TEST(a_wrong_answer_ends_the_connection)
{
    struct spacebridge_notification notification;
    int kind = _i;

    false_daemon_start(&other, answer_wrongly, &kind);
    join(other.endpoint);
    assert_hr(spacebridge_queue_write_virtual(sb, BASE, "abcd", 4, NULL), S_OK);
    struct spacebridge_outcome outcome = collected();
    assert_hr(outcome.hresult, kind == 4 ? S_OK : E_UNEXPECTED);
    if (kind == 4)
        assert_hr(spacebridge_next_notification(sb, -1, &notification), E_UNEXPECTED);
    ck_assert(spacebridge_is_lost(sb));
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *good = tcase_create("queue"), *bad = tcase_create("misfortune");

    tcase_set_timeout(good, 60);
    tcase_add_checked_fixture(good, set_up, tear_down);
    tcase_add_test(good, outcomes_come_in_order);
    tcase_add_test(good, a_failure_keeps_nothing_back);
    tcase_add_test(good, calls_in_between);
    tcase_add_test(good, full_buffers_do_not_lock);
    tcase_add_test(good, large_bodies);
    tcase_add_test(good, closing_with_outcomes_left);
    suite_add_tcase(suite, good);
    tcase_set_timeout(bad, 60);
    tcase_add_test(bad, what_was_answered_before_the_loss_counts);
    tcase_add_loop_test(bad, large_results, 0, 2);
    tcase_add_loop_test(bad, a_wrong_answer_ends_the_connection, 0, 5);
    suite_add_tcase(suite, bad);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
