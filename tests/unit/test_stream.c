#include "base/stream.h"

#include "base/clock.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT 0.05 /* seconds */

static struct ev_loop *loop;
static int pair[2]; /* ours, the peer's */
static struct stream stream;
static unsigned ended, silent, failed;
static char lines[256];
static bool close_at_once;

static void on_came(void *context, size_t count)
{
    ck_assert_ptr_eq(context, &stream);
    ck_assert_uint_gt(count, 0);
    size_t length;
    for (const char *line; (line = stream_line(&stream, &length)) != NULL;) {
        strncat(lines, line, length);
        strcat(lines, "|");
        stream_line_done(&stream, length);
    }
}

static void on_ended(void *context)
{
    ck_assert_ptr_eq(context, &stream);
    ended++;
    stream_fail(&stream, "it has %s", "ended");
}

static void on_silent(void *context)
{
    ck_assert_ptr_eq(context, &stream);
    silent++;
    ev_break(loop, EVBREAK_ALL);
}

static void on_failed(void *context)
{
    ck_assert_ptr_eq(context, &stream);
    failed++;
    if (close_at_once)
        stream_close(&stream);
}

static const struct stream_events stream_events = {.came = on_came,
                                                   .ended = on_ended,
                                                   .silent = on_silent,
                                                   .failed = on_failed,
                                                   .read_failed = "cannot read: ",
                                                   .write_failed = "cannot write: "};

static void set_up(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    ck_assert_ptr_nonnull(loop);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    ended = silent = failed = 0;
    lines[0] = '\0';
    close_at_once = true;
    stream_init(&stream, loop, TIMEOUT, 0, &stream_events, &stream);
    stream_adopt(&stream, pair[0]);
}

static void tear_down(void)
{
    stream_free(&stream);
    ev_loop_destroy(loop);
    if (pair[1] >= 0)
        close(pair[1]);
}

static void say(const char *text)
{
    ck_assert_int_eq(write(pair[1], text, strlen(text)), (ssize_t)strlen(text));
    ev_run(loop, EVRUN_NOWAIT);
}

START_TEST(lines_come_whole_however_they_are_cut)
{
    say("one\ntw");
    ck_assert_str_eq(lines, "one|");
    say("o");
    say("\n\nthree\n");
    ck_assert_str_eq(lines, "one|two||three|");
    ck_assert_uint_eq(stream.in.length, 0);
}
END_TEST

START_TEST(a_line_that_is_not_complete_tells_how_much_is_there)
{
    size_t length = 99;
    say("abc");
    ck_assert_ptr_null(stream_line(&stream, &length));
    ck_assert_uint_eq(length, 3);
}
END_TEST

START_TEST(its_end_is_told_once_and_with_the_reason)
{
    close(pair[1]);
    pair[1] = -1;
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(ended, 1);
    ck_assert_uint_eq(failed, 1);
    ck_assert_str_eq(stream.reason, "it has ended");
    ck_assert_int_eq(stream.fd, -1);
    stream_fail(&stream, "again");
    ck_assert_uint_eq(failed, 1);
    ck_assert_str_eq(stream.reason, "it has ended");
    stream_forget_reason(&stream);
    ck_assert_str_eq(stream.reason, "");
}
END_TEST

START_TEST(the_first_reason_stands_until_it_is_closed)
{
    close_at_once = false;
    stream_fail(&stream, "first");
    stream_fail(&stream, "second");
    ck_assert_uint_eq(failed, 1);
    ck_assert(stream.failing);
    ck_assert_str_eq(stream.reason, "first");
    stream_close(&stream);
    ck_assert(!stream.failing);
}
END_TEST

START_TEST(closing_it_tells_nobody)
{
    say("half");
    stream_close(&stream);
    stream_close(&stream);
    ev_run(loop, EVRUN_NOWAIT);
    ck_assert_uint_eq(failed, 0);
    ck_assert_uint_eq(stream.in.length, 0);
}
END_TEST

START_TEST(what_the_socket_does_not_take_goes_later)
{
    static char bytes[1024 * 1024], room[64 * 1024];
    memset(bytes, 'x', sizeof bytes);
    ck_assert(buffer_append(&stream.out, bytes, sizeof bytes));
    stream_flush(&stream);
    ck_assert_uint_gt(stream.out.length, 0);
    size_t got = 0;
    while (got < sizeof bytes) {
        ssize_t count = read(pair[1], room, sizeof room);
        ck_assert_int_gt(count, 0);
        got += (size_t)count;
        ev_run(loop, EVRUN_NOWAIT);
    }
    ck_assert_uint_eq(stream.out.length, 0);
    ck_assert(!ev_is_active(&stream.writer));
}
END_TEST

START_TEST(a_peer_that_has_gone_is_told_in_the_owners_words)
{
    close(pair[1]);
    pair[1] = -1;
    ck_assert(buffer_append(&stream.out, "x", 1));
    stream_flush_later(&stream);
    ck_assert_uint_eq(failed, 0);
    stream_flush(&stream);
    ck_assert_uint_eq(failed, 1);
    ck_assert_str_eq(stream.reason, "cannot write: Broken pipe");
}
END_TEST

START_TEST(silence_counts_from_the_last_sign_of_life)
{
    stream_owe(&stream, true);
    double begun = clock_now();
    stream.heard = begun + 2 * TIMEOUT; /* as if heard later on */
    ev_run(loop, 0);
    ck_assert_uint_eq(silent, 1);
    ck_assert(clock_now() - begun >= 3 * TIMEOUT - 0.002);
}
END_TEST

START_TEST(no_silence_where_nothing_is_owed)
{
    stream_owe(&stream, true);
    stream_owe(&stream, true);
    stream_owe(&stream, false);
    stream_close(&stream); /* nothing is left that the loop could wait for */
    ev_run(loop, 0);
    ck_assert_uint_eq(silent, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stream");
    TCase *tcase = tcase_create("stream");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, lines_come_whole_however_they_are_cut);
    tcase_add_test(tcase, a_line_that_is_not_complete_tells_how_much_is_there);
    tcase_add_test(tcase, its_end_is_told_once_and_with_the_reason);
    tcase_add_test(tcase, the_first_reason_stands_until_it_is_closed);
    tcase_add_test(tcase, closing_it_tells_nobody);
    tcase_add_test(tcase, what_the_socket_does_not_take_goes_later);
    tcase_add_test(tcase, a_peer_that_has_gone_is_told_in_the_owners_words);
    tcase_add_test(tcase, silence_counts_from_the_last_sign_of_life);
    tcase_add_test(tcase, no_silence_where_nothing_is_owed);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int bad = srunner_ntests_failed(runner);
    srunner_free(runner);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
