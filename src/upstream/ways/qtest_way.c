/* Memory, devices and ports by qtest: what is worth it, and how spans become requests. */
#include "upstream/ways/qtest_way.h"

#include "base/bytes.h"
#include "base/failure.h"
#include "base/log.h"
#include "upstream/link/qtest.h"
#include "upstream/link/qtest_open.h"
#include "upstream/ways/spans.h"

#include <stdio.h>
#include <stdlib.h>

#define ROOM "target"

/* By measurement, on QEMU 7.2: from here on a virtual write is quicker through qtest than through M
 * packets. A store takes QEMU three quarters of what an M packet of a few bytes does, but a halt's
 * first must find out how the processor stands, which few spans do not make up for. */
#define QTEST_BYTES_LEAST ((size_t)4 * 1024)
#define QTEST_RUNS_LEAST  ((size_t)8)
/* Single accesses that are handed over at once. */
#define NATURAL_MOST 64

struct qtest_way {
    struct way way;
    struct qtest *qtest;
    struct endpoint endpoint; /* where it was opened */
};

static struct qtest_way *of(struct way *way)
{
    return (struct qtest_way *)way;
}

struct qtest *qtest_way_connection(const struct way *way)
{
    return ((const struct qtest_way *)way)->qtest;
}

/* Open and closed */

static void closed(void *context, const char *reason)
{
    struct way *way = context;
    snprintf(way->note, sizeof way->note, "lost: %s", reason);
    log_warning(ROOM, "qtest is lost, the other ways go on: %s", reason);
}

static struct way *make(const struct way_context *context)
{
    struct qtest_way *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    way_init(&made->way, &qtest_way, context);
    struct qtest_listener listener = {.context = &made->way, .closed = closed};
    made->qtest = qtest_new(context->loop, context->timeout, &listener);
    if (!made->qtest) {
        free(made);
        return NULL;
    }
    qtest_set_busy_poll(made->qtest, context->config.busy_poll);
    return &made->way;
}

static void end(struct way *way)
{
    qtest_free(of(way)->qtest);
    free(way);
}

static bool is_open(const struct way *way)
{
    return qtest_connected(qtest_way_connection(way));
}

static void reset(struct way *way)
{
    way_note(way, "off");
}

static enum target_error connect_to(struct qtest_way *way, struct failure *failure)
{
    const struct way_context *context = way->way.context;
    struct endpoint endpoint = context->config.qtest_endpoint;
    enum target_error error = TARGET_OK;
    if (!context->config.have_qtest)
        error = qtest_open_add(&context->stub->monitor, &endpoint, failure);
    if (error == TARGET_OK)
        error = qtest_connect(way->qtest, &endpoint, failure);
    way->endpoint = endpoint;
    return error;
}

static enum target_error open_it(struct way *way, struct failure *failure)
{
    const struct ways_config *config = &way->context->config;
    if (config->qtest == WAYS_OFF || (config->qtest == WAYS_AUTO && !config->have_qtest))
        return TARGET_OK;
    failure_clear(failure);
    enum target_error error =
        way->context->stub->qemu ? connect_to(of(way), failure) : TARGET_UNSUPPORTED;
    return way_opened(way, config->qtest, error, failure);
}

static void close_it(struct way *way)
{
    qtest_close(of(way)->qtest);
}

bool qtest_way_settle(struct way *way)
{
    if (is_open(way))
        return true;
    if (!rsp_client_connected(way->context->stub->rsp) ||
        qtest_connect(of(way)->qtest, &of(way)->endpoint, NULL) != TARGET_OK)
        return false;
    way_note(way, "");
    log_info(ROOM, "qtest is back");
    return true;
}

static bool big_endian(const struct way *way, bool *order)
{
    *order = qtest_big_endian(qtest_way_connection(way));
    return is_open(way);
}

/* Single accesses */

/* What became of accesses some of which were not answered: the first of these may have happened. */
static enum target_error unanswered(struct target_span *spans, size_t count,
                                    enum target_error error)
{
    for (size_t i = 0; i < count; i++)
        spans[i].error = i == 0 ? error : TARGET_CANCELLED;
    return error;
}

