/* The QMP client against a scripted monitor: a second task on the same loop, behind a unix socket.
 */
#include "upstream/link/qmp.h"

#include "base/buffer.h"
#include "base/endpoint.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/qmp_facts.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GREETING                                                                                   \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "             \
    "\"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"

/* What 7.2 has been seen to say before it. */
#define EARLY                                                                                      \
    "{\"timestamp\": {\"seconds\": 1795784528, \"microseconds\": 265865}, "                        \
    "\"event\": \"RESUME\"}\r\n"

/* One test: what both sides share. Nothing in it lives longer than the loop runs. */
static struct stage {
    struct ev_loop *loop;
    char directory[64];
    struct endpoint endpoint;
    int listener;
    int fd; /* the monitor's end */
    struct buffer heard;
    struct qmp *qmp;
    struct failure failure;
    /* what the listener was told */
    unsigned events, closed;
    char last_event[64], reason[256];
    json_int_t event_sum;
    bool disconnect_on_event;
    /* between the tasks of a test */
    unsigned answers;
    struct task_cond turn;
} stage;

static void on_event(void *context, const char *name, json_t *data)
{
    struct stage *s = context;
    s->events++;
    snprintf(s->last_event, sizeof s->last_event, "%s", name);
    s->event_sum += json_integer_value(json_object_get(data, "n"));
    if (s->disconnect_on_event)
        qmp_disconnect(s->qmp, "the test had enough");
}

static void on_closed(void *context, const char *reason)
{
    struct stage *s = context;
    s->closed++;
    ck_assert(!qmp_connected(s->qmp));
    snprintf(s->reason, sizeof s->reason, "%s", reason);
}

static void open_stage(double timeout)
{
    char error[ENDPOINT_ERROR_SIZE], text[128];
    stage = (struct stage){.loop = ev_loop_new(EVFLAG_AUTO), .fd = -1};
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    strcpy(stage.directory, "/tmp/test-qmp-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(stage.directory));
    snprintf(text, sizeof text, "unix:%s/qmp", stage.directory);
    ck_assert(endpoint_parse(&stage.endpoint, text, error));
    stage.listener = endpoint_listen(&stage.endpoint, error);
    ck_assert_msg(stage.listener >= 0, "%s", error);
    struct qmp_listener listener = {.context = &stage, .event = on_event, .closed = on_closed};
    stage.qmp = qmp_new(stage.loop, &stage.endpoint, timeout, &listener);
    ck_assert_ptr_nonnull(stage.qmp);
}

/* Run both sides until nothing is left to do: a watcher that is left behind would hang here. */
static void play(task_fn *monitor, task_fn *client)
{
    if (monitor)
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "monitor", monitor, NULL));
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "client", client, NULL));
    ev_run(stage.loop, 0);
    ck_assert_uint_eq(task_count(), 0);
    if (stage.fd >= 0)
        close(stage.fd);
    qmp_free(stage.qmp);
    buffer_free(&stage.heard);
    close(stage.listener);
    endpoint_unlink(&stage.endpoint);
    ck_assert_int_eq(rmdir(stage.directory), 0);
    ev_loop_destroy(stage.loop);
}

/* ---- the monitor's side ---- */

static void monitor_accept(void)
{
    ck_assert_int_eq(task_wait_fd(stage.listener, EV_READ, 10), EV_READ);
    stage.fd = endpoint_accept(stage.listener);
    ck_assert_int_ge(stage.fd, 0);
    buffer_clear(&stage.heard);
}

static void say_bytes(const char *bytes, size_t length)
{
    struct buffer out = {0};
    ck_assert(buffer_append(&out, bytes, length));
    while (out.length) {
        ssize_t sent = buffer_write_fd(&out, stage.fd);
        if (sent < 0 && errno == EAGAIN)
            ck_assert_int_ne(task_wait_fd(stage.fd, EV_WRITE, 10), 0);
        else if (sent < 0)
            break; /* the client has closed: the test sees why */
    }
    buffer_free(&out);
}

static void say(const char *text)
{
    say_bytes(text, strlen(text));
}

