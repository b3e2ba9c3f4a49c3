/* The lines of qtest, each held to a strict grammar: QEMU aborts on a malformed one. And the client
 * against a scripted QEMU behind a unix socket. */
#include "upstream/link/qtest.h"

#include "base/buffer.h"
#include "base/endpoint.h"
#include "base/failure.h"
#include "base/task.h"
#include "upstream/link/base64.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the grammar, written from QEMU's side: words parted by one space, numbers as 0x… ---- */

static bool word(const char **at, const char *text)
{
    size_t length = strlen(text);
    if (strncmp(*at, text, length) != 0)
        return false;
    *at += length;
    return true;
}

/* " 0x" and one to sixteen digits, no leading zero but of zero itself. */
static bool number(const char **at, uint64_t *value)
{
    if (!word(at, " 0x"))
        return false;
    size_t digits = strspn(*at, "0123456789abcdef");
    if (digits == 0 || digits > 16 || (digits > 1 && **at == '0'))
        return false;
    *value = strtoull(*at, NULL, 16);
    *at += digits;
    return true;
}

static bool letter(const char **at, const char *letters, unsigned *width)
{
    const char *found = **at ? strchr(letters, **at) : NULL;
    if (!found)
        return false;
    *width = 1u << (found - letters);
    (*at)++;
    return true;
}

static bool fits(uint64_t value, unsigned width)
{
    return width == 8 || value < UINT64_C(1) << (8 * width);
}

/* One command without its end. */
static bool command(const char *line)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t address, size, value;
    unsigned width;
    const char *at = line;
    if (strcmp(line, "endianness") == 0)
        return true;
    if (word(&at, "b64write")) {
        if (!number(&at, &address) || !number(&at, &size) || size == 0 || *at++ != ' ')
            return false;
        if (size - 1 > UINT64_MAX - address || size > 1 << 20)
            return false;
        size_t plain = strspn(at, digits), padding = strspn(at + plain, "=");
        return at[plain + padding] == '\0' && padding == (3 - size % 3) % 3 &&
               plain + padding == (size + 2) / 3 * 4;
    }
    if (word(&at, "b64read"))
        return number(&at, &address) && number(&at, &size) && size > 0 && size <= 1 << 20 &&
               size - 1 <= UINT64_MAX - address && *at == '\0';
    if (word(&at, "memset"))
        return number(&at, &address) && number(&at, &size) && number(&at, &value) && size > 0 &&
               size - 1 <= UINT64_MAX - address && value <= 0xff && *at == '\0';
    if (word(&at, "write"))
        return letter(&at, "bwlq", &width) && number(&at, &address) && number(&at, &value) &&
               width - 1 <= UINT64_MAX - address && fits(value, width) && *at == '\0';
    if (word(&at, "read"))
        return letter(&at, "bwlq", &width) && number(&at, &address) &&
               width - 1 <= UINT64_MAX - address && *at == '\0';
    if (word(&at, "out"))
        return letter(&at, "bwl", &width) && number(&at, &address) && number(&at, &value) &&
               address + width <= 0x10000 && fits(value, width) && *at == '\0';
    if (word(&at, "in"))
        return letter(&at, "bwl", &width) && number(&at, &address) && address + width <= 0x10000 &&
               *at == '\0';
    return false;
}

/* Exactly one line, and a command. */
static void check_line(const struct buffer *out)
{
    const char *text = (const char *)buffer_bytes(out);
    const char *end = memchr(text, '\n', out->length);
    ck_assert_ptr_nonnull(end);
    ck_assert_uint_eq((size_t)(end - text) + 1, out->length);
    char *copy = strndup(text, (size_t)(end - text));
    ck_assert_msg(strlen(copy) == (size_t)(end - text) && command(copy), "'%.120s'", copy);
    free(copy);
}

