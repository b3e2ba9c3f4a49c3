/* Hides qtest's lines, and whose turn it is to send them. */
#include "upstream/link/qtest.h"

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/dial.h"
#include "base/failure.h"
#include "base/stream.h"
#include "base/task.h"
#include "upstream/link/base64.h"
#include "upstream/link/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

/* Requests, and characters of them and their answers, that are under way at once: enough to keep
 * QEMU busy, little enough that another caller's turn comes within a millisecond. */
#define FLIGHT_MOST   256
#define FLIGHT_WEIGHT ((size_t)128 * 1024)
/* With that much under way QEMU has something to do for a few hundred microseconds: we need not
 * wake for each answer. Microseconds between looks at what has come meanwhile. */
#define PACE_COUNT  64
#define PACE_WEIGHT ((size_t)48 * 1024)
#define PACE        100
#define ANSWER_MOST (QTEST_PIECE_MOST / 3 * 4 + 64)

/* A caller's requests. On its stack. */
struct batch {
    struct qtest_request *requests;
    size_t count, sent, left;
    enum target_error error;
    struct task *task;
    struct batch *prev, *next;
};

struct flight {
    struct batch *batch;
    size_t index, weight;
};

struct qtest {
    struct stream stream;
    struct qtest_listener listener;
    uint64_t closes; /* a connect that began before the last one is called off */
    bool big_endian;
    struct batch *batches;
    struct flight flights[FLIGHT_MOST]; /* a ring */
    size_t first, count, weight;
};

/* Lines */

static bool width_valid(unsigned width, unsigned most)
{
    return (width == 1 || width == 2 || width == 4 || width == 8) && width <= most;
}

static bool value_fits(uint64_t value, unsigned width)
{
    return width == 8 || value >> (8 * width) == 0;
}

static bool range_valid(uint64_t address, size_t length, size_t most)
{
    return length > 0 && length <= most && bytes_clip(address, length) == length;
}

/* By hand: a store of four bytes takes snprintf longer than QEMU's socket. */
static char *put_text(char *at, const char *text)
{
    size_t length = strlen(text);
    memcpy(at, text, length);
    return at + length;
}

static char *put_number(char *at, uint64_t number)
{
    unsigned digits = 1;
    while (digits < 16 && number >> 4 * digits != 0)
        digits++;
    *at++ = '0';
    *at++ = 'x';
    for (unsigned i = digits; i-- > 0;)
        *at++ = "0123456789abcdef"[number >> 4 * i & 15];
    return at;
}

/* "verb 0x1 0x2": the names are ours, so it fits in LINE_MOST. */
#define LINE_MOST 64
static char *put_words(char *at, const char *verb, uint64_t first, const uint64_t *second)
{
    at = put_text(at, verb);
    *at++ = ' ';
    at = put_number(at, first);
    if (second) {
        *at++ = ' ';
        at = put_number(at, *second);
    }
    return at;
}

static bool line_write(struct buffer *out, const struct qtest_request *request)
{
    uint64_t length = request->length;
    size_t text = base64_length(request->length);
    char *line = (char *)buffer_reserve(out, LINE_MOST + text), *at;
    if (!line)
        return false;
    at = put_words(line, "b64write", request->address, &length);
    *at++ = ' ';
    base64_encode(at, request->bytes, request->length);
    at += text;
    *at++ = '\n';
    buffer_commit(out, (size_t)(at - line));
    return true;
}

static const char *const stores[] = {
    [1] = "writeb", [2] = "writew", [4] = "writel", [8] = "writeq"};
static const char *const loads[] = {[1] = "readb", [2] = "readw", [4] = "readl", [8] = "readq"};
static const char *const outs[] = {[1] = "outb", [2] = "outw", [4] = "outl"};
static const char *const ins[] = {[1] = "inb", [2] = "inw", [4] = "inl"};

bool qtest_line(struct buffer *out, const struct qtest_request *request)
{
    uint64_t address = request->address, value = request->value, length = request->length;
    unsigned width = request->width;
    char line[LINE_MOST + 32], *at = line;

    switch (request->verb) {
    case QTEST_WRITE:
        return range_valid(address, request->length, QTEST_PIECE_MOST) && line_write(out, request);
    case QTEST_READ:
        if (range_valid(address, request->length, QTEST_PIECE_MOST))
            at = put_words(at, "b64read", address, &length);
        break;
    case QTEST_FILL:
        if (range_valid(address, request->length, QTEST_FILL_MOST) && value_fits(value, 1)) {
            at = put_words(at, "memset", address, &length);
            *at++ = ' ';
            at = put_number(at, value);
        }
        break;
    case QTEST_STORE:
        if (width_valid(width, 8) && value_fits(value, width) && range_valid(address, width, 8))
            at = put_words(at, stores[width], address, &value);
        break;
    case QTEST_LOAD:
        if (width_valid(width, 8) && range_valid(address, width, 8))
            at = put_words(at, loads[width], address, NULL);
        break;
    case QTEST_OUT:
    case QTEST_IN:
        if (!width_valid(width, 4) || address > 0x10000u - width)
            break;
        if (request->verb == QTEST_IN)
            at = put_words(at, ins[width], address, NULL);
        else if (value_fits(value, width))
            at = put_words(at, outs[width], address, &value);
        break;
    case QTEST_ORDER:
        at = put_text(at, "endianness");
        break;
    }
    if (at == line)
        return false;
    *at++ = '\n';
    return buffer_append(out, line, (size_t)(at - line));
}