/* The client's next request, NULL when it has closed. */
static json_t *hear(void)
{
    for (;;) {
        const char *text = (const char *)buffer_bytes(&stage.heard);
        const char *end = memchr(text, '\n', stage.heard.length);
        if (end) {
            json_t *request = json_loadb(text, (size_t)(end - text), 0, NULL);
            ck_assert_ptr_nonnull(request);
            buffer_consume(&stage.heard, (size_t)(end - text) + 1);
            return request;
        }
        ck_assert_int_ne(task_wait_fd(stage.fd, EV_READ, 10), 0);
        ssize_t got = buffer_read_fd(&stage.heard, stage.fd, 4096);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return NULL;
        ck_assert(got > 0 || errno == EAGAIN);
    }
}

/* The id of the next request, which must be for that command. */
static json_int_t hear_command(const char *command)
{
    json_t *request = hear();
    ck_assert_msg(request != NULL, "closed instead of %s", command);
    ck_assert_str_eq(json_string_value(json_object_get(request, "execute")), command);
    ck_assert(json_is_integer(json_object_get(request, "id")));
    json_int_t id = json_integer_value(json_object_get(request, "id"));
    json_decref(request);
    return id;
}

static void answer(json_int_t id, const char *value)
{
    char text[512];
    snprintf(text, sizeof text, "{\"return\": %s, \"id\": %" JSON_INTEGER_FORMAT "}\r\n", value,
             id);
    say(text);
}

static void monitor_greet(void)
{
    monitor_accept();
    say(GREETING);
    answer(hear_command("qmp_capabilities"), "{}");
}

static void hear_close(void)
{
    json_t *more = hear();
    ck_assert_ptr_null(more);
    close(stage.fd);
    stage.fd = -1;
}

/* ---- the client's side ---- */

static void client_connect(void)
{
    enum target_error error = qmp_connect(stage.qmp, &stage.failure);
    ck_assert_msg(error == TARGET_OK, "%s", stage.failure.text);
    ck_assert(qmp_connected(stage.qmp));
}

static enum target_error execute(const char *command, json_t **result)
{
    failure_clear(&stage.failure);
    return qmp_execute(stage.qmp, command, NULL, result, &stage.failure);
}

/* The next call must be lost, for a reason that has those words in it. */
static void expect_gone(const char *words)
{
    json_t *result = (json_t *)&stage;
    enum target_error error = execute("query-status", &result);
    ck_assert_int_eq(error, TARGET_GONE);
    ck_assert_ptr_null(result);
    ck_assert_msg(strstr(stage.failure.text, words) != NULL, "'%s' is not in '%s'", words,
                  stage.failure.text);
    ck_assert_str_eq(stage.reason, stage.failure.text);
    ck_assert_uint_eq(stage.closed, 1);
    ck_assert(!qmp_connected(stage.qmp));
}

/* ---- what works ---- */

static void good_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    say("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"STOP\"}\r\n");
    answer(hear_command("query-status"), "{\"running\": false}");

    json_t *request = hear();
    json_t *arguments = json_object_get(request, "arguments");
    ck_assert_str_eq(json_string_value(json_object_get(arguments, "command-line")), "info status");
    ck_assert_int_eq(json_integer_value(json_object_get(arguments, "cpu-index")), 1);
    answer(json_integer_value(json_object_get(request, "id")), "\"VM status: paused\\r\\n\"");
    json_decref(request);
    request = hear();
    arguments = json_object_get(request, "arguments");
    ck_assert_ptr_null(json_object_get(arguments, "cpu-index"));
    answer(json_integer_value(json_object_get(request, "id")), "\"\"");
    json_decref(request);

    char text[256];
    snprintf(text, sizeof text,
             "{\"id\": %" JSON_INTEGER_FORMAT ", \"error\": {\"class\": \"CommandNotFound\", "
             "\"desc\": \"The command x has not been found\"}}\n",
             hear_command("x"));
    say(text);
    snprintf(text, sizeof text,
             "{\"id\": %" JSON_INTEGER_FORMAT ", \"error\": {\"class\": \"GenericError\", "
             "\"desc\": \"no such thing\"}}\n",
             hear_command("y"));
    say(text);
    hear_close();
}