START_TEST(every_line_is_one_that_qemu_takes)
{
    static const uint64_t addresses[] = {0,
                                         1,
                                         9,
                                         0xe9,
                                         0xfffc,
                                         0xfffd,
                                         0xfffe,
                                         0xffff,
                                         0x10000,
                                         0xfed00010,
                                         UINT32_MAX,
                                         UINT64_C(1) << 52,
                                         INT64_MAX,
                                         (uint64_t)INT64_MIN,
                                         UINT64_MAX - 16384,
                                         UINT64_MAX - 16383,
                                         UINT64_MAX - 7,
                                         UINT64_MAX - 3,
                                         UINT64_MAX - 1,
                                         UINT64_MAX};
    static const size_t lengths[] = {0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     5,
                                     4095,
                                     4096,
                                     QTEST_PIECE_MOST - 1,
                                     QTEST_PIECE_MOST,
                                     QTEST_PIECE_MOST + 1,
                                     QTEST_FILL_MOST,
                                     QTEST_FILL_MOST + 1,
                                     SIZE_MAX};
    static const uint64_t values[] = {
        0,         1,         0x7f,      0xff,       0x100,
        0xffff,    0x10000,   INT32_MAX, UINT32_MAX, UINT64_C(1) << 32,
        INT64_MAX, UINT64_MAX};
    static const unsigned widths[] = {0, 1, 2, 3, 4, 5, 8, 16, UINT32_MAX};
    uint8_t *bytes = malloc(QTEST_PIECE_MOST);
    struct buffer out = {0};
    unsigned made = 0, refused = 0;
    for (size_t i = 0; i < QTEST_PIECE_MOST; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    for (int verb = QTEST_WRITE; verb <= QTEST_ORDER + 1; verb++)
        for (size_t a = 0; a < sizeof addresses / sizeof *addresses; a++)
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
                for (size_t v = 0; v < sizeof values / sizeof *values; v++)
                    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
                        if ((verb == QTEST_WRITE || verb == QTEST_READ) && (v > 0 || w > 0))
                            continue;
                        struct qtest_request request = {.verb = (enum qtest_verb)verb,
                                                        .width = widths[w],
                                                        .address = addresses[a],
                                                        .length = lengths[l],
                                                        .bytes = bytes,
                                                        .value = values[v]};
                        buffer_clear(&out);
                        if (qtest_line(&out, &request)) {
                            check_line(&out);
                            made++;
                        } else {
                            ck_assert_uint_eq(out.length, 0);
                            refused++;
                        }
                    }
    ck_assert_uint_gt(made, 1000);
    ck_assert_uint_gt(refused, 1000);
    buffer_free(&out);
    free(bytes);
}
END_TEST

static void line_is(const struct qtest_request *request, const char *expected)
{
    struct buffer out = {0};
    ck_assert(qtest_line(&out, request));
    ck_assert(buffer_append_byte(&out, 0));
    ck_assert_str_eq((const char *)buffer_bytes(&out), expected);
    buffer_free(&out);
}

START_TEST(lines_say_what_was_asked)
{
    uint8_t bytes[] = {0xde, 0xad, 0xbe, 0xef};
    line_is(
        &(struct qtest_request){
            .verb = QTEST_WRITE, .address = 0x1000, .length = 4, .bytes = bytes},
        "b64write 0x1000 0x4 3q2+7w==\n");
    line_is(&(struct qtest_request){.verb = QTEST_READ, .address = 0, .length = 1},
            "b64read 0x0 0x1\n");
    line_is(&(struct qtest_request){.verb = QTEST_FILL, .address = 16, .length = 32, .value = 0xff},
            "memset 0x10 0x20 0xff\n");
    line_is(
        &(struct qtest_request){.verb = QTEST_STORE, .width = 8, .address = 8, .value = UINT64_MAX},
        "writeq 0x8 0xffffffffffffffff\n");
    line_is(&(struct qtest_request){.verb = QTEST_STORE, .width = 1, .address = 8},
            "writeb 0x8 0x0\n");
    line_is(&(struct qtest_request){.verb = QTEST_LOAD, .width = 2, .address = 8}, "readw 0x8\n");
    line_is(&(struct qtest_request){.verb = QTEST_OUT, .width = 4, .address = 0xfffc, .value = 1},
            "outl 0xfffc 0x1\n");
    line_is(&(struct qtest_request){.verb = QTEST_IN, .width = 1, .address = 0xffff},
            "inb 0xffff\n");
}
END_TEST

