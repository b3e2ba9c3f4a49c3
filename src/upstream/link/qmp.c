/* Hides QMP's messages, and which of them answers which call. */
#include "upstream/link/qmp.h"

#include "base/buffer.h"
#include "base/endpoint.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/stream.h"
#include "base/task.h"
#include "upstream/link/process.h"
#include "upstream/link/text.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* A call that waits, on its task's stack. */
struct waiter {
    struct waiter *prev, *next;
    struct task *task;
    uint64_t id; /* 0: the greeting */
    bool done;
    enum target_error error;
    json_t *result;
    struct failure *failure; /* the caller's */
};

struct qmp {
    struct stream stream; /* an answer is owed while anybody waits */
    struct endpoint endpoint;
    struct qmp_listener listener;
    bool greeted;
    bool ready;                /* capabilities are negotiated */
    struct task_mutex opening; /* held by the task that connects */
    uint64_t last_id;
    uint64_t heard;         /* lines that have come */
    struct waiter *waiters; /* in the order of their requests */
    size_t users;           /* calls under way */
    bool freed;
};

static void waiter_finish(struct qmp *qmp, struct waiter *waiter, enum target_error error)
{
    DL_DELETE(qmp->waiters, waiter);
    waiter->error = error;
    waiter->done = true;
    task_wake(waiter->task);
    if (!qmp->waiters)
        stream_owe(&qmp->stream, false);
}

static void on_failed(void *context)
{
    struct qmp *qmp = context;
    const char *reason = qmp->stream.reason;
    bool was_ready = qmp->ready;
    struct waiter *waiter, *next;

    stream_close(&qmp->stream);
    qmp->greeted = qmp->ready = false;
    DL_FOREACH_SAFE(qmp->waiters, waiter, next)
    {
        waiter_finish(qmp, waiter, failure_set(waiter->failure, TARGET_GONE, "%s", reason));
    }
    log_debug("target", "qmp: closed: %s", reason);
    if (was_ready && qmp->listener.closed && !qmp->freed)
        qmp->listener.closed(qmp->listener.context, reason);
}

static void on_silent(void *context)
{
    struct qmp *qmp = context;
    if (qmp->greeted)
        stream_fail(&qmp->stream, "timed out: the monitor has not answered for %g s",
                    qmp->stream.timeout);
    else
        stream_fail(&qmp->stream,
                    "timed out: no greeting from the monitor within %g s; is another client "
                    "connected to it?",
                    qmp->stream.timeout);
}

/* Does the line promise more values than anyone should make? Counted before anything is allocated.
 */
static bool too_many_values(const char *text, size_t length)
{
    size_t count = 0;
    bool string = false;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (string && c == '\\')
            i++;
        else if (c == '"')
            string = !string;
        else if (!string && (c == ',' || c == ':' || c == '[' || c == '{'))
            count++;
    }
    return count > QMP_VALUES_MAX;
}

/* An answer: {"return": …, "id": n} or {"error": {"class": "…", "desc": "…"}, "id": n} */
static void take_answer(struct qmp *qmp, json_t *object)
{
    json_t *id = json_object_get(object, "id"), *error = json_object_get(object, "error");
    const char *class = json_string_value(json_object_get(error, "class"));
    const char *text = json_string_value(json_object_get(error, "desc"));
    char shown[TEXT_EXCERPT_SIZE] = "";
    struct waiter *waiter;

    if (error && (!class || !text)) {
        stream_fail(&qmp->stream, "the monitor sent an error without class or description");
        return;
    }
    if (text)
        text_excerpt(text, strlen(text), shown);
    if (!json_is_integer(id)) {
        /* QEMU answers so what it cannot parse */
        stream_fail(&qmp->stream, "the monitor sent an answer without id%s%s", text ? ": " : "",
                    shown);
        return;
    }
    DL_FOREACH(qmp->waiters, waiter)
    {
        if (waiter->id != 0 && json_integer_value(id) == (json_int_t)waiter->id)
            break;
    }
    if (!waiter) {
        stream_fail(&qmp->stream,
                    "the monitor answered a request that was not made (id %" JSON_INTEGER_FORMAT
                    ")",
                    json_integer_value(id));
        return;
    }
    if (qmp->waiters->next)
        stream_heard(&qmp->stream);
    if (error) {
        enum target_error code =
            strcmp(class, "CommandNotFound") == 0 ? TARGET_UNSUPPORTED : TARGET_FAILED;
        waiter_finish(qmp, waiter, failure_set(waiter->failure, code, "%s", text));
        return;
    }
    waiter->result = json_incref(json_object_get(object, "return"));
    waiter_finish(qmp, waiter, TARGET_OK);
}

/* An event in all that QEMU's own have. */
static bool is_stamped_event(const json_t *object)
{
    return json_is_string(json_object_get(object, "event")) &&
           json_is_object(json_object_get(object, "timestamp"));
}

/* Only qmp_connect waits for the greeting. QEMU accepts a connection before it greets, and an event
 * of another of its threads may get in between: a guest's start, seen with 7.2, once in some 200
 * times. It is about the past. */