static void good_client(void *arg)
{
    json_t *result;
    struct buffer text = {0};
    struct failure failure = {0};
    (void)arg;
    ck_assert_int_eq(execute("query-status", &result), TARGET_GONE); /* not yet connected */
    client_connect();
    client_connect(); /* nothing to do */
    ck_assert_int_eq(execute("query-status", &result), TARGET_OK);
    ck_assert(json_is_false(json_object_get(result, "running")));
    json_decref(result);
    ck_assert_uint_eq(stage.events, 1);
    ck_assert_str_eq(stage.last_event, "STOP");

    ck_assert(buffer_append(&text, "> ", 2));
    ck_assert_int_eq(qmp_hmp(stage.qmp, 1, "info status", &text, &failure), TARGET_OK);
    ck_assert_str_eq((const char *)buffer_bytes(&text), "> VM status: paused\r\n");
    ck_assert_uint_eq(text.length, 21);
    buffer_free(&text);
    ck_assert_int_eq(qmp_hmp(stage.qmp, -1, "o /b 0x80 0x1", &text, &failure), TARGET_OK);
    ck_assert_uint_eq(text.length, 0);
    ck_assert_str_eq((const char *)buffer_bytes(&text), "");

    ck_assert_int_eq(execute("x", &result), TARGET_UNSUPPORTED);
    ck_assert_ptr_null(result);
    ck_assert_int_eq(qmp_execute(stage.qmp, "y", json_object(), NULL, &failure), TARGET_FAILED);
    ck_assert_str_eq(failure.text, "no such thing");
    /* no text, never sent */
    ck_assert_int_eq(execute("\xff", &result), TARGET_INVALID);
    ck_assert_int_eq(qmp_hmp(stage.qmp, 0, "\xc3", &text, &failure), TARGET_INVALID);
    buffer_free(&text);
    qmp_disconnect(stage.qmp, "bye");
    ck_assert_uint_eq(stage.closed, 1);
    ck_assert_str_eq(stage.reason, "bye");
    qmp_disconnect(stage.qmp, "bye again");
    ck_assert_uint_eq(stage.closed, 1);
}

START_TEST(works)
{
    open_stage(10);
    play(good_monitor, good_client);
}
END_TEST

/* ---- what it says of itself ---- */

/* What is asked, the answer, and what is made of it: NULL is no fact. */
static const struct fact {
    const char *command, *answer, *told;
} facts[] = {
    {"query-version", "{\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}",
     "7.2.22"},
    {"query-version", "{\"qemu\": {\"micro\": 1, \"minor\": 2, \"major\": \"7\"}}", NULL},
    {"query-version", "{\"qemu\": {\"micro\": -1, \"minor\": 2, \"major\": 7}}", NULL},
    {"query-version", "{\"qemu\": {\"micro\": 1, \"minor\": 2, \"major\": 99999999999}}", NULL},
    {"query-version", "[1]", NULL},
    {"query-status", "{\"running\": false, \"status\": \"prelaunch\"}", "prelaunch"},
    {"query-status", "{\"running\": false}", NULL},
    {"query-status", "{\"status\": \"a word that is longer than the room for it is\"}", NULL},
    {"query-kvm", "{\"enabled\": true, \"present\": true}", "yes"},
    {"query-kvm", "{\"enabled\": false, \"present\": true}", "no"},
    {"query-kvm", "{\"enabled\": \"false\"}", NULL},
    {"query-chardev",
     "[{\"label\": \"a\", \"filename\": \"x\"}, 1, {\"label\": \"ours\", \"filename\": "
     "\"unix:y\"}]",
     "unix:y"},
    {"query-chardev", "[{\"label\": \"a\", \"filename\": \"x\"}, {\"filename\": \"z\"}]", ""},
    {"query-chardev", "[{\"label\": \"ours\"}]", NULL},
    {"query-chardev", "[{\"label\": \"ours\", \"filename\": 1}]", NULL},
    {"query-chardev", "{}", NULL},
};
static const struct fact *fact;

static bool ask_fact(struct qmp *qmp, char *text, size_t size)
{
    bool enabled = false;
    if (strcmp(fact->command, "query-version") == 0)
        return qmp_facts_version(qmp, text, size);
    if (strcmp(fact->command, "query-status") == 0)
        return qmp_facts_status(qmp, text, size);
    if (strcmp(fact->command, "query-chardev") == 0)
        return qmp_facts_chardev(qmp, "ours", text, size);
    bool told = qmp_facts_kvm(qmp, &enabled);
    if (told)
        snprintf(text, size, "%s", enabled ? "yes" : "no");
    return told;
}