/* Answers */

static bool word_after(const char *line, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(line, word, length) == 0;
}

static bool answer_number(struct qtest_request *request, const char *line, size_t length)
{
    uint64_t value = 0;
    if (length < strlen("OK 0x0") || length > strlen("OK 0x") + 16 || memcmp(line, "OK 0x", 5) != 0)
        return false;
    struct text digits = {.start = line + 5, .length = length - 5};
    if (!text_hex(&digits, 0, &value) || digits.length > 0 || !value_fits(value, request->width))
        return false;
    request->value = value;
    return true;
}

bool qtest_answer(struct qtest_request *request, const char *line, size_t length)
{
    switch (request->verb) {
    case QTEST_WRITE:
    case QTEST_FILL:
    case QTEST_STORE:
    case QTEST_OUT:
        return word_after(line, length, "OK");
    case QTEST_LOAD:
    case QTEST_IN:
        return answer_number(request, line, length);
    case QTEST_READ:
        return length >= 3 && memcmp(line, "OK ", 3) == 0 &&
               base64_decode(request->bytes, request->length, line + 3, length - 3);
    case QTEST_ORDER:
        request->value = word_after(line, length, "OK big");
        return request->value == 1 || word_after(line, length, "OK little");
    }
    return false;
}

/* The connection */

static void finish_batch(struct qtest *qtest, struct batch *batch, enum target_error error)
{
    if (batch->error == TARGET_OK)
        batch->error = error;
    batch->left = 0;
    DL_DELETE(qtest->batches, batch);
    task_wake(batch->task);
}

void qtest_close(struct qtest *qtest)
{
    struct batch *batch, *next;
    qtest->closes++;
    if (qtest->stream.fd < 0)
        return;
    stream_close(&qtest->stream);
    qtest->first = qtest->count = qtest->weight = 0;
    DL_FOREACH_SAFE(qtest->batches, batch, next)
    finish_batch(qtest, batch, TARGET_GONE);
}

static void on_failed(void *context)
{
    struct qtest *qtest = context;
    qtest_close(qtest);
    if (qtest->listener.closed)
        qtest->listener.closed(qtest->listener.context, qtest->stream.reason);
}

/* Characters of a request and its answer. */
static size_t weight_of(const struct qtest_request *request)
{
    bool bulk = request->verb == QTEST_WRITE || request->verb == QTEST_READ;
    /* A fill costs QEMU time, not characters. */
    return 32 + (bulk ? base64_length(request->length) : 0) +
           (request->verb == QTEST_FILL ? request->length / 8 : 0);
}

/* Make the line of this batch's next request. */
static void send_next(struct qtest *qtest, struct batch *batch)
{
    struct qtest_request *request = &batch->requests[batch->sent];
    if (!qtest_line(&qtest->stream.out, request)) {
        /* what was sent is waited for */
        batch->error = TARGET_INVALID;
        batch->left -= batch->count - batch->sent;
        batch->count = batch->sent;
        return;
    }
    size_t weight = weight_of(request);
    qtest->flights[(qtest->first + qtest->count) % FLIGHT_MOST] =
        (struct flight){.batch = batch, .index = batch->sent, .weight = weight};
    qtest->count++;
    qtest->weight += weight;
    batch->sent++;
}

/* Whose turn it is: the first with something to send. */
static struct batch *next_batch(struct qtest *qtest)
{
    struct batch *batch;
    DL_FOREACH(qtest->batches, batch)
    {
        if (batch->sent < batch->count)
            return batch;
    }
    return NULL;
}

/* Send as much as may be under way, one request of each caller in turn. */
static void pump(struct qtest *qtest)
{
    struct batch *batch;
    while (qtest->count < FLIGHT_MOST && qtest->weight < FLIGHT_WEIGHT &&
           (batch = next_batch(qtest)) != NULL) {
        send_next(qtest, batch);
        if (batch->left == 0) {
            finish_batch(qtest, batch, TARGET_OK);
        } else {
            DL_DELETE(qtest->batches, batch);
            DL_APPEND(qtest->batches, batch);
        }
    }
    stream_flush(&qtest->stream);
    if (qtest->stream.fd < 0)
        return;
    stream_owe(&qtest->stream, qtest->count > 0);
    /* One or two are no stream, however heavy: a fill is a short line. */
    bool much = qtest->count >= PACE_COUNT || (qtest->count > 2 && qtest->weight >= PACE_WEIGHT);
    stream_pace(&qtest->stream, qtest->count > 0, much);
}

