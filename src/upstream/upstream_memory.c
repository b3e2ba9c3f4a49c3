/* Memory: virtual, physical, live, filled. Everything that may look at it is between ways_enter
 * and ways_leave. */
#include "upstream/upstream_memory.h"

#include "base/buffer.h"
#include "base/hex.h"
#include "upstream/machine/transfer.h"
#include "upstream/translate/translate.h"
#include "upstream/upstream.h"
#include "upstream/upstream_kind.h"
#include "upstream/ways/ways.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Nothing is sent: say so of every span. */
static enum target_error refuse_spans(struct target_span *spans, size_t count,
                                      enum target_error error)
{
    for (size_t i = 0; i < count; i++) {
        spans[i].done = 0;
        spans[i].error = error;
    }
    return error;
}

static enum target_error transfer_virtual(struct upstream *upstream, target_client client,
                                          unsigned cpu, struct target_span *spans, size_t count,
                                          bool write)
{
    struct stub *stub = &upstream->stub;
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && cpu >= stub->processors)
        error = TARGET_INVALID;
    if (error == TARGET_OK && stub_running(stub))
        error = TARGET_RUNNING;
    refuse_spans(spans, count, error);
    struct transfer_settings settings = {.stub = stub,
                                         .client = client,
                                         .space = RSP_SPACE_VIRTUAL,
                                         .thread = stub_memory_thread(stub, cpu),
                                         .write = write,
                                         .address_mask = UINT64_MAX};
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        uint64_t narrow;
        spans[i].error =
            translate_narrow(upstream->translate, client, cpu, spans[i].address, &narrow);
        if (narrow != spans[i].address)
            settings.address_mask = UINT32_MAX;
        if (spans[i].error != TARGET_OK && spans[i].error != TARGET_FAULT)
            error = refuse_spans(spans, count, spans[i].error);
    }
    if (error != TARGET_OK)
        return error;
    if (settings.address_mask == UINT64_MAX &&
        ways_virtual(upstream->ways, client, cpu, spans, count, write)) {
        for (size_t i = 0; i < count && error == TARGET_OK; i++)
            error = spans[i].error;
        return error;
    }
    if (write)
        translate_written_virtual(upstream->translate, cpu, spans, count);
    error = transfer_spans(&settings, spans, count);
    ways_count_virtual(upstream->ways, write, spans, count);
    if (write)
        translate_written_virtual(upstream->translate, cpu, spans, count);
    return error;
}

static enum target_error read_virtual(struct target *target, target_client client, unsigned cpu,
                                      struct target_span *spans, size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_virtual(upstream, client, cpu, spans, count, false);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error write_virtual(struct target *target, target_client client, unsigned cpu,
                                       struct target_span *spans, size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_virtual(upstream, client, cpu, spans, count, true);
    ways_leave(upstream->ways);
    return error;
}

/* TARGET_OK: physical memory can be reached now. */
static enum target_error physical_ready(const struct upstream *upstream)
{
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && !upstream->kind->machine)
        error = TARGET_UNSUPPORTED;
    if (error == TARGET_OK && stub_running(&upstream->stub) && !ways_live(upstream->ways))
        error = TARGET_RUNNING;
    return error;
}

static enum target_error transfer_physical(struct upstream *upstream, target_client client,
                                           enum target_access access, struct target_span *spans,
                                           size_t count, bool write)
{
    enum target_error error = refuse_spans(spans, count, physical_ready(upstream));
    if (error != TARGET_OK)
        return error;
    if (write)
        translate_written(upstream->translate, spans, count);
    error = ways_physical(upstream->ways, client, access, spans, count, write);
    /* a device may move the map about (PAM, BARs by ECAM, SMRAM) */
    if (access == TARGET_ACCESS_NATURAL && write)
        translate_map_changed(upstream->translate);
    else if (write)
        translate_written(upstream->translate, spans, count);
    return error;
}