static void facts_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    answer(hear_command(fact->command), fact->answer);
    hear_close();
}

static void facts_client(void *arg)
{
    char text[24] = "as before";
    (void)arg;
    ck_assert(!ask_fact(NULL, text, sizeof text));
    ck_assert(!ask_fact(stage.qmp, text, sizeof text)); /* not connected */
    client_connect();
    ck_assert_int_eq(ask_fact(stage.qmp, text, sizeof text), fact->told != NULL);
    if (fact->told)
        ck_assert_str_eq(text, fact->told);
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(tells_facts)
{
    fact = &facts[_i];
    open_stage(10);
    play(facts_monitor, facts_client);
}
END_TEST

/* ---- many tasks at once, answers in any order, events in between ---- */

#define CALLERS 20

static void shuffling_monitor(void *arg)
{
    json_int_t ids[CALLERS];
    (void)arg;
    monitor_greet();
    for (int i = 0; i < CALLERS; i++) {
        char command[16];
        snprintf(command, sizeof command, "call-%d", i); /* in the order of the calls */
        ids[i] = hear_command(command);
    }
    for (int i = 0; i < CALLERS; i++) {
        int which = (i * 7 + 3) % CALLERS;
        char number[16];
        say("{\"event\": \"TICK\", \"data\": {\"n\": 1}}\n");
        snprintf(number, sizeof number, "%d", which);
        answer(ids[which], number);
    }
    hear_close();
}

static void one_of_many(void *arg)
{
    int number = (int)(intptr_t)arg;
    char command[16];
    json_t *result;
    client_connect(); /* the first connects, the others wait for it */
    snprintf(command, sizeof command, "call-%d", number);
    ck_assert_int_eq(execute(command, &result), TARGET_OK);
    ck_assert_int_eq(json_integer_value(result), number);
    json_decref(result);
    if (++stage.answers == CALLERS)
        qmp_disconnect(stage.qmp, "all answered");
}

static void many_clients(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLERS; i++)
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "caller", one_of_many, (void *)(intptr_t)i));
}

START_TEST(answers_out_of_order)
{
    open_stage(10);
    play(shuffling_monitor, many_clients);
    ck_assert_uint_eq(stage.answers, CALLERS);
    ck_assert_int_eq(stage.event_sum, CALLERS);
}
END_TEST

static void flooding_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    json_int_t id = hear_command("query-status");
    for (int i = 0; i < 20000; i++)
        say("{\"event\": \"FLOOD\", \"data\": {\"n\": 1, \"text\": \"\\\"{[,\\\\\"}}\r\n");
    answer(id, "{}");
    hear_close();
}

