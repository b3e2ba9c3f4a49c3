/* What the client library makes of daemons that are silent, broken or hostile. */
#include "client/link.h"

#include "false_daemon.h"
#include "spacebridge/spacebridge.h"
#include "wire/protocol.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct false_daemon other;
static spacebridge_t *sb;
static char error[2048];

static void start(void (*script)(int fd, void *context), void *context)
{
    false_daemon_start(&other, script, context);
}

static void open_fails(double timeout, const char *says)
{
    error[0] = '\0';
    sb = spacebridge_open(other.endpoint, timeout, error, sizeof error);
    ck_assert_ptr_null(sb);
    ck_assert_msg(strstr(error, says), "\"%s\" lacks \"%s\"", error, says);
    ck_assert_msg(strstr(error, other.endpoint), "\"%s\" names no endpoint", error);
    false_daemon_end(&other);
}

static void open_well(void)
{
    sb = spacebridge_open(other.endpoint, 20, error, sizeof error);
    ck_assert_msg(sb != NULL, "%s", error);
}

/* The connection is lost for good, and says so. */
static void is_lost(const char *says)
{
    uint64_t flushed = 7;

    ck_assert(spacebridge_is_lost(sb));
    ck_assert_msg(strstr(spacebridge_last_message(sb), says), "\"%s\" lacks \"%s\"",
                  spacebridge_last_message(sb), says);
    ck_assert_int_eq(spacebridge_flush_cache(sb, &flushed), E_UNEXPECTED);
    ck_assert_uint_eq(flushed, 0);
    ck_assert_msg(strstr(spacebridge_last_message(sb), says), "\"%s\" lacks \"%s\"",
                  spacebridge_last_message(sb), says);
    spacebridge_close(sb);
    false_daemon_end(&other);
}

static void close_at_once(int fd, void *context)
{
    (void)fd;
    (void)context;
}

START_TEST(a_daemon_that_closes_at_once)
{
    start(close_at_once, NULL);
    open_fails(20, "");
}
END_TEST

static void say_nothing(int fd, void *context)
{
    (void)context;
    script_wait_end(fd);
}

START_TEST(a_daemon_that_says_nothing)
{
    start(say_nothing, NULL);
    open_fails(0.1, "silent for too long");
}
END_TEST

static void turn_away(int fd, void *context)
{
    (void)context;
    SCRIPT_SEND(fd, "[is[is]]", 2, "Error", E_ACCESSDENIED, "5 connections are served already");
    shutdown(fd, SHUT_WR);
    script_wait_end(fd);
}

START_TEST(a_daemon_that_is_full)
{
    start(turn_away, NULL);
    open_fails(20, "5 connections are served already");
}
END_TEST