static void take_greeting(struct qmp *qmp, json_t *object)
{
    if (is_stamped_event(object))
        return;
    if (!json_is_object(json_object_get(object, "QMP"))) {
        stream_fail(&qmp->stream, "this is no QMP monitor: it did not begin with a greeting");
        return;
    }
    qmp->greeted = true;
    if (qmp->waiters)
        waiter_finish(qmp, qmp->waiters, TARGET_OK);
}

static void take_message(struct qmp *qmp, json_t *object)
{
    json_t *event = json_object_get(object, "event");
    if (!qmp->greeted) {
        take_greeting(qmp, object);
    } else if (event) {
        json_t *data = json_object_get(object, "data");
        if (!json_is_string(event) || (data && !json_is_object(data))) {
            stream_fail(&qmp->stream, "the monitor sent a malformed event");
            return;
        }
        if (qmp->listener.event && !qmp->freed)
            qmp->listener.event(qmp->listener.context, json_string_value(event), data);
    } else if (json_object_get(object, "return") || json_object_get(object, "error")) {
        take_answer(qmp, object);
    } else {
        stream_fail(&qmp->stream, "the monitor sent a message that is neither answer nor event");
    }
}

static void take_line(struct qmp *qmp, const char *text, size_t length)
{
    json_error_t error;
    json_t *object;
    char shown[TEXT_EXCERPT_SIZE];

    log_trace("target", "qmp < %.*s", length < 2000 ? (int)length : 2000, text);
    if (too_many_values(text, length)) {
        stream_fail(&qmp->stream, "the monitor sent a message of more than %zu values",
                    QMP_VALUES_MAX);
        return;
    }
    object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        if (length == 1 && text[0] == '{')
            stream_fail(&qmp->stream, "the monitor spreads its messages over lines (pretty=on)");
        else if (!qmp->greeted)
            stream_fail(&qmp->stream, "this is no QMP monitor: it began with '%s'",
                        text_excerpt(text, length, shown));
        else
            stream_fail(&qmp->stream, "the monitor sent invalid JSON '%s' (%s)",
                        text_excerpt(text, length, shown), error.text);
    } else if (!json_is_object(object)) {
        stream_fail(&qmp->stream, "the monitor sent JSON that is no object");
    } else {
        take_message(qmp, object);
    }
    json_decref(object);
}

static void on_came(void *context, size_t count)
{
    struct qmp *qmp = context;
    (void)count;
    while (qmp->stream.fd >= 0) {
        size_t length;
        const char *line = stream_line(&qmp->stream, &length);
        if (length > QMP_LINE_MAX + 1) { /* the CR */
            stream_fail(&qmp->stream, "the monitor sent a line of more than %zu bytes",
                        QMP_LINE_MAX);
            return;
        }
        if (!line)
            return;
        qmp->heard++;
        take_line(qmp, line, length && line[length - 1] == '\r' ? length - 1 : length);
        if (qmp->stream.fd >= 0)
            stream_line_done(&qmp->stream, length);
    }
}

static void on_ended(void *context)
{
    struct qmp *qmp = context;
    stream_fail(&qmp->stream, "the monitor closed the connection%s",
                qmp->stream.in.length ? " in the middle of a message" : "");
}

static const struct stream_events stream_events = {
    .came = on_came,
    .ended = on_ended,
    .silent = on_silent,
    .failed = on_failed,
    .read_failed = "reading from the monitor failed: ",
    .write_failed = "writing to the monitor failed: ",
};

static void qmp_destroy(struct qmp *qmp)
{
    stream_free(&qmp->stream);
    free(qmp);
}

/* A call has ended; the last one of a freed client takes the memory along. */
static void qmp_leave(struct qmp *qmp)
{
    if (--qmp->users == 0 && qmp->freed)
        qmp_destroy(qmp);
}

/* Suspend until the answer with that id is there, or the connection is gone. */
static enum target_error wait_for(struct qmp *qmp, uint64_t id, json_t **result,
                                  struct failure *failure)
{
    struct waiter waiter = {.task = task_self(), .id = id, .failure = failure};
    stream_owe(&qmp->stream, true);
    DL_APPEND(qmp->waiters, &waiter);
    while (!waiter.done)
        task_suspend();
    if (result)
        *result = waiter.result;
    else
        json_decref(waiter.result);
    return waiter.error;
}

static enum target_error execute(struct qmp *qmp, const char *command, json_t *arguments,
                                 json_t **result, struct failure *failure)
{
    uint64_t id = ++qmp->last_id;
    json_t *request = json_object();
    char *line = NULL;
    bool made = request && json_object_set_new(request, "execute", json_string(command)) == 0;

    if (result)
        *result = NULL;
    if (arguments) {
        json_t *stolen = arguments;
        if (!request)
            json_decref(stolen);
        else
            made = json_object_set_new(request, "arguments", stolen) == 0 && made;
    }
    made = made && json_object_set_new(request, "id", json_integer((json_int_t)id)) == 0;
    if (made)
        line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (!line)
        return failure_set(failure, TARGET_INVALID, "the monitor command is no text");

    log_trace("target", "qmp > %s", line);
    size_t length = strlen(line);
    line[length] =
        '\n'; /* in place of the NUL: one append, so that a line goes whole or not at all */
    bool appended = buffer_append(&qmp->stream.out, line, length + 1);
    free(line);
    if (!appended)
        return failure_set(failure, TARGET_NO_MEMORY, "out of memory");
    stream_flush_later(&qmp->stream);
    return wait_for(qmp, id, result, failure);
}