static void flooded_client(void *arg)
{
    (void)arg;
    client_connect();
    ck_assert_int_eq(execute("query-status", NULL), TARGET_OK);
    ck_assert_uint_eq(stage.events, 20000);
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(event_flood)
{
    open_stage(10);
    play(flooding_monitor, flooded_client);
}
END_TEST

/* Bytes come one at a time, and all together. */
static void dripping_monitor(void *arg)
{
    static const char greeting[] = GREETING;
    (void)arg;
    monitor_accept();
    for (size_t i = 0; i + 1 < sizeof greeting; i++) {
        say_bytes(greeting + i, 1);
        task_sleep(0);
    }
    hear_command("qmp_capabilities");
    say("{\"return\": {}, \"id\": 1}\r\n{\"event\": \"A\"}\n{\"event\": \"B\"}\n{\"event\"");
    hear_command("query-status");
    say(": \"C\"}\n{\"return\": {}, \"id\": 2}\n");
    hear_close();
}

static void dripped_client(void *arg)
{
    (void)arg;
    client_connect();
    ck_assert_int_eq(execute("query-status", NULL), TARGET_OK);
    ck_assert_uint_eq(stage.events, 3);
    ck_assert_str_eq(stage.last_event, "C");
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(fragments)
{
    open_stage(10);
    play(dripping_monitor, dripped_client);
}
END_TEST

/* ---- misfortunes after the greeting: what is said in place of an answer, and what comes of it
 * ---- */

static const struct misfortune {
    const char *said;
    const char *reason;
} misfortunes[] = {
    {"garbage\n", "invalid JSON 'garbage'"},
    {"\n", "invalid JSON"},
    {"\r\n", "invalid JSON"},
    {"{\"return\": {}, \"id\": 2\n", "invalid JSON"},
    {"{\"return\": {}, \"id\": 2} {}\n", "invalid JSON"},
    {"{\"return\": \"\\u0000\", \"id\": 2}\n", "invalid JSON"},
    {"{\"return\": \"\xff\", \"id\": 2}\n", "invalid JSON"},
    {"{\n  \"return\": {}\n}\n", "pretty=on"},
    {"[]\n", "no object"},
    {"\"return\"\n", "invalid JSON"},
    {"{}\n", "neither answer nor event"},
    {"{\"QMP\": {}}\n", "neither answer nor event"},
    {"{\"return\": {}}\n", "without id"},
    {"{\"return\": {}, \"id\": \"2\"}\n", "without id"},
    {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"QMP input\"}}\n",
     "without id: QMP input"},
    {"{\"return\": {}, \"id\": 3}\n", "not made (id 3)"},
    {"{\"return\": {}, \"id\": 1}\n", "not made (id 1)"},
    {"{\"return\": {}, \"id\": 0}\n", "not made (id 0)"},
    {"{\"return\": {}, \"id\": -2}\n", "not made (id -2)"},
    {"{\"return\": {}, \"id\": 99999999999999999999}\n", "invalid JSON"},
    {"{\"error\": {}, \"id\": 2}\n", "without class"},
    {"{\"error\": \"no\", \"id\": 2}\n", "without class"},
    {"{\"event\": 7}\n", "malformed event"},
    {"{\"event\": \"STOP\", \"data\": []}\n", "malformed event"},
    {"{\"return\": {}, \"id\"", "in the middle of a message"},
    {"", "closed the connection"},
};

static size_t misfortune;

static void unfortunate_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    ck_assert_int_eq(hear_command("query-status"), 2);
    say(misfortunes[misfortune].said);
    if (!strchr(misfortunes[misfortune].said, '\n')) {
        close(stage.fd);
        stage.fd = -1;
    } else {
        hear_close();
    }
}

static void unfortunate_client(void *arg)
{
    (void)arg;
    client_connect();
    expect_gone(misfortunes[misfortune].reason);
    /* and it stays so */
    ck_assert_int_eq(execute("query-status", NULL), TARGET_GONE);
    ck_assert_ptr_nonnull(strstr(stage.failure.text, misfortunes[misfortune].reason));
}

START_TEST(misfortune_after_greeting)
{
    misfortune = (size_t)_i;
    open_stage(10);
    play(unfortunate_monitor, unfortunate_client);
}
END_TEST

/* ---- what is no monitor ---- */

static const struct misfortune greetings[] = {
    {"QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ",
     "began with 'QEMU 7.2.22"},
    {"{\"QMP\": 7}\n", "did not begin with a greeting"},
    {"{\"event\": \"STOP\"}\n", "did not begin with a greeting"},
    {"{\"event\": 7, \"timestamp\": {}}\n", "did not begin with a greeting"},
    {"{\"event\": \"STOP\", \"timestamp\": 7}\n", "did not begin with a greeting"},
    {EARLY "{\"QMP\": 7}\n", "did not begin with a greeting"},
    {"{\"return\": {}, \"id\": 0}\n", "did not begin with a greeting"},
    {"[\"QMP\"]\n", "no object"},
    {"\033[31mred\n", "began with '?[31mred'"},
    {"", "closed the connection"},
    {"{\"QMP\"", "in the middle of a message"},
};

static void no_monitor(void *arg)
{
    (void)arg;
    monitor_accept();
    say(greetings[misfortune].said);
    if (!strchr(greetings[misfortune].said, '\n')) {
        close(stage.fd);
        stage.fd = -1;
    } else {
        hear_close();
    }
}

static void refusing_client(void *arg)
{
    (void)arg;
    ck_assert_int_eq(qmp_connect(stage.qmp, &stage.failure), TARGET_GONE);
    ck_assert_msg(strstr(stage.failure.text, greetings[misfortune].reason) != NULL, "%s",
                  stage.failure.text);
    ck_assert(!qmp_connected(stage.qmp));
    ck_assert_uint_eq(stage.closed, 0); /* it never was up */
}

/* An event that came before the greeting is nobody's. */
static void eager_monitor(void *arg)
{
    (void)arg;
    monitor_accept();
    say(EARLY EARLY GREETING);
    hear_command("qmp_capabilities");
    say("{\"return\": {}, \"id\": 1}\r\n");
    hear_close();
}

static void greeted_client(void *arg)
{
    (void)arg;
    client_connect();
    ck_assert_uint_eq(stage.events, 0);
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(events_before_the_greeting)
{
    open_stage(10);
    play(eager_monitor, greeted_client);
}
END_TEST

START_TEST(wrong_greeting)
{
    misfortune = (size_t)_i;
    open_stage(10);
    play(no_monitor, refusing_client);
}
END_TEST

static void refusing_monitor(void *arg)
{
    (void)arg;
    monitor_accept();
    say(GREETING);
    hear_command("qmp_capabilities");
    say("{\"id\": 1, \"error\": {\"class\": \"GenericError\", \"desc\": \"not today\"}}\n");
    hear_close();
}

static void refused_client(void *arg)
{
    (void)arg;
    ck_assert_int_eq(qmp_connect(stage.qmp, &stage.failure), TARGET_GONE);
    ck_assert_str_eq(stage.failure.text, "not today");
    ck_assert_uint_eq(stage.closed, 0);
}

START_TEST(negotiation_refused)
{
    open_stage(10);
    play(refusing_monitor, refused_client);
}
END_TEST

/* Nobody accepts: another client holds the monitor. */
static void unheard_client(void *arg)
{
    (void)arg;
    ck_assert_int_eq(qmp_connect(stage.qmp, &stage.failure), TARGET_GONE);
    ck_assert_msg(strstr(stage.failure.text, "is another client connected") != NULL, "%s",
                  stage.failure.text);
}

START_TEST(no_greeting)
{
    open_stage(0.05);
    play(NULL, unheard_client);
}
END_TEST

/* Events and no greeting are as good as silence. */
static void chatting_monitor(void *arg)
{
    (void)arg;
    monitor_accept();
    while (stage.failure.text[0] == '\0') {
        say(EARLY);
        task_sleep(0.001);
    }
}

START_TEST(events_in_place_of_a_greeting)
{
    open_stage(0.05);
    play(chatting_monitor, unheard_client);
}
END_TEST

static void unreachable_client(void *arg)
{
    (void)arg;
    ck_assert_int_eq(qmp_connect(stage.qmp, &stage.failure), TARGET_GONE);
    ck_assert_msg(strstr(stage.failure.text, stage.directory) != NULL, "%s", stage.failure.text);
    ck_assert_uint_eq(stage.closed, 0);
}

START_TEST(unreachable)
{
    open_stage(10);
    close(stage.listener);
    endpoint_unlink(&stage.endpoint);
    stage.listener = dup(STDERR_FILENO);
    play(NULL, unreachable_client);
}
END_TEST

/* ---- silence ---- */

/* Events do not count as an answer: a monitor that only ticks is as good as dead. */
static void ticking_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    hear_command("query-status");
    while (!stage.closed) {
        say("{\"event\": \"TICK\"}\n");
        task_sleep(0.01);
    }
}

static void silenced_client(void *arg)
{
    (void)arg;
    client_connect();
    expect_gone("timed out");
}

START_TEST(silence)
{
    open_stage(0.5);
    play(ticking_monitor, silenced_client);
}
END_TEST

/* Silence while nobody waits is no fault: the clock does not run. */
static void patient_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    answer(hear_command("query-status"), "{}");
    hear_close();
}

