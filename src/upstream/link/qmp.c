#include "upstream/link/qmp.h"

#include "base/buffer.h"
#include "base/dial.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/task.h"
#include "upstream/link/process.h"
#include "upstream/link/text.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

/* Most bytes read in one turn of the loop: a flood of events must leave others their turn. */
#define READ_SIZE ((size_t)64 * 1024)

/* A call that waits, on its task's stack. */
struct waiter {
    struct waiter *prev, *next;
    struct task *task;
    uint64_t id; /* 0: the greeting */
    bool done;
    enum target_error error;
    json_t *result;
    char *message; /* the caller's */
    size_t message_size;
};

struct qmp {
    struct ev_loop *loop;
    struct endpoint endpoint;
    double timeout;
    struct qmp_listener listener;
    int fd; /* -1: closed */
    bool greeted;
    bool ready;                /* capabilities are negotiated */
    struct task_mutex opening; /* held by the task that connects */
    struct dial dial;
    struct ev_io reader, writer;
    struct ev_timer silence; /* runs while anybody waits */
    struct buffer in, out;
    size_t scanned; /* bytes of in that are known to hold no line end */
    uint64_t last_id;
    uint64_t heard;         /* lines that have come */
    struct waiter *waiters; /* in the order of their requests */
    size_t users;           /* calls under way */
    bool freed;
    char reason[512]; /* why it was closed the last time */
};

static enum target_error fail(enum target_error error, char *message, size_t size,
                              const char *format, ...) __attribute__((format(printf, 4, 5)));

static enum target_error fail(enum target_error error, char *message, size_t size,
                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (message && size)
        vsnprintf(message, size, format, arguments);
    va_end(arguments);
    return error;
}

static void waiter_finish(struct qmp *qmp, struct waiter *waiter, enum target_error error)
{
    DL_DELETE(qmp->waiters, waiter);
    waiter->error = error;
    waiter->done = true;
    task_wake(waiter->task);
    if (!qmp->waiters)
        ev_timer_stop(qmp->loop, &qmp->silence);
}

static void qmp_close(struct qmp *qmp, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void qmp_close(struct qmp *qmp, const char *format, ...)
{
    bool was_ready = qmp->ready;
    struct waiter *waiter, *next;
    va_list arguments;

    if (qmp->fd < 0)
        return;
    va_start(arguments, format);
    vsnprintf(qmp->reason, sizeof qmp->reason, format, arguments);
    va_end(arguments);

    ev_io_stop(qmp->loop, &qmp->reader);
    ev_io_stop(qmp->loop, &qmp->writer);
    close(qmp->fd);
    qmp->fd = -1;
    qmp->greeted = qmp->ready = false;
    qmp->scanned = 0;
    buffer_free(&qmp->in);
    buffer_free(&qmp->out);
    DL_FOREACH_SAFE(qmp->waiters, waiter, next)
    {
        fail(TARGET_GONE, waiter->message, waiter->message_size, "%s", qmp->reason);
        waiter_finish(qmp, waiter, TARGET_GONE);
    }
    log_debug("target", "qmp: closed: %s", qmp->reason);
    if (was_ready && qmp->listener.closed && !qmp->freed)
        qmp->listener.closed(qmp->listener.context, qmp->reason);
}

static void on_silence(struct ev_loop *loop, struct ev_timer *timer, int events)
{
    struct qmp *qmp = timer->data;
    (void)loop;
    (void)events;
    if (qmp->greeted)
        qmp_close(qmp, "timed out: the monitor has not answered for %g s", qmp->timeout);
    else
        qmp_close(qmp,
                  "timed out: no greeting from the monitor within %g s; is another client "
                  "connected to it?",
                  qmp->timeout);
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
        qmp_close(qmp, "the monitor sent an error without class or description");
        return;
    }
    if (text)
        text_excerpt(text, strlen(text), shown);
    if (!json_is_integer(id)) {
        /* QEMU answers so what it cannot parse */
        qmp_close(qmp, "the monitor sent an answer without id%s%s", text ? ": " : "", shown);
        return;
    }
    DL_FOREACH(qmp->waiters, waiter)
    {
        if (waiter->id != 0 && json_integer_value(id) == (json_int_t)waiter->id)
            break;
    }
    if (!waiter) {
        qmp_close(qmp,
                  "the monitor answered a request that was not made (id %" JSON_INTEGER_FORMAT ")",
                  json_integer_value(id));
        return;
    }
    if (qmp->waiters->next)
        ev_timer_again(qmp->loop, &qmp->silence);
    if (error) {
        fail(TARGET_FAILED, waiter->message, waiter->message_size, "%s", text);
        waiter_finish(qmp, waiter,
                      strcmp(class, "CommandNotFound") == 0 ? TARGET_UNSUPPORTED : TARGET_FAILED);
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
        qmp_close(qmp, "this is no QMP monitor: it did not begin with a greeting");
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
            qmp_close(qmp, "the monitor sent a malformed event");
            return;
        }
        if (qmp->listener.event && !qmp->freed)
            qmp->listener.event(qmp->listener.context, json_string_value(event), data);
    } else if (json_object_get(object, "return") || json_object_get(object, "error")) {
        take_answer(qmp, object);
    } else {
        qmp_close(qmp, "the monitor sent a message that is neither answer nor event");
    }
}

