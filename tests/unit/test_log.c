#include "base/log.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Standard error is a pipe during each test; reading end here. */
static int pipe_end = -1;
static int old_stderr = -1;
static char text[8192];

static void redirect(int ends[2])
{
    pipe_end = ends[0];
    ck_assert_int_eq(fcntl(pipe_end, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
}

static void set_up(void)
{
    int ends[2];
    old_stderr = dup(STDERR_FILENO);
    ck_assert_int_eq(pipe(ends), 0);
    redirect(ends);
}

static void tear_down(void)
{
    dup2(old_stderr, STDERR_FILENO);
    close(old_stderr);
    if (pipe_end >= 0)
        close(pipe_end);
}

/* What was logged since the last time. */
static const char *logged(void)
{
    ssize_t count = read(pipe_end, text, sizeof(text) - 1);
    ck_assert(count >= 0 || errno == EAGAIN);
    text[count > 0 ? count : 0] = '\0';
    return text;
}

/* The one line that was logged, from its level on; its time is checked. */
static const char *logged_line(void)
{
    int year, month, day, hour, minute, second, milliseconds, used = 0;
    ck_assert_int_eq(sscanf(logged(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ %n", &year, &month, &day, &hour,
                            &minute, &second, &milliseconds, &used),
                     7);
    ck_assert_int_eq(used, 25);
    struct tm date = {.tm_year = year - 1900,
                      .tm_mon = month - 1,
                      .tm_mday = day,
                      .tm_hour = hour,
                      .tm_min = minute,
                      .tm_sec = second};
    struct timespec now; /* time() lags behind it by a tick */
    clock_gettime(CLOCK_REALTIME, &now);
    time_t age = now.tv_sec - timegm(&date);
    ck_assert(age >= 0 && age < 60);
    size_t length = strlen(text);
    ck_assert_int_eq(text[length - 1], '\n');
    ck_assert_ptr_eq(strchr(text, '\n'), text + length - 1);
    text[length - 1] = '\0';
    return text + used;
}

START_TEST(a_line_says_when_how_bad_who_and_what)
{
    log_info("target", "attached to %s", "x");
    ck_assert_str_eq(logged_line(), "info target: attached to x");
    log_error("rpc", "e");
    ck_assert_str_eq(logged_line(), "error rpc: e");
    log_warning("rpc", "w");
    ck_assert_str_eq(logged_line(), "warning rpc: w");
}
END_TEST

START_TEST(what_is_below_the_level_is_not_said)
{
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_TRACE; level++) {
        log_configure((enum log_level)level, LOG_FORMAT_TEXT);
        log_error("x", "0");
        log_warning("x", "1");
        log_info("x", "2");
        log_debug("x", "3");
        log_trace("x", "4");
        const char *at = logged();
        int lines = 0;
        while ((at = strchr(at, '\n')) != NULL) {
            ck_assert_int_eq(at[-1], '0' + lines);
            lines++;
            at++;
        }
        ck_assert_int_eq(lines, level + 1);
        ck_assert(log_enabled((enum log_level)level));
        ck_assert(level == LOG_LEVEL_TRACE || !log_enabled((enum log_level)(level + 1)));
    }
}
END_TEST

START_TEST(names_are_parsed)
{
    enum log_level level = LOG_LEVEL_INFO;
    enum log_format format = LOG_FORMAT_TEXT;
    ck_assert(log_level_parse(&level, "trace"));
    ck_assert_int_eq(level, LOG_LEVEL_TRACE);
    ck_assert(log_level_parse(&level, "error"));
    ck_assert_int_eq(level, LOG_LEVEL_ERROR);
    ck_assert(!log_level_parse(&level, "Info"));
    ck_assert(!log_level_parse(&level, ""));
    ck_assert_int_eq(level, LOG_LEVEL_ERROR);
    ck_assert(log_format_parse(&format, "json"));
    ck_assert_int_eq(format, LOG_FORMAT_JSON);
    ck_assert(!log_format_parse(&format, "xml"));
    ck_assert_int_eq(format, LOG_FORMAT_JSON);
}
END_TEST

static const struct {
    const char *said, *safe;
} strange[] = {
    {"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
    {"\x1b[31mred\x7f", "\\x1b[31mred\\x7f"},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"\xff\xfe", "\\xff\\xfe"},
    {"\xc3", "\\xc3"},
    {"\xe2\x82", "\\xe2\\x82"},
    {"\xe2\x82z", "\\xe2\\x82z"},
    {"\xc0\x80", "\\xc0\\x80"},                   /* an overlong NUL */
    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},          /* an overlong slash */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},          /* a surrogate */
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* past the last character */
    {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"},
    {"\xc2\x9b"
     "1m",
     "\\xc2\\x9b"
     "1m"}, /* CSI in one character */
    {"\"quoted\" \\ 100%", "\"quoted\" \\ 100%"},
    {"", ""},
};

START_TEST(strange_text_is_made_safe)
{
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        char expected[100];
        snprintf(expected, sizeof(expected), "info x: %s", strange[i].safe);
        log_info("x", "%s", strange[i].said);
        ck_assert_str_eq(logged_line(), expected);
    }
}
END_TEST