static void patient_client(void *arg)
{
    (void)arg;
    client_connect();
    task_sleep(0.8); /* longer than the time-out */
    ck_assert_int_eq(execute("query-status", NULL), TARGET_OK);
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(idle)
{
    open_stage(0.5);
    play(patient_monitor, patient_client);
}
END_TEST

/* ---- too much ---- */

static void endless_monitor(void *arg)
{
    static char block[1 << 20];
    (void)arg;
    monitor_greet();
    hear_command("query-status");
    memset(block, 'x', sizeof block);
    for (size_t said = 0; said <= QMP_LINE_MAX + sizeof block && !stage.closed;
         said += sizeof block)
        say_bytes(block, sizeof block);
    hear_close();
}

static void endless_client(void *arg)
{
    (void)arg;
    client_connect();
    expect_gone("a line of more than");
}

START_TEST(endless_line)
{
    open_stage(10);
    play(endless_monitor, endless_client);
}
END_TEST

/* The longest line is taken. */
static void long_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    json_int_t id = hear_command("human-monitor-command");
    char *line = malloc(QMP_LINE_MAX + 2), tail[32];
    int used = sprintf(line, "{\"return\": \"");
    int length = sprintf(tail, "\", \"id\": %" JSON_INTEGER_FORMAT "}\r\n", id);
    memset(line + used, 'x', QMP_LINE_MAX + 2 - (size_t)used);
    memcpy(line + QMP_LINE_MAX + 2 - (size_t)length, tail, (size_t)length);
    say_bytes(line, QMP_LINE_MAX + 2);
    free(line);
    hear_close();
}