static void take_line(struct qmp *qmp, const char *text, size_t length)
{
    json_error_t error;
    json_t *object;
    char shown[TEXT_EXCERPT_SIZE];

    log_trace("target", "qmp < %.*s", length < 2000 ? (int)length : 2000, text);
    if (too_many_values(text, length)) {
        qmp_close(qmp, "the monitor sent a message of more than %zu values", QMP_VALUES_MAX);
        return;
    }
    object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!object) {
        if (length == 1 && text[0] == '{')
            qmp_close(qmp, "the monitor spreads its messages over lines (pretty=on)");
        else if (!qmp->greeted)
            qmp_close(qmp, "this is no QMP monitor: it began with '%s'",
                      text_excerpt(text, length, shown));
        else
            qmp_close(qmp, "the monitor sent invalid JSON '%s' (%s)",
                      text_excerpt(text, length, shown), error.text);
    } else if (!json_is_object(object)) {
        qmp_close(qmp, "the monitor sent JSON that is no object");
    } else {
        take_message(qmp, object);
    }
    json_decref(object);
}

static void on_readable(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct qmp *qmp = io->data;
    (void)loop;
    (void)events;

    ssize_t got = buffer_read_fd(&qmp->in, qmp->fd, READ_SIZE);
    if (got < 0) {
        if (errno != EAGAIN && errno != EINTR)
            qmp_close(qmp, "reading from the monitor failed: %s", strerror(errno));
        return;
    }
    if (got == 0) {
        qmp_close(qmp, "the monitor closed the connection%s",
                  qmp->in.length ? " in the middle of a message" : "");
        return;
    }
    while (qmp->fd >= 0) {
        const char *text = (const char *)buffer_bytes(&qmp->in);
        const char *end = memchr(text + qmp->scanned, '\n', qmp->in.length - qmp->scanned);
        size_t length = end ? (size_t)(end - text) : qmp->in.length;
        if (length > QMP_LINE_MAX + 1) { /* the CR */
            qmp_close(qmp, "the monitor sent a line of more than %zu bytes", QMP_LINE_MAX);
            return;
        }
        if (!end) {
            qmp->scanned = length;
            return;
        }
        qmp->heard++;
        take_line(qmp, text, length && text[length - 1] == '\r' ? length - 1 : length);
        if (qmp->fd < 0)
            return;
        buffer_consume(&qmp->in, length + 1);
        qmp->scanned = 0;
    }
}

static void on_writable(struct ev_loop *loop, struct ev_io *io, int events)
{
    struct qmp *qmp = io->data;
    (void)events;
    ssize_t sent = buffer_write_fd(&qmp->out, qmp->fd);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        qmp_close(qmp, "writing to the monitor failed: %s", strerror(errno));
    else if (qmp->out.length == 0)
        ev_io_stop(loop, io);
}

static void qmp_destroy(struct qmp *qmp)
{
    buffer_free(&qmp->in);
    buffer_free(&qmp->out);
    free(qmp);
}

/* A call has ended; the last one of a freed client takes the memory along. */
static void qmp_leave(struct qmp *qmp)
{
    if (--qmp->users == 0 && qmp->freed)
        qmp_destroy(qmp);
}

/* Suspend until the answer with that id is there, or the connection is gone. */
static enum target_error wait_for(struct qmp *qmp, uint64_t id, json_t **result, char *message,
                                  size_t size)
{
    struct waiter waiter = {
        .task = task_self(), .id = id, .message = message, .message_size = size};
    if (!qmp->waiters) {
        ev_now_update(
            qmp->loop); /* the clock of this turn may be old: it must not count as silence */
        ev_timer_again(qmp->loop, &qmp->silence);
    }
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
                                 json_t **result, char *message, size_t size)
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
        return fail(TARGET_INVALID, message, size, "the monitor command is no text");

    log_trace("target", "qmp > %s", line);
    size_t length = strlen(line);
    line[length] =
        '\n'; /* in place of the NUL: one append, so that a line goes whole or not at all */
    bool appended = buffer_append(&qmp->out, line, length + 1);
    free(line);
    if (!appended)
        return fail(TARGET_NO_MEMORY, message, size, "out of memory");
    ev_io_start(qmp->loop, &qmp->writer);
    return wait_for(qmp, id, result, message, size);
}