static bool answers(struct qtest_request *request, const char *line)
{
    return qtest_answer(request, line, strlen(line));
}

START_TEST(answers_are_taken_by_their_form_alone)
{
    uint8_t bytes[4];
    struct qtest_request write = {.verb = QTEST_WRITE, .length = 4, .bytes = bytes};
    struct qtest_request load = {.verb = QTEST_LOAD, .width = 2};
    struct qtest_request read = {.verb = QTEST_READ, .length = 4, .bytes = bytes};
    struct qtest_request order = {.verb = QTEST_ORDER};
    ck_assert(answers(&write, "OK"));
    ck_assert(!answers(&write, "OK "));
    ck_assert(!answers(&write, "O"));
    ck_assert(!answers(&write, ""));
    ck_assert(!answers(&write, "FAIL Unknown command 'x'"));
    ck_assert(answers(&load, "OK 0x0000000000001234"));
    ck_assert_uint_eq(load.value, 0x1234);
    ck_assert(answers(&load, "OK 0x0033"));
    ck_assert(!answers(&load, "OK 0x0000000000012345")); /* wider than asked */
    ck_assert(!answers(&load, "OK 0x00000000000012345"));
    ck_assert(!answers(&load, "OK 0x"));
    ck_assert(!answers(&load, "OK 0x12g4"));
    ck_assert(!answers(&load, "OK"));
    ck_assert(answers(&read, "OK 3q2+7w=="));
    ck_assert_mem_eq(bytes, "\xde\xad\xbe\xef", 4);
    ck_assert(!answers(&read, "OK 3q2+7w="));
    ck_assert(!answers(&read, "OK 3q2+7wAA"));
    ck_assert(!answers(&read, "OK 3q2+7!=="));
    ck_assert(!answers(&read, "OK ========"));
    ck_assert(answers(&order, "OK big") && order.value == 1);
    ck_assert(answers(&order, "OK little") && order.value == 0);
    ck_assert(!answers(&order, "OK middle"));
}
END_TEST

START_TEST(base64_comes_back)
{
    uint8_t bytes[256], back[256];
    char text[400];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167 + 3);
    for (size_t size = 0; size <= sizeof bytes; size++) {
        base64_encode(text, bytes, size);
        memset(back, 0, sizeof back);
        ck_assert(base64_decode(back, size, text, base64_length(size)));
        ck_assert_mem_eq(back, bytes, size);
        ck_assert(!base64_decode(back, size + 3, text, base64_length(size)));
    }
}
END_TEST

/* ---- the client ---- */

static struct stage {
    struct ev_loop *loop;
    char directory[64];
    struct endpoint endpoint;
    int listener, fd;
    struct buffer heard;
    struct qtest *qtest;
    unsigned closed;
    char reason[256];
    unsigned order[64], count; /* whose requests were answered, in order */
} stage;