enum target_error qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
                              json_t **result, struct failure *failure)
{
    if (!qmp->ready) {
        if (result)
            *result = NULL;
        json_decref(arguments);
        return failure_set(failure, TARGET_GONE, "the monitor is not connected%s%s",
                           qmp->stream.reason[0] ? ": " : "", qmp->stream.reason);
    }
    qmp->users++;
    enum target_error error = execute(qmp, command, arguments, result, failure);
    qmp_leave(qmp);
    return error;
}

enum target_error qmp_hmp(struct qmp *qmp, int cpu, const char *command, struct buffer *text,
                          struct failure *failure)
{
    json_t *arguments = json_pack("{s:s}", "command-line", command), *result;
    if (arguments && cpu >= 0 &&
        json_object_set_new(arguments, "cpu-index", json_integer(cpu)) != 0) {
        json_decref(arguments);
        return failure_set(failure, TARGET_NO_MEMORY, "out of memory");
    }
    if (!arguments)
        return failure_set(failure, TARGET_INVALID, "the monitor command is no text");
    enum target_error error =
        qmp_execute(qmp, "human-monitor-command", arguments, &result, failure);
    if (error)
        return error;
    if (!json_is_string(result)) {
        error =
            failure_set(failure, TARGET_FAILED, "the monitor answered something other than text");
    } else {
        if (!buffer_append(text, json_string_value(result), json_string_length(result)) ||
            !buffer_terminate(text))
            error = failure_set(failure, TARGET_NO_MEMORY, "out of memory");
    }
    json_decref(result);
    return error;
}

/* What qmp_connect does, once it is alone. */
static enum target_error open_session(struct qmp *qmp, struct failure *failure)
{
    struct failure refused = {0};
    int fd = stream_dial(&qmp->stream, &qmp->endpoint, failure);
    if (fd < 0)
        return failure_recode(failure, TARGET_GONE);
    stream_adopt(&qmp->stream, fd);

    enum target_error error = wait_for(qmp, 0, NULL, failure);
    /* it may have closed between the greeting and this task's turn */
    if (error == TARGET_OK && qmp->stream.fd < 0)
        error = failure_set(failure, TARGET_GONE, "%s", qmp->stream.reason);
    if (error)
        return error;
    error = execute(qmp, "qmp_capabilities", NULL, NULL, &refused);
    if (error == TARGET_OK && qmp->stream.fd < 0)
        error = failure_set(&refused, TARGET_GONE, "%s", qmp->stream.reason);
    if (error) {
        stream_fail(&qmp->stream, "the monitor refuses to negotiate: %s", refused.text);
        return failure_set(failure, TARGET_GONE, "%s", refused.text);
    }
    qmp->ready = true;
    return TARGET_OK;
}

enum target_error qmp_connect(struct qmp *qmp, struct failure *failure)
{
    enum target_error error = TARGET_OK;
    qmp->users++;
    task_mutex_lock(&qmp->opening);
    if (qmp->freed)
        error = failure_set(failure, TARGET_GONE, "called off");
    else if (!qmp->ready)
        error = open_session(qmp, failure);
    task_mutex_unlock(&qmp->opening);
    qmp_leave(qmp);
    return error;
}

bool qmp_connected(const struct qmp *qmp)
{
    return qmp->ready;
}

uint64_t qmp_heard(const struct qmp *qmp)
{
    return qmp->heard;
}

bool qmp_silent_since(const struct qmp *qmp, uint64_t heard)
{
    struct pollfd reader = {.fd = qmp->stream.fd, .events = POLLIN};
    return qmp->ready && qmp->heard == heard && qmp->stream.in.length == 0 && !qmp->waiters &&
           poll(&reader, 1, 0) == 0;
}

pid_t qmp_peer(const struct qmp *qmp)
{
    return process_peer(qmp->stream.fd);
}

void qmp_disconnect(struct qmp *qmp, const char *reason)
{
    stream_call_off(&qmp->stream);
    stream_fail(&qmp->stream, "%s", reason);
}

struct qmp *qmp_new(struct ev_loop *loop, const struct endpoint *endpoint, double timeout,
                    const struct qmp_listener *listener)
{
    struct qmp *qmp = calloc(1, sizeof *qmp);
    if (!qmp)
        return NULL;
    stream_init(&qmp->stream, loop, timeout, 0, &stream_events, qmp);
    qmp->endpoint = *endpoint;
    if (listener)
        qmp->listener = *listener;
    return qmp;
}

void qmp_free(struct qmp *qmp)
{
    if (!qmp)
        return;
    qmp->freed = true;
    qmp_disconnect(qmp, "called off");
    if (qmp->users == 0)
        qmp_destroy(qmp);
}