enum target_error qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
                              json_t **result, char *message, size_t size)
{
    if (!qmp->ready) {
        if (result)
            *result = NULL;
        json_decref(arguments);
        return fail(TARGET_GONE, message, size, "the monitor is not connected%s%s",
                    qmp->reason[0] ? ": " : "", qmp->reason);
    }
    qmp->users++;
    enum target_error error = execute(qmp, command, arguments, result, message, size);
    qmp_leave(qmp);
    return error;
}

enum target_error qmp_hmp(struct qmp *qmp, int cpu, const char *command, struct buffer *text,
                          char *message, size_t size)
{
    json_t *arguments = json_pack("{s:s}", "command-line", command), *result;
    if (arguments && cpu >= 0 &&
        json_object_set_new(arguments, "cpu-index", json_integer(cpu)) != 0) {
        json_decref(arguments);
        return fail(TARGET_NO_MEMORY, message, size, "out of memory");
    }
    if (!arguments)
        return fail(TARGET_INVALID, message, size, "the monitor command is no text");
    enum target_error error =
        qmp_execute(qmp, "human-monitor-command", arguments, &result, message, size);
    if (error)
        return error;
    if (!json_is_string(result)) {
        error =
            fail(TARGET_FAILED, message, size, "the monitor answered something other than text");
    } else {
        uint8_t *end = NULL;
        if (buffer_append(text, json_string_value(result), json_string_length(result)))
            end = buffer_reserve(text, 1);
        if (end)
            *end = '\0';
        else
            error = fail(TARGET_NO_MEMORY, message, size, "out of memory");
    }
    json_decref(result);
    return error;
}

/* What qmp_connect does, once it is alone. */
static enum target_error open_session(struct qmp *qmp, char *message, size_t size)
{
    char reason[512];
    int fd = dial_endpoint(&qmp->dial, &qmp->endpoint, qmp->timeout, message, size);
    if (fd < 0)
        return TARGET_GONE;
    qmp->fd = fd;
    ev_io_set(&qmp->reader, fd, EV_READ);
    ev_io_set(&qmp->writer, fd, EV_WRITE);
    ev_io_start(qmp->loop, &qmp->reader);

    enum target_error error = wait_for(qmp, 0, NULL, message, size);
    /* it may have closed between the greeting and this task's turn */
    if (error == TARGET_OK && qmp->fd < 0)
        error = fail(TARGET_GONE, message, size, "%s", qmp->reason);
    if (error)
        return error;
    error = execute(qmp, "qmp_capabilities", NULL, NULL, reason, sizeof reason);
    if (error == TARGET_OK && qmp->fd < 0)
        error = fail(TARGET_GONE, reason, sizeof reason, "%s", qmp->reason);
    if (error) {
        qmp_close(qmp, "the monitor refuses to negotiate: %s", reason);
        return fail(TARGET_GONE, message, size, "%s", reason);
    }
    qmp->ready = true;
    return TARGET_OK;
}

enum target_error qmp_connect(struct qmp *qmp, char *message, size_t size)
{
    enum target_error error = TARGET_OK;
    qmp->users++;
    task_mutex_lock(&qmp->opening);
    if (qmp->freed)
        error = fail(TARGET_GONE, message, size, "called off");
    else if (!qmp->ready)
        error = open_session(qmp, message, size);
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
    struct pollfd reader = {.fd = qmp->fd, .events = POLLIN};
    return qmp->ready && qmp->heard == heard && qmp->in.length == 0 && !qmp->waiters &&
           poll(&reader, 1, 0) == 0;
}

pid_t qmp_peer(const struct qmp *qmp)
{
    return process_peer(qmp->fd);
}

void qmp_disconnect(struct qmp *qmp, const char *reason)
{
    dial_call_off(&qmp->dial);
    qmp_close(qmp, "%s", reason);
}

struct qmp *qmp_new(struct ev_loop *loop, const struct endpoint *endpoint, double timeout,
                    const struct qmp_listener *listener)
{
    struct qmp *qmp = calloc(1, sizeof *qmp);
    if (!qmp)
        return NULL;
    qmp->loop = loop;
    qmp->endpoint = *endpoint;
    qmp->timeout = timeout;
    if (listener)
        qmp->listener = *listener;
    qmp->fd = -1;
    ev_init(&qmp->reader, on_readable);
    ev_init(&qmp->writer, on_writable);
    ev_init(&qmp->silence, on_silence);
    qmp->silence.repeat = timeout;
    /* an answer that has come is taken before the clock is looked at, however late this turn is */
    ev_set_priority(&qmp->reader, 1);
    qmp->reader.data = qmp->writer.data = qmp->silence.data = qmp;
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