static void long_client(void *arg)
{
    struct buffer text = {0};
    (void)arg;
    client_connect();
    enum target_error error = qmp_hmp(stage.qmp, -1, "info", &text, &stage.failure);
    ck_assert_msg(error == TARGET_OK, "%s", stage.failure.text);
    ck_assert_uint_gt(text.length, QMP_LINE_MAX - 64);
    buffer_free(&text);
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(longest_line)
{
    open_stage(60);
    play(long_monitor, long_client);
}
END_TEST

static void crowded_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    hear_command("query-status");
    struct buffer line = {0};
    ck_assert(buffer_append(&line, "{\"return\": [0", 13));
    for (size_t i = 0; i < QMP_VALUES_MAX; i++)
        ck_assert(buffer_append(&line, ",{}", 3));
    ck_assert(buffer_append(&line, "], \"id\": 2}\n", 12));
    say_bytes((const char *)buffer_bytes(&line), line.length);
    buffer_free(&line);
    hear_close();
}

static void crowded_client(void *arg)
{
    (void)arg;
    client_connect();
    expect_gone("values");
}

START_TEST(too_many_values)
{
    open_stage(10);
    play(crowded_monitor, crowded_client);
}
END_TEST

static void deep_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    hear_command("query-status");
    char *line = malloc(60001);
    memset(line, '[', 60000);
    line[60000] = '\n';
    say_bytes(line, 60001);
    free(line);
    hear_close();
}

static void deep_client(void *arg)
{
    (void)arg;
    client_connect();
    expect_gone("invalid JSON");
}

START_TEST(too_deep)
{
    open_stage(10);
    play(deep_monitor, deep_client);
}
END_TEST

/* The answer to a monitor command must be text. */
static void textless_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    answer(hear_command("human-monitor-command"), "{}");
    hear_close();
}

static void textless_client(void *arg)
{
    struct buffer text = {0};
    (void)arg;
    client_connect();
    ck_assert_int_eq(qmp_hmp(stage.qmp, 0, "info", &text, &stage.failure), TARGET_FAILED);
    ck_assert_uint_eq(text.length, 0);
    ck_assert(qmp_connected(stage.qmp));
    qmp_disconnect(stage.qmp, "done");
}

START_TEST(no_text)
{
    open_stage(10);
    play(textless_monitor, textless_client);
}
END_TEST

/* ---- closing while others wait; connecting again ---- */

static void lost_caller(void *arg)
{
    struct failure failure = {0};
    (void)arg;
    ck_assert_int_eq(qmp_execute(stage.qmp, "wait", NULL, NULL, &failure), TARGET_GONE);
    ck_assert_str_eq(failure.text, "the test had enough");
    ck_assert_uint_eq(stage.closed, 1); /* the listener knew it first */
    if (++stage.answers == 3)
        task_cond_broadcast(&stage.turn);
}

