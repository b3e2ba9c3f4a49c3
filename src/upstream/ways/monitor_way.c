/* Ports by QEMU's monitor, one command each. */
#include "upstream/ways/monitor_way.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "upstream/link/monitor_text.h"

#include <stdlib.h>

static struct way *make(const struct way_context *context)
{
    struct way *way = malloc(sizeof *way);
    if (way)
        way_init(way, &monitor_way, context);
    return way;
}

static void end(struct way *way)
{
    free(way);
}

static bool is_open(const struct way *way)
{
    return rsp_client_connected(way->context->stub->rsp) && way->context->stub->has_monitor;
}

/* What the command printed. */
static enum target_error take(struct way_port *access, const struct buffer *printed,
                              struct failure *failure)
{
    if (access->write)
        return monitor_complaint(printed, failure);
    if (monitor_text_parse_port_in(buffer_text(printed), access->port, access->size,
                                   &access->value))
        return TARGET_OK;
    monitor_complaint(printed, failure);
    return failure_recode(failure, TARGET_FAILED);
}

static enum target_error port(struct way *way, struct way_port *access, struct failure *failure)
{
    struct buffer text = {0};
    char line[MONITOR_LINE_SIZE];
    bool made = access->write
                    ? monitor_text_port_out(line, access->port, access->size, access->value)
                    : monitor_text_port_in(line, access->port, access->size);
    if (!made)
        return failure_set(failure, TARGET_INVALID, "no such port access");
    enum target_error error =
        monitor_run(&way->context->stub->monitor, access->client, 0, line, &text, failure);
    way_count(way, access->write, error == TARGET_OK ? access->size : 0);
    if (error == TARGET_OK)
        error = take(access, &text, failure);
    buffer_free(&text);
    return error;
}

const struct way_ops monitor_way = {
    .name = "monitor", .make = make, .free = end, .is_open = is_open, .port = port};