static void on_closed(void *context, const char *reason)
{
    struct stage *s = context;
    s->closed++;
    snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static void open_stage(double timeout)
{
    char error[ENDPOINT_ERROR_SIZE], text[128];
    stage = (struct stage){.loop = ev_loop_new(EVFLAG_AUTO), .fd = -1};
    strcpy(stage.directory, "/tmp/test-qtest-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(stage.directory));
    snprintf(text, sizeof text, "unix:%s/qtest", stage.directory);
    ck_assert(endpoint_parse(&stage.endpoint, text, error));
    stage.listener = endpoint_listen(&stage.endpoint, error);
    ck_assert_msg(stage.listener >= 0, "%s", error);
    struct qtest_listener listener = {.context = &stage, .closed = on_closed};
    stage.qtest = qtest_new(stage.loop, timeout, &listener);
    ck_assert_ptr_nonnull(stage.qtest);
}

/* Run until nothing is left to do: a watcher that is left behind would hang here. */
static void play(task_fn *qemu, task_fn *client)
{
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "qemu", qemu, NULL));
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "client", client, NULL));
    ev_run(stage.loop, 0);
    ck_assert_uint_eq(task_count(), 0);
    if (stage.fd >= 0)
        close(stage.fd);
    qtest_free(stage.qtest);
    buffer_free(&stage.heard);
    close(stage.listener);
    endpoint_unlink(&stage.endpoint);
    ck_assert_int_eq(rmdir(stage.directory), 0);
    ev_loop_destroy(stage.loop);
}