static enum target_error read_physical(struct target *target, target_client client,
                                       enum target_access access, struct target_span *spans,
                                       size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_physical(upstream, client, access, spans, count, false);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error write_physical(struct target *target, target_client client,
                                        enum target_access access, struct target_span *spans,
                                        size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_physical(upstream, client, access, spans, count, true);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error access_device(struct target *target, target_client client,
                                       const struct target_seen *seen, struct target_span *spans,
                                       size_t count, bool write, const char **doubt)
{
    struct upstream *upstream = upstream_of(target);
    *doubt = NULL;
    ways_enter(upstream->ways);
    enum target_error error = refuse_spans(spans, count, physical_ready(upstream));
    if (error == TARGET_OK) {
        error = ways_device(upstream->ways, client, seen, spans, count, write, doubt);
        if (write)
            translate_map_changed(upstream->translate);
    }
    ways_leave(upstream->ways);
    return error;
}

static enum target_error fill_physical(struct target *target, target_client client,
                                       uint64_t physical, uint64_t length, uint8_t byte,
                                       uint64_t *done)
{
    struct upstream *upstream = upstream_of(target);
    (void)client;
    *done = 0;
    ways_enter(upstream->ways);
    enum target_error error = physical_ready(upstream);
    if (error == TARGET_OK) {
        struct target_span span = {.address = physical, .length = (size_t)length};
        translate_written(upstream->translate, &span, 1);
        error = ways_fill(upstream->ways, physical, length, byte, done);
        translate_written(upstream->translate, &span, 1);
    }
    ways_leave(upstream->ways);
    return error;
}

/* While the target runs: what the monitor prints */

/* The bytes of the monitor's `x /Nxb`: lines "ADDRESS: 0x12 0x34 …", the last of them maybe
 * "ADDRESS: Cannot access memory". Returns how many were there, at most length. */
static size_t parse_dump(const char *text, uint8_t *bytes, size_t length)
{
    size_t count = 0;
    while (count < length && *text) {
        size_t line = strcspn(text, "\n");
        const char *end = text + line;
        const char *at = memchr(text, ':', line);
        at = at ? at + 1 : end;
        while (count < length && end - at >= 5 && memcmp(at, " 0x", 3) == 0 &&
               hex_decode(&bytes[count], at + 3, 2)) {
            count++;
            at += 5;
        }
        while (at < end && (*at == ' ' || *at == '\r'))
            at++;
        if (at < end)
            break; /* anything else: it cannot be read */
        text = *end ? end + 1 : end;
    }
    return count;
}

static enum target_error live_span(struct upstream *upstream, target_client client, unsigned cpu,
                                   struct target_span *span, struct buffer *text)
{
    char line[64];
    uint64_t address;
    span->done = 0;
    span->error = translate_narrow(upstream->translate, client, cpu, span->address, &address);
    if (span->error != TARGET_OK || span->length == 0)
        return span->error;
    buffer_clear(text);
    snprintf(line, sizeof line, "x /%zuxb 0x%" PRIx64, span->length, address);
    span->error = monitor_run(&upstream->stub.monitor, client,
                              stub_monitor_cpu(&upstream->stub, cpu), line, text, NULL);
    if (span->error == TARGET_OK) {
        span->done = parse_dump(buffer_text(text), span->bytes, span->length);
        span->error = span->done == span->length ? TARGET_OK : TARGET_FAULT;
    }
    return span->error;
}

static enum target_error read_live(struct target *target, target_client client, unsigned cpu,
                                   struct target_span *spans, size_t count)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && cpu >= upstream->stub.processors)
        error = TARGET_INVALID;
    if (error == TARGET_OK && !stub_running(&upstream->stub))
        return read_virtual(target, client, cpu, spans, count);
    if (error == TARGET_OK && !upstream->kind->machine)
        error = TARGET_RUNNING;
    refuse_spans(spans, count, error);
    if (error != TARGET_OK)
        return error;
    struct buffer text = {0};
    ways_enter(upstream->ways);
    for (size_t i = 0; i < count; i++) {
        enum target_error one = live_span(upstream, client, cpu, &spans[i], &text);
        error = error == TARGET_OK ? one : error;
    }
    ways_leave(upstream->ways);
    buffer_free(&text);
    return error;
}

static enum target_error classify(struct target *target, target_client client, uint64_t physical,
                                  struct target_region *out)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    return error != TARGET_OK ? error
                              : translate_classify(upstream->translate, client, physical, out);
}

const struct target_memory upstream_memory = {
    .classify = classify,
    .read_virtual = read_virtual,
    .write_virtual = write_virtual,
    .read_physical = read_physical,
    .write_physical = write_physical,
    .read_live = read_live,
    .access_device = access_device,
    .fill_physical = fill_physical,
};