static enum target_error accesses(struct qtest *qtest, struct target_span *spans, size_t count,
                                  bool write)
{
    bool big_endian = qtest_big_endian(qtest);
    for (size_t from = 0; from < count;) {
        struct qtest_request requests[NATURAL_MOST];
        size_t some = 0;
        for (; some < NATURAL_MOST && from + some < count; some++) {
            const struct target_span *span = &spans[from + some];
            requests[some] = (struct qtest_request){.verb = write ? QTEST_STORE : QTEST_LOAD,
                                                    .width = (unsigned)span->length,
                                                    .address = span->address};
            if (span->length > 8)
                return unanswered(&spans[from], count - from, TARGET_INVALID);
            if (write)
                requests[some].value = bytes_load(span->bytes, span->length, big_endian);
        }
        enum target_error error = qtest_run(qtest, requests, some);
        for (size_t i = 0; i < some; i++, from++) {
            struct target_span *span = &spans[from];
            if (!requests[i].done)
                return unanswered(span, count - from, error == TARGET_GONE ? TARGET_FAILED : error);
            span->done = span->length;
            span->error = TARGET_OK;
            if (!write)
                bytes_store(span->bytes, requests[i].value, span->length, big_endian);
        }
    }
    return TARGET_OK;
}

/* In bulk */

static bool worth_translating(const struct way *way, size_t count, size_t total, bool write)
{
    return write && is_open(way) && (total >= QTEST_BYTES_LEAST || count >= QTEST_RUNS_LEAST);
}

static bool is_width(size_t length)
{
    return length == 1 || length == 2 || length == 4 || length == 8;
}

/* RAM does not ask how its bytes come: as a number they take QEMU least. */
static struct qtest_request store_of(const struct qtest *qtest, const struct target_span *span,
                                     size_t length)
{
    return (struct qtest_request){.verb = QTEST_STORE,
                                  .width = (unsigned)length,
                                  .address = span->address,
                                  .length = length,
                                  .value =
                                      bytes_load(span->bytes, length, qtest_big_endian(qtest))};
}

/* How many requests everything that is not done yet takes at most. */
static size_t requests_most(const struct target_span *spans, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        if (spans[i].error != TARGET_OK)
            most += spans[i].length / QTEST_PIECE_MOST + 1;
    return most;
}

/* The requests for a span, from made on; returns how many there are then. */
static size_t cut_span(struct qtest_request *requests, size_t made, const struct target_span *first,
                       size_t length, bool write)
{
    for (size_t at = 0; at < length; made++) {
        size_t piece = length - at < QTEST_PIECE_MOST ? length - at : QTEST_PIECE_MOST;
        requests[made] = (struct qtest_request){.verb = write ? QTEST_WRITE : QTEST_READ,
                                                .address = first->address + at,
                                                .length = piece,
                                                .bytes = first->bytes + at};
        at += piece;
    }
    return made;
}

static size_t make_requests(const struct qtest *qtest, struct qtest_request *requests,
                            const struct target_span *spans, size_t count, bool write)
{
    size_t made = 0, length;
    for (size_t i = 0; i < count;) {
        if (spans[i].error == TARGET_OK) {
            i++;
            continue;
        }
        size_t some = spans_together(&spans[i], count - i, &length);
        if (write && is_width(length))
            requests[made++] = store_of(qtest, &spans[i], length);
        else
            made = cut_span(requests, made, &spans[i], length, write);
        i += some;
    }
    return made;
}

/* Requests and spans come in the same order: give each span what was answered of it. Returns how
 * many bytes that were. */
static uint64_t share_out(const struct qtest_request *requests, struct target_span *spans,
                          size_t count)
{
    uint64_t moved = 0;
    size_t r = 0, used = 0;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].error == TARGET_OK)
            continue;
        bool whole = true;
        for (size_t at = 0; at < spans[i].length;) {
            size_t part = requests[r].length - used;
            if (part > spans[i].length - at)
                part = spans[i].length - at;
            whole = whole && requests[r].done;
            spans[i].done += whole ? part : 0;
            at += part;
            used += part;
            if (used == requests[r].length) {
                r++;
                used = 0;
            }
        }
        moved += spans[i].done;
        if (whole)
            spans[i].error = TARGET_OK;
    }
    return moved;
}