static void closing_client(void *arg)
{
    (void)arg;
    client_connect();
    stage.disconnect_on_event = true;
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "caller", lost_caller, NULL));
    ck_assert(task_cond_wait(&stage.turn, 10));
    stage.disconnect_on_event = false;
    client_connect(); /* again */
    ck_assert_int_eq(execute("query-status", NULL), TARGET_OK);
    qmp_disconnect(stage.qmp, "done");
    ck_assert_uint_eq(stage.closed, 2);
}

static void closing_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    for (int i = 0; i < 3; i++)
        hear_command("wait");
    /* what follows the event in the same packet must not be looked at any more */
    say("{\"event\": \"ENOUGH\"}\ngarbage\n{\"return\": {}, \"id\": 2}\n");
    hear_close();
    monitor_greet();
    answer(hear_command("query-status"), "{}");
    hear_close();
}

START_TEST(close_and_connect_again)
{
    open_stage(10);
    play(closing_monitor, closing_client);
    ck_assert_uint_eq(stage.answers, 3);
}
END_TEST

/* Freed while calls wait, one for an answer, one for the greeting. */
static void orphan(void *arg)
{
    struct failure failure = {0};
    (void)arg;
    ck_assert_int_eq(qmp_execute(stage.qmp, "wait", NULL, NULL, &failure), TARGET_GONE);
    ck_assert_uint_eq(stage.closed, 0);
    stage.answers++;
}

static void freeing_client(void *arg)
{
    (void)arg;
    client_connect();
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "orphan", orphan, NULL));
    ck_assert(task_cond_wait(&stage.turn, 10));
    qmp_free(stage.qmp);
    stage.qmp = NULL;
}

static void freeing_monitor(void *arg)
{
    (void)arg;
    monitor_greet();
    hear_command("wait");
    task_cond_broadcast(&stage.turn);
    hear_close();
}

START_TEST(freed_while_waiting)
{
    open_stage(10);
    play(freeing_monitor, freeing_client);
    ck_assert_uint_eq(stage.answers, 1);
}
END_TEST

static void connecting_orphan(void *arg)
{
    struct failure failure = {0};
    (void)arg;
    ck_assert_int_eq(qmp_connect(stage.qmp, &failure), TARGET_GONE);
    ck_assert_str_eq(failure.text, "called off");
    stage.answers++;
}

static void hasty_client(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) /* the second waits for the first */
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "orphan", connecting_orphan, NULL));
    ck_assert(task_cond_wait(&stage.turn, 10));
    qmp_free(stage.qmp);
    stage.qmp = NULL;
}

static void slow_monitor(void *arg)
{
    (void)arg;
    monitor_accept();
    task_cond_broadcast(&stage.turn);
    hear_close();
}

START_TEST(freed_while_connecting)
{
    open_stage(10);
    play(slow_monitor, hasty_client);
    ck_assert_uint_eq(stage.answers, 2);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("qmp");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, works);
    tcase_add_loop_test(tcase, tells_facts, 0, (int)(sizeof facts / sizeof facts[0]));
    tcase_add_test(tcase, answers_out_of_order);
    tcase_add_test(tcase, event_flood);
    tcase_add_test(tcase, fragments);
    tcase_add_loop_test(tcase, misfortune_after_greeting, 0,
                        (int)(sizeof misfortunes / sizeof misfortunes[0]));
    tcase_add_loop_test(tcase, wrong_greeting, 0, (int)(sizeof greetings / sizeof greetings[0]));
    tcase_add_test(tcase, events_before_the_greeting);
    tcase_add_test(tcase, events_in_place_of_a_greeting);
    tcase_add_test(tcase, negotiation_refused);
    tcase_add_test(tcase, no_greeting);
    tcase_add_test(tcase, unreachable);
    tcase_add_test(tcase, silence);
    tcase_add_test(tcase, idle);
    tcase_add_test(tcase, endless_line);
    tcase_add_test(tcase, longest_line);
    tcase_add_test(tcase, too_many_values);
    tcase_add_test(tcase, too_deep);
    tcase_add_test(tcase, no_text);
    tcase_add_test(tcase, close_and_connect_again);
    tcase_add_test(tcase, freed_while_waiting);
    tcase_add_test(tcase, freed_while_connecting);
    Suite *suite = suite_create("qmp");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