static void check_json(const char *level, const char *message)
{
    size_t length = strlen(logged());
    ck_assert_uint_gt(length, 0);
    ck_assert_ptr_eq(strchr(text, '\n'), text + length - 1);
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(json_is_object(line), "%s", text);
    ck_assert_uint_eq(json_object_size(line), 4);
    ck_assert_uint_eq(json_string_length(json_object_get(line, "time")), 24);
    ck_assert_str_eq(json_string_value(json_object_get(line, "level")), level);
    ck_assert_str_eq(json_string_value(json_object_get(line, "room")), "x");
    if (message)
        ck_assert_str_eq(json_string_value(json_object_get(line, "message")), message);
    json_decref(line);
}

START_TEST(json_lines_are_objects)
{
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        log_warning("x", "%s", strange[i].said);
        check_json("warning", strange[i].safe);
    }
}
END_TEST

START_TEST(long_lines_are_cut)
{
    static const char fills[] = "a\"\\\n\xff";
    for (const char *fill = fills; *fill; fill++) {
        char message[6000];
        memset(message, *fill, sizeof(message) - 1);
        message[sizeof(message) - 1] = '\0';
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        log_info("x", "%s", message);
        const char *line = logged_line();
        ck_assert_uint_gt(strlen(line), 1000);
        ck_assert_str_eq(line + strlen(line) - 3, "...");
        log_configure(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
        log_info("x", "%s", message);
        check_json("info", NULL);
    }
}
END_TEST

START_TEST(errno_is_left_alone)
{
    errno = ENOSPC;
    log_info("x", "\xff");
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

/* Misfortunes: no test here may hang, or die of a signal. */

START_TEST(a_full_pipe_is_survived)
{
    for (int i = 0; i < 20000; i++)
        log_info("x", "a line that nobody reads, %d", i);
    ck_assert_uint_gt(strlen(logged()), 1000);
    ck_assert_int_eq(strncmp(text + 4, "-", 1), 0);
    while (logged()[0])
        ;
    log_info("x", "heard again");
    ck_assert_str_eq(logged_line(), "info x: heard again");
}
END_TEST

START_TEST(a_full_socket_is_survived)
{
    int ends[2];
    close(pipe_end);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    redirect(ends);
    for (int i = 0; i < 20000; i++)
        log_info("x", "a line that nobody reads, %d", i);
    while (logged()[0])
        ;
    log_info("x", "heard again");
    ck_assert_str_eq(logged_line(), "info x: heard again");
    close(pipe_end);
    pipe_end = -1;
    log_info("x", "nobody");
}
END_TEST

START_TEST(a_broken_pipe_is_survived)
{
    close(pipe_end);
    pipe_end = -1;
    log_info("x", "nobody");
    log_info("x", "nobody");
}
END_TEST

START_TEST(a_closed_descriptor_is_survived)
{
    close(STDERR_FILENO);
    log_info("x", "nobody");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tcase = tcase_create("log");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, a_line_says_when_how_bad_who_and_what);
    tcase_add_test(tcase, what_is_below_the_level_is_not_said);
    tcase_add_test(tcase, names_are_parsed);
    tcase_add_test(tcase, strange_text_is_made_safe);
    tcase_add_test(tcase, json_lines_are_objects);
    tcase_add_test(tcase, long_lines_are_cut);
    tcase_add_test(tcase, errno_is_left_alone);
    tcase_add_test(tcase, a_full_pipe_is_survived);
    tcase_add_test(tcase, a_full_socket_is_survived);
    tcase_add_test(tcase, a_broken_pipe_is_survived);
    tcase_add_test(tcase, a_closed_descriptor_is_survived);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