/* Everything that is not done yet, as one batch of requests. */
static enum target_error carry_bulk(struct way *way, const struct way_transfer *transfer)
{
    struct target_span *spans = transfer->spans;
    struct qtest *qtest = of(way)->qtest;
    size_t most = requests_most(spans, transfer->count);
    if (most == 0)
        return TARGET_OK;
    struct qtest_request *requests = calloc(most, sizeof *requests);
    if (!requests)
        return TARGET_NO_MEMORY;
    size_t made = make_requests(qtest, requests, spans, transfer->count, transfer->write);
    enum target_error error = qtest_run(qtest, requests, made);
    uint64_t moved = share_out(requests, spans, transfer->count);
    free(requests);
    way_count(way, transfer->write, moved);
    return error;
}

static enum target_error carry(struct way *way, const struct way_transfer *transfer)
{
    enum target_error error;
    if (!is_open(way))
        return TARGET_UNSUPPORTED;
    if (transfer->access == TARGET_ACCESS_BULK) {
        error = carry_bulk(way, transfer);
        /* RAM may be written once more: what was not acknowledged goes by the next way. */
        return error == TARGET_GONE ? TARGET_UNSUPPORTED : error;
    }
    error = accesses(of(way)->qtest, transfer->spans, transfer->count, transfer->write);
    way_count_spans(way, transfer->write, transfer->spans, transfer->count);
    return error;
}

static enum target_error fill(struct way *way, uint64_t physical, uint64_t length, uint8_t byte,
                              uint64_t *done)
{
    while (*done < length) {
        struct qtest_request requests[16];
        size_t count = 0;
        uint64_t at = *done;
        if (!is_open(way))
            return TARGET_UNSUPPORTED;
        for (; count < 16 && at < length; count++) {
            size_t piece = length - at < QTEST_FILL_MOST ? (size_t)(length - at) : QTEST_FILL_MOST;
            requests[count] = (struct qtest_request){
                .verb = QTEST_FILL, .address = physical + at, .length = piece, .value = byte};
            at += piece;
        }
        enum target_error error = qtest_run(of(way)->qtest, requests, count);
        for (size_t i = 0; i < count && requests[i].done; i++) {
            *done += requests[i].length;
            way_count(way, true, requests[i].length);
        }
        if (error != TARGET_OK)
            return error == TARGET_GONE ? TARGET_UNSUPPORTED : error;
    }
    return TARGET_OK;
}

/* Ports */

static const char port_lost[] =
    "qtest was lost: the access may have been made, and is not made again";

static enum target_error port(struct way *way, struct way_port *access, struct failure *failure)
{
    struct qtest_request request = {.verb = access->write ? QTEST_OUT : QTEST_IN,
                                    .width = access->size,
                                    .address = access->port,
                                    .value = access->write ? access->value : 0};
    if (!is_open(way))
        return TARGET_UNSUPPORTED;
    enum target_error error = qtest_run(of(way)->qtest, &request, 1);
    if (error == TARGET_GONE)
        return failure_set(failure, TARGET_FAILED, "%s", port_lost);
    if (error == TARGET_OK)
        way_count(way, access->write, access->size);
    if (error == TARGET_OK && !access->write)
        access->value = (uint32_t)request.value;
    return error;
}

static enum target_error ports_out(struct way *way, struct target_port_write *writes, size_t count,
                                   struct failure *failure)
{
    struct qtest_request *requests;
    if (!is_open(way) || (requests = calloc(count, sizeof *requests)) == NULL)
        return TARGET_UNSUPPORTED;
    for (size_t i = 0; i < count; i++)
        requests[i] = (struct qtest_request){.verb = QTEST_OUT,
                                             .width = writes[i].size,
                                             .address = writes[i].port,
                                             .value = writes[i].value};
    enum target_error error = qtest_run(of(way)->qtest, requests, count);
    if (error == TARGET_GONE) {
        error = failure_set(failure, TARGET_FAILED, "%s", port_lost);
    }
    for (size_t i = 0; i < count; i++) {
        writes[i].error = requests[i].done ? TARGET_OK : error;
        if (requests[i].done)
            way_count(way, true, writes[i].size);
    }
    free(requests);
    return error;
}

const struct way_ops qtest_way = {.name = "qtest",
                                  .while_running = true,
                                  .make = make,
                                  .free = end,
                                  .is_open = is_open,
                                  .reset = reset,
                                  .open = open_it,
                                  .close = close_it,
                                  .big_endian = big_endian,
                                  .worth_translating = worth_translating,
                                  .spans = carry,
                                  .fill = fill,
                                  .port = port,
                                  .ports_out = ports_out};