static void say(const char *text)
{
    ck_assert_int_eq(write(stage.fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* The next line into line; false when the client has closed. Each is held to the grammar. */
static bool hear(char *line, size_t size)
{
    for (;;) {
        const char *text = (const char *)buffer_bytes(&stage.heard);
        const char *end = stage.heard.length ? memchr(text, '\n', stage.heard.length) : NULL;
        if (end) {
            size_t length = (size_t)(end - text);
            char *copy = strndup(text, length);
            ck_assert_msg(command(copy), "'%.100s'", copy);
            snprintf(line, size, "%s", copy);
            free(copy);
            buffer_consume(&stage.heard, length + 1);
            return true;
        }
        ck_assert_int_ne(task_wait_fd(stage.fd, EV_READ, 10), 0);
        ssize_t got = buffer_read_fd(&stage.heard, stage.fd, 65536);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return false;
        ck_assert(got > 0 || errno == EAGAIN);
    }
}

static void accept_client(void)
{
    char line[64];
    ck_assert_int_eq(task_wait_fd(stage.listener, EV_READ, 10), EV_READ);
    stage.fd = endpoint_accept(stage.listener);
    ck_assert_int_ge(stage.fd, 0);
    ck_assert(hear(line, sizeof line));
    ck_assert_str_eq(line, "endianness");
}

static void connect_client(enum target_error expected)
{
    struct failure failure = {0};
    enum target_error error = qtest_connect(stage.qtest, &stage.endpoint, &failure);
    ck_assert_int_eq(error, expected);
    ck_assert_int_eq(expected != TARGET_OK, failure.text[0] != 0);
}

static void qemu_answers_stores(void *arg)
{
    char line[64];
    (void)arg;
    accept_client();
    say("OK big\n");
    while (hear(line, sizeof line))
        say("OK\n");
}

static unsigned callers;

static void caller(void *arg)
{
    unsigned who = *(unsigned *)arg;
    struct qtest_request requests[300];
    for (size_t i = 0; i < 300; i++)
        requests[i] = (struct qtest_request){.verb = QTEST_STORE, .width = 4, .address = 4 * i};
    size_t count = who == 0 ? 300 : 2;
    ck_assert_int_eq(qtest_run(stage.qtest, requests, count), TARGET_OK);
    for (size_t i = 0; i < count; i++)
        ck_assert(requests[i].done);
    stage.order[stage.count++] = who;
    if (--callers == 0)
        qtest_close(stage.qtest);
}

static unsigned numbers[] = {0, 1, 2};

static void client_of_three(void *arg)
{
    (void)arg;
    connect_client(TARGET_OK);
    ck_assert(qtest_big_endian(stage.qtest));
    callers = 3;
    for (size_t i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "caller", caller, &numbers[i]));
}

START_TEST(callers_take_turns)
{
    open_stage(5);
    play(qemu_answers_stores, client_of_three);
    ck_assert_uint_eq(stage.count, 3);
    ck_assert_uint_eq(stage.order[2], 0); /* the long one does not hold up the others */
    ck_assert_uint_eq(stage.closed, 0);
}
END_TEST

static const char *misfortune; /* what is said in place of the second answer; NULL: nothing */
static bool hang_up;

static void qemu_of_misfortune(void *arg)
{
    char line[64];
    (void)arg;
    accept_client();
    say("OK little\n");
    ck_assert(hear(line, sizeof line));
    say("OK\n");
    ck_assert(hear(line, sizeof line));
    if (misfortune)
        say(misfortune);
    if (hang_up) {
        close(stage.fd);
        stage.fd = -1;
        return;
    }
    while (hear(line, sizeof line))
        ;
}

static void client_of_misfortune(void *arg)
{
    struct qtest_request requests[3];
    (void)arg;
    connect_client(TARGET_OK);
    for (size_t i = 0; i < 3; i++)
        requests[i] = (struct qtest_request){.verb = QTEST_OUT, .width = 1, .address = 0x80};
    ck_assert_int_eq(qtest_run(stage.qtest, requests, 3), TARGET_GONE);
    ck_assert(requests[0].done && !requests[1].done && !requests[2].done);
    ck_assert(!qtest_connected(stage.qtest));
    ck_assert_int_eq(qtest_run(stage.qtest, requests, 1), TARGET_GONE);
    ck_assert_uint_eq(stage.closed, 1);
}

START_TEST(misfortunes_end_it)
{
    static const char *const said[] = {NULL, "FAIL Unknown command 'outb'\n", "OK 0x12\n", "\n",
                                       "IRQ raise 1\n"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        open_stage(5);
        misfortune = said[i];
        hang_up = said[i] == NULL;
        play(qemu_of_misfortune, client_of_misfortune);
        ck_assert(stage.reason[0] != 0);
    }
}
END_TEST

START_TEST(silence_ends_it)
{
    open_stage(0.2);
    misfortune = NULL;
    hang_up = false;
    play(qemu_of_misfortune, client_of_misfortune);
    ck_assert_ptr_nonnull(strstr(stage.reason, "no answer"));
}
END_TEST

/* Bytes come, answers do not. */
static void qemu_that_trickles(void *arg)
{
    char line[64];
    (void)arg;
    accept_client();
    say("OK little\n");
    ck_assert(hear(line, sizeof line));
    unsigned sent = 0;
    while (sent < 30 && send(stage.fd, "O", 1, MSG_NOSIGNAL) == 1) {
        sent++;
        task_sleep(0.05);
    }
    ck_assert_uint_lt(sent, 30); /* it was left meanwhile */
}

static void client_of_trickle(void *arg)
{
    struct qtest_request request = {.verb = QTEST_STORE, .width = 4};
    (void)arg;
    connect_client(TARGET_OK);
    ck_assert_int_eq(qtest_run(stage.qtest, &request, 1), TARGET_GONE);
    ck_assert(!request.done);
}

START_TEST(a_trickle_is_silence)
{
    open_stage(0.2);
    play(qemu_that_trickles, client_of_trickle);
    ck_assert_msg(strstr(stage.reason, "no answer within") != NULL, "%s", stage.reason);
}
END_TEST

/* Takes two, and talks to the one that says something. */
static void qemu_of_two(void *arg)
{
    char line[64];
    int first;
    (void)arg;
    ck_assert_int_eq(task_wait_fd(stage.listener, EV_READ, 10), EV_READ);
    first = endpoint_accept(stage.listener);
    ck_assert_int_ge(first, 0);
    accept_client();
    ck_assert_int_eq(task_wait_fd(first, EV_READ, 10), EV_READ);
    ck_assert_int_eq(read(first, line, sizeof line), 0); /* not left open: QEMU would wait for it */
    close(first);
    say("OK little\n");
    ck_assert(!hear(line, sizeof line));
}

static void later_client(void *arg)
{
    (void)arg;
    connect_client(TARGET_OK);
    qtest_close(stage.qtest);
}

static void client_with_a_later_one(void *arg)
{
    (void)arg;
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "later", later_client, NULL));
    connect_client(TARGET_GONE);
}