static const struct {
    const char *bytes;
    size_t length;
} nonsense[] = {
    {"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
    {"\xc1", 1},
    {"+$T05thread:01;#07", 18},
    {"\x94\x01\x01\xc0\xdd\xff\xff\xff\xff", 9},
    {"\x94\x01\x02\xc0\x91\x00", 6},         /* to a request that was not made */
    {"\x94\x01\x01\xc0\xc0", 5},             /* neither error nor result */
    {"\x94\x01\x01\xc0\x90", 5},             /* no HRESULT */
    {"\x94\x01\x01\xc0\x91\xa1x", 7},        /* an HRESULT of letters */
    {"\x94\x01\x01\xc0\x93\xff\xa0\x80", 8}, /* a failure as a result */
    {"\x94\x01\x01\xc0\x91\x00", 6},         /* too few */
    {"\x94\x01\x01\xc0\x93\x00\x05\x80", 8}, /* a version that is a number */
    {"\x94\x01\x01\xc0\x93\x00\xa0\x80", 8}, /* an empty map */
    {"\x94\x01\x01\xa1x\xc0", 6},            /* an error that is text */
    {"\x94\x01\x01\x92\x05\xa1x\xc0", 8},    /* an error that is a success */
    {"\x94\x01\x01\x92\xff\x05\xc0", 7},     /* no message */
    {"\x94\x00\x01\xa1x\x90", 6},            /* a request */
};

static void talk_nonsense(int fd, void *context)
{
    const int *which = context;

    script_request(fd, "Hello");
    script_bytes(fd, nonsense[*which].bytes, nonsense[*which].length);
    script_wait_end(fd);
}

START_TEST(a_daemon_that_talks_nonsense)
{
    int which = _i;

    start(talk_nonsense, &which);
    open_fails(20,
               _i == 4 || _i == 15 ? "answered what was not asked" : "does not speak the protocol");
}
END_TEST

static void end_in_the_middle(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    script_request(fd, "ReadVirtual");
    script_bytes(fd, "\x94\x01\x02\xc0\x92\x00\xc4\x04\x01\x02", 10);
}

START_TEST(an_end_in_the_middle_of_an_answer)
{
    uint8_t bytes[4];
    size_t done = 9;

    start(end_in_the_middle, NULL);
    open_well();
    ck_assert_int_eq(spacebridge_read_virtual(sb, 0, bytes, 4, &done), E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
    is_lost("closed the connection");
}
END_TEST

/* The answer to one call after Hello, given as bytes that follow [1, msgid, nil, */
struct answer {
    const char *method;
    const char *result;
    size_t length;
};

static void answer_one(int fd, void *context)
{
    const struct answer *answer = context;

    script_hello(fd);
    int64_t id = script_request(fd, answer->method);
    uint8_t head[] = {0x94, 0x01, (uint8_t)id, 0xc0};
    script_bytes(fd, head, sizeof head);
    script_bytes(fd, answer->result, answer->length);
    script_wait_end(fd);
}

START_TEST(more_bytes_than_were_asked_for)
{
    struct answer answer = {"ReadVirtual",
                            "\x92\x00\xc4\x05"
                            "abcde",
                            9};
    uint8_t bytes[4];
    size_t done = 9;

    start(answer_one, &answer);
    open_well();
    ck_assert_int_eq(spacebridge_read_virtual(sb, 0, bytes, 4, &done), E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
    is_lost("result of the wrong type");
}
END_TEST

START_TEST(more_written_than_was_sent)
{
    struct answer answer = {"WriteVirtual", "\x92\x00\x05", 3};
    size_t done = 9;

    start(answer_one, &answer);
    open_well();
    ck_assert_int_eq(spacebridge_write_virtual(sb, 0, "abcd", 4, &done), E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
    is_lost("result of the wrong type");
}
END_TEST

START_TEST(more_pointers_than_were_asked_for)
{
    struct answer answer = {"ReadPointersVirtual", "\x92\x00\x93\x01\x02\x03", 6};
    uint64_t pointers[2];

    start(answer_one, &answer);
    open_well();
    ck_assert_int_eq(spacebridge_read_pointers_virtual(sb, 2, 0, pointers), E_UNEXPECTED);
    is_lost("result of the wrong type");
}
END_TEST

START_TEST(a_port_that_gives_too_much)
{
    struct answer answer = {"ReadIo", "\x92\x00\xc4\x02xy", 6};
    uint8_t byte;
    uint32_t done;

    start(answer_one, &answer);
    open_well();
    ck_assert_int_eq(spacebridge_read_io(sb, 1, 0, 1, 0x70, &byte, 1, &done), E_UNEXPECTED);
    is_lost("result of the wrong type");
}
END_TEST

START_TEST(a_number_that_is_none)
{
    struct answer answer = {"GetCurrentProcessor", "\x92\x00\xcf\x00\x00\x00\x01\x00\x00\x00\x00",
                            11};
    uint32_t processor = 7;

    start(answer_one, &answer);
    open_well();
    ck_assert_int_eq(spacebridge_get_current_processor(sb, &processor), E_UNEXPECTED);
    is_lost("result of the wrong type");
}
END_TEST

START_TEST(a_long_event_text_is_cut)
{
    struct answer answer = {"WaitForEvent", "\x92\x00\xa5hello", 8};
    char text[4];

    start(answer_one, &answer);
    open_well();
    ck_assert_int_eq(spacebridge_wait_for_event(sb, 5, text, sizeof text), S_OK);
    ck_assert_str_eq(text, "hel");
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

static void silent_after_hello(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    script_wait_end(fd);
}

START_TEST(silence_ends_when_its_time_is_over)
{
    start(silent_after_hello, NULL);
    open_well();
    spacebridge_set_timeout(sb, 0.1);
    ck_assert_int_eq(spacebridge_invalidate_cache(sb), E_UNEXPECTED);
    is_lost("silent for too long");
}
END_TEST

static void fail_the_call(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    uint64_t id = (uint64_t)script_request(fd, "WriteVirtual");
    SCRIPT_SEND(fd, "[iu[is]n]", 1, id, SB_ERROR_WRITE_FAULT, "WriteVirtual: not mapped");
    id = (uint64_t)script_request(fd, "InvalidateCache");
    SCRIPT_SEND(fd, "[iun[i]]", 1, id, 0);
    script_wait_end(fd);
}

START_TEST(a_failure_has_its_message_and_a_success_none)
{
    size_t done = 9;

    start(fail_the_call, NULL);
    open_well();
    ck_assert_int_eq(spacebridge_write_virtual(sb, 0, "abcd", 4, &done), SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 0);
    ck_assert_str_eq(spacebridge_last_message(sb), "WriteVirtual: not mapped");
    ck_assert(!spacebridge_is_lost(sb));
    ck_assert_int_eq(spacebridge_invalidate_cache(sb), S_OK);
    ck_assert_str_eq(spacebridge_last_message(sb), "");
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

static void notify(int fd, void *context)
{
    char text[32];
    (void)context;

    script_hello(fd);
    uint64_t id = (uint64_t)script_request(fd, "InvalidateCache");
    SCRIPT_SEND(fd, "[isi]", 2, "NewerThanUs", 5);
    for (int i = 0; i < NOTICES_MOST + 6; i++) {
        snprintf(text, sizeof text, "number %d", i);
        SCRIPT_SEND(fd, "[is[is]]", 2, "FlushFailed", E_FAIL, text);
    }
    SCRIPT_SEND(fd, "[iun[i]]", 1, id, 0);
    script_wait_end(fd);
}

START_TEST(notifications_are_kept_the_latest)
{
    struct spacebridge_notification got;

    start(notify, NULL);
    open_well();
    ck_assert_int_eq(spacebridge_next_notification(sb, 0, &got), S_FALSE);
    ck_assert_int_eq(spacebridge_invalidate_cache(sb), S_OK);
    for (int i = 6; i < NOTICES_MOST + 6; i++) {
        char text[32];
        snprintf(text, sizeof text, "number %d", i);
        ck_assert_int_eq(spacebridge_next_notification(sb, 0, &got), S_OK);
        ck_assert_str_eq(got.method, "FlushFailed");
        ck_assert_int_eq(got.hresult, E_FAIL);
        ck_assert_str_eq(got.message, text);
    }
    ck_assert_int_eq(spacebridge_next_notification(sb, 0, &got), S_FALSE);
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

static void warn(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    uint64_t id = (uint64_t)script_request(fd, "WriteVirtual");
    SCRIPT_SEND(fd, "[is[ss]]", 2, "Warning", "WriteVirtual", "nobody can tell");
    SCRIPT_SEND(fd, "[iun[ii]]", 1, id, 0, 4);
    id = (uint64_t)script_request(fd, "InvalidateCache");
    SCRIPT_SEND(fd, "[iun[i]]", 1, id, 0);
    /* Of no shape that is known: as if it had not come. */
    id = (uint64_t)script_request(fd, "InvalidateCache");
    SCRIPT_SEND(fd, "[isi]", 2, "Warning", 5);
    SCRIPT_SEND(fd, "[is[si]]", 2, "Warning", "InvalidateCache", 5);
    SCRIPT_SEND(fd, "[is[s]]", 2, "Warning", "InvalidateCache");
    SCRIPT_SEND(fd, "[iun[i]]", 1, id, 0);
    /* Three that are queued, the second of which has one. */
    uint64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = (uint64_t)script_request(fd, "FlushCache");
    SCRIPT_SEND(fd, "[iun[ii]]", 1, ids[0], 0, 1);
    SCRIPT_SEND(fd, "[is[ss]]", 2, "Warning", "FlushCache", "of the second");
    SCRIPT_SEND(fd, "[iun[ii]]", 1, ids[1], 0, 2);
    SCRIPT_SEND(fd, "[iun[ii]]", 1, ids[2], 0, 3);
    script_wait_end(fd);
}

START_TEST(a_warning_is_of_the_call_that_is_answered_next)
{
    static const char *const queued[] = {"", "of the second", ""};
    struct spacebridge_notification got;
    struct spacebridge_outcome outcome;
    size_t done;

    start(warn, NULL);
    open_well();
    ck_assert_str_eq(spacebridge_last_warning(sb), "");
    ck_assert_int_eq(spacebridge_write_virtual(sb, 0, "abcd", 4, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    ck_assert_str_eq(spacebridge_last_warning(sb), "nobody can tell");
    ck_assert_str_eq(spacebridge_last_message(sb), "");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(spacebridge_invalidate_cache(sb), S_OK);
        ck_assert_str_eq(spacebridge_last_warning(sb), "");
    }
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(spacebridge_queue_flush_cache(sb, NULL), S_OK);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(spacebridge_collect(sb, &outcome), S_OK);
        ck_assert_uint_eq(outcome.value, i + 1);
        ck_assert_str_eq(spacebridge_last_warning(sb), queued[i]);
    }
    /* It takes no notification's place. */
    ck_assert_int_eq(spacebridge_next_notification(sb, 0, &got), S_FALSE);
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

static void warn_of_a_large_one(int fd, void *context)
{
    static uint8_t bytes[1 << 20];
    (void)context;
    script_hello(fd);
    for (int i = 0; i < 2; i++) {
        uint64_t id = (uint64_t)script_request(fd, "ReadVirtual");
        const uint8_t head[] = {
            0x94, 1, 0xce, 0, 0, 0, (uint8_t)id, 0xc0, 0x92, 0x00, 0xc6, 0, sizeof bytes >> 16,
            0,    0};
        if (i == 0)
            SCRIPT_SEND(fd, "[is[ss]]", 2, "Warning", "ReadVirtual", "zeros, perhaps");
        script_bytes(fd, head, sizeof head);
        script_bytes(fd, bytes, sizeof bytes);
    }
    script_wait_end(fd);
}

START_TEST(a_warning_of_a_large_read)
{
    static uint8_t bytes[1 << 20];
    size_t done;

    start(warn_of_a_large_one, NULL);
    open_well();
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(spacebridge_read_virtual(sb, 0, bytes, sizeof bytes, &done), S_OK);
        ck_assert_uint_eq(done, sizeof bytes);
        ck_assert_str_eq(spacebridge_last_warning(sb), i == 0 ? "zeros, perhaps" : "");
    }
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

static void warn_too_long(int fd, void *context)
{
    static char text[5000];
    (void)context;
    memset(text, 'w', sizeof text - 1);
    script_hello(fd);
    uint64_t id = (uint64_t)script_request(fd, "InvalidateCache");
    SCRIPT_SEND(fd, "[is[ss]]", 2, "Warning", "InvalidateCache", text);
    SCRIPT_SEND(fd, "[iun[i]]", 1, id, 0);
    script_wait_end(fd);
}

START_TEST(a_long_warning_is_cut)
{
    start(warn_too_long, NULL);
    open_well();
    ck_assert_int_eq(spacebridge_invalidate_cache(sb), S_OK);
    ck_assert_uint_eq(strlen(spacebridge_last_warning(sb)), CLIENT_MESSAGE_SIZE - 1);
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

static void notify_and_close(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    SCRIPT_SEND(fd, "[is[is]]", 2, "FlushFailed", E_FAIL, "the last");
}

START_TEST(a_notification_is_waited_for)
{
    struct spacebridge_notification got;

    start(notify_and_close, NULL);
    open_well();
    ck_assert_int_eq(spacebridge_next_notification(sb, -1, &got), S_OK);
    ck_assert_str_eq(got.message, "the last");
    ck_assert_int_eq(spacebridge_next_notification(sb, -1, &got), E_UNEXPECTED);
    is_lost("closed the connection");
}
END_TEST

static void refuse_the_frame(int fd, void *context)
{
    uint8_t some[1024];
    (void)context;

    script_hello(fd);
    if (read(fd, some, sizeof some) <= 0)
        _exit(1);
    SCRIPT_SEND(fd, "[is[is]]", 2, "Error", E_INVALIDARG, "I do not like it");
    shutdown(fd, SHUT_WR);
}

START_TEST(last_words_during_a_large_write_are_heard)
{
    const size_t size = 32 * 1024 * 1024;
    uint8_t *bytes = calloc(1, size);
    size_t done = 9;

    start(refuse_the_frame, NULL);
    open_well();
    ck_assert_int_eq(spacebridge_write_virtual(sb, 0, bytes, size, &done), E_UNEXPECTED);
    ck_assert_uint_eq(done, 0);
    free(bytes);
    is_lost("I do not like it");
}
END_TEST

/* Every answer to a read is the same good one but for a few bytes. */
static void mutate(int fd, void *context)
{
    const int *seed = context;
    uint32_t random = (uint32_t)*seed * 2654435761u + 1;
    struct buffer answer = {0};

    script_hello(fd);
    for (int64_t id; (id = script_request(fd, NULL)) >= 0;) {
        buffer_clear(&answer);
        words_pack(&answer, "[iun[i{sisisisisisisisisisisisiss}]]", 1, (uint64_t)id, 0, "size", 1,
                   "used", 2, "valid_bytes", 3, "dirty_bytes", 4, "lines", 5, "dirty_lines", 6,
                   "hits", 7, "misses", 8, "flushes", 9, "flushed_bytes", 10, "lost_bytes", 11,
                   "evictions", 12, "policy", "write-back");
        uint8_t *bytes = (uint8_t *)buffer_bytes(&answer);
        for (int change = 0; change < 2; change++) {
            random = random * 1103515245 + 12345;
            bytes[(random >> 8) % answer.length] = (uint8_t)(random >> 20);
        }
        script_bytes(fd, bytes, answer.length);
    }
    buffer_free(&answer);
}

START_TEST(mutated_answers_are_survived)
{
    struct spacebridge_cache_status status;
    int seed = _i;

    start(mutate, &seed);
    open_well();
    spacebridge_set_timeout(sb, 0.05); /* an answer may have been made longer */
    for (int i = 0; i < 50 && !spacebridge_is_lost(sb); i++)
        spacebridge_get_cache_status(sb, &status);
    spacebridge_close(sb);
    false_daemon_end(&other);
}
END_TEST

START_TEST(endpoints_that_cannot_be_reached)
{
    static const struct {
        const char *endpoint, *says;
    } wrong[] = {{"unix:/nonexistent/rpc.sock", "/nonexistent/rpc.sock"},
                 {"nonsense", "nonsense"},
                 {"tcp:127.0.0.1:1", "127.0.0.1"},
                 {"unix:", "unix:"}};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_ptr_null(spacebridge_open(wrong[i].endpoint, 5, error, sizeof error));
        ck_assert_msg(strstr(error, wrong[i].says), "%s", error);
        ck_assert_ptr_null(spacebridge_open(wrong[i].endpoint, 5, NULL, 0));
        setenv("SPACEBRIDGE", wrong[i].endpoint, 1);
        ck_assert_ptr_null(spacebridge_open(NULL, 5, error, sizeof error));
        ck_assert_msg(strstr(error, wrong[i].says), "%s", error);
    }
    spacebridge_close(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("link");
    TCase *tcase = tcase_create("link");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_daemon_that_closes_at_once);
    tcase_add_test(tcase, a_daemon_that_says_nothing);
    tcase_add_test(tcase, a_daemon_that_is_full);
    tcase_add_loop_test(tcase, a_daemon_that_talks_nonsense, 0,
                        (int)(sizeof nonsense / sizeof nonsense[0]));
    tcase_add_test(tcase, an_end_in_the_middle_of_an_answer);
    tcase_add_test(tcase, more_bytes_than_were_asked_for);
    tcase_add_test(tcase, more_written_than_was_sent);
    tcase_add_test(tcase, more_pointers_than_were_asked_for);
    tcase_add_test(tcase, a_port_that_gives_too_much);
    tcase_add_test(tcase, a_number_that_is_none);
    tcase_add_test(tcase, a_long_event_text_is_cut);
    tcase_add_test(tcase, silence_ends_when_its_time_is_over);
    tcase_add_test(tcase, a_failure_has_its_message_and_a_success_none);
    tcase_add_test(tcase, notifications_are_kept_the_latest);
    tcase_add_test(tcase, a_notification_is_waited_for);
    tcase_add_test(tcase, a_warning_is_of_the_call_that_is_answered_next);
    tcase_add_test(tcase, a_warning_of_a_large_read);
    tcase_add_test(tcase, a_long_warning_is_cut);
    tcase_add_test(tcase, last_words_during_a_large_write_are_heard);
    tcase_add_loop_test(tcase, mutated_answers_are_survived, 0, 20);
    tcase_add_test(tcase, endpoints_that_cannot_be_reached);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