/* One line. False: the connection is closed. */
static bool take_line(struct qtest *qtest, const char *line, size_t length)
{
    if (qtest->count == 0) {
        stream_fail(&qtest->stream, "it says '%.*s' unasked", (int)(length < 60 ? length : 60),
                    line);
        return false;
    }
    struct flight *flight = &qtest->flights[qtest->first];
    struct batch *batch = flight->batch;
    struct qtest_request *request = &batch->requests[flight->index];
    if (!qtest_answer(request, line, length)) {
        stream_fail(&qtest->stream, "it answers '%.*s'", (int)(length < 60 ? length : 60), line);
        return false;
    }
    request->done = true;
    qtest->first = (qtest->first + 1) % FLIGHT_MOST;
    qtest->count--;
    qtest->weight -= flight->weight;
    if (--batch->left == 0)
        finish_batch(qtest, batch, TARGET_OK);
    return true;
}

static void take_lines(struct qtest *qtest)
{
    struct stream *stream = &qtest->stream;
    while (stream->fd >= 0) {
        size_t length;
        const char *line = stream_line(stream, &length);
        if (!line) {
            if (length > ANSWER_MOST)
                stream_fail(stream, "an answer of more than %zu characters", ANSWER_MOST);
            return;
        }
        if (take_line(qtest, line, length))
            stream_line_done(stream, length);
    }
}

static void on_came(void *context, size_t count)
{
    struct qtest *qtest = context;
    (void)count;
    size_t owed = qtest->count;
    take_lines(qtest);
    if (qtest->stream.fd < 0)
        return;
    /* A byte now and then is silence too: others wait, shut out, for what is under way. */
    if (qtest->count < owed)
        stream_heard(&qtest->stream);
    pump(qtest);
}

static void on_ended(void *context)
{
    struct qtest *qtest = context;
    stream_fail(&qtest->stream, "it closed the connection");
}

static void on_silent(void *context)
{
    struct qtest *qtest = context;
    stream_fail(&qtest->stream, "no answer within %g s", qtest->stream.timeout);
}

static const struct stream_events stream_events = {
    .came = on_came,
    .ended = on_ended,
    .silent = on_silent,
    .failed = on_failed,
    .read_failed = "",
    .write_failed = "",
};

enum target_error qtest_run(struct qtest *qtest, struct qtest_request *requests, size_t count)
{
    struct batch batch = {.requests = requests, .count = count, .left = count, .task = task_self()};
    for (size_t i = 0; i < count; i++)
        requests[i].done = false;
    if (qtest->stream.fd < 0)
        return TARGET_GONE;
    if (count == 0)
        return TARGET_OK;
    DL_APPEND(qtest->batches, &batch);
    pump(qtest);
    while (batch.left > 0)
        task_suspend();
    return batch.error;
}

/* Connecting */

enum target_error qtest_connect(struct qtest *qtest, const struct endpoint *endpoint,
                                struct failure *failure)
{
    struct qtest_request order = {.verb = QTEST_ORDER};
    struct dial dial = {0}; /* QEMU listens on a private socket: there is nothing to call off */
    qtest_close(qtest);
    uint64_t closes = qtest->closes;
    int fd = dial_endpoint(&dial, endpoint, qtest->stream.timeout, failure);
    if (fd < 0)
        return failure_recode(failure, TARGET_GONE);
    if (qtest->closes != closes) {
        close(fd);
        return failure_set(failure, TARGET_GONE, "called off");
    }
    stream_adopt(&qtest->stream, fd);
    enum target_error error = qtest_run(qtest, &order, 1);
    if (error != TARGET_OK)
        return failure_set(failure, error,
                           "qtest does not answer; perhaps it serves another client");
    qtest->big_endian = order.value == 1;
    return TARGET_OK;
}

void qtest_set_busy_poll(struct qtest *qtest, struct busy_poll *poll)
{
    stream_set_busy_poll(&qtest->stream, poll);
}

bool qtest_connected(const struct qtest *qtest)
{
    return qtest->stream.fd >= 0;
}

bool qtest_big_endian(const struct qtest *qtest)
{
    return qtest->big_endian;
}

struct qtest *qtest_new(struct ev_loop *loop, double timeout, const struct qtest_listener *listener)
{
    struct qtest *qtest = calloc(1, sizeof *qtest);
    if (!qtest)
        return NULL;
    stream_init(&qtest->stream, loop, timeout, PACE, &stream_events, qtest);
    if (listener)
        qtest->listener = *listener;
    return qtest;
}

void qtest_free(struct qtest *qtest)
{
    if (!qtest)
        return;
    qtest_close(qtest);
    stream_free(&qtest->stream);
    free(qtest);
}