START_TEST(of_two_connects_the_later_goes_on)
{
    open_stage(5);
    play(qemu_of_two, client_with_a_later_one);
    ck_assert_uint_eq(stage.closed, 0);
}
END_TEST

static void qemu_that_is_left(void *arg)
{
    char byte;
    (void)arg;
    ck_assert_int_eq(task_wait_fd(stage.listener, EV_READ, 10), EV_READ);
    stage.fd = endpoint_accept(stage.listener);
    ck_assert_int_ge(stage.fd, 0);
    ck_assert_int_eq(task_wait_fd(stage.fd, EV_READ, 10), EV_READ);
    ck_assert_int_eq(read(stage.fd, &byte, 1), 0);
}

static void closer(void *arg)
{
    (void)arg;
    qtest_close(stage.qtest);
}

static void client_called_off(void *arg)
{
    (void)arg;
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "closer", closer, NULL));
    connect_client(TARGET_GONE);
    ck_assert(!qtest_connected(stage.qtest));
    qtest_close(stage.qtest);
}

START_TEST(a_close_calls_a_connect_off)
{
    open_stage(5);
    play(qemu_that_is_left, client_called_off);
    ck_assert_uint_eq(stage.closed, 0);
}
END_TEST

static void client_of_nonsense(void *arg)
{
    struct qtest_request requests[3] = {{.verb = QTEST_STORE, .width = 4},
                                        {.verb = QTEST_STORE, .width = 3},
                                        {.verb = QTEST_STORE, .width = 4}};
    (void)arg;
    connect_client(TARGET_OK);
    ck_assert_int_eq(qtest_run(stage.qtest, requests, 3), TARGET_INVALID);
    ck_assert(requests[0].done && !requests[1].done && !requests[2].done);
    ck_assert_int_eq(qtest_run(stage.qtest, requests + 1, 1), TARGET_INVALID);
    ck_assert_int_eq(qtest_run(stage.qtest, requests + 2, 1), TARGET_OK);
    ck_assert_int_eq(qtest_run(stage.qtest, requests, 0), TARGET_OK);
    qtest_close(stage.qtest);
}

START_TEST(what_cannot_be_said_is_not_sent)
{
    open_stage(5);
    play(qemu_answers_stores, client_of_nonsense);
    ck_assert_uint_eq(stage.closed, 0);
}
END_TEST

static void qemu_that_is_none(void *arg)
{
    char line[64];
    (void)arg;
    accept_client();
    say("SSH-2.0-OpenSSH\n");
    ck_assert(!hear(line, sizeof line));
}

static void client_of_none(void *arg)
{
    (void)arg;
    connect_client(TARGET_GONE);
    ck_assert(!qtest_connected(stage.qtest));
}

START_TEST(what_is_no_qtest_is_left)
{
    open_stage(5);
    play(qemu_that_is_none, client_of_none);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qtest");
    TCase *lines = tcase_create("lines");
    tcase_add_test(lines, every_line_is_one_that_qemu_takes);
    tcase_add_test(lines, lines_say_what_was_asked);
    tcase_add_test(lines, answers_are_taken_by_their_form_alone);
    tcase_add_test(lines, base64_comes_back);
    tcase_set_timeout(lines, 60);
    suite_add_tcase(suite, lines);
    TCase *client = tcase_create("client");
    tcase_add_test(client, callers_take_turns);
    tcase_add_test(client, misfortunes_end_it);
    tcase_add_test(client, silence_ends_it);
    tcase_add_test(client, a_trickle_is_silence);
    tcase_add_test(client, of_two_connects_the_later_goes_on);
    tcase_add_test(client, a_close_calls_a_connect_off);
    tcase_add_test(client, what_cannot_be_said_is_not_sent);
    tcase_add_test(client, what_is_no_qtest_is_left);
    tcase_set_timeout(client, 30);
    suite_add_tcase(suite, client);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
