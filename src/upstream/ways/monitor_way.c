/* Ports by QEMU's monitor, one command each. */
#include "upstream/ways/monitor_way.h"

#include "base/buffer.h"
#include "upstream/link/monitor_text.h"

#include <stdio.h>
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

/* What the command printed. False: message says what was wrong. */
static bool take(struct way_port *access, const char *printed, char *message, size_t size)
{
    if (!access->write) {
        if (monitor_text_parse_port_in(printed, access->port, access->size, &access->value))
            return true;
        monitor_text_message(printed, message, size);
        return false;
    }
    return monitor_text_message(printed, message, size)[0] == '\0';
}

static enum target_error port(struct way *way, struct way_port *access, char *message, size_t size)
{
    struct buffer text = {0};
    char line[MONITOR_LINE_SIZE];
    bool made = access->write
                    ? monitor_text_port_out(line, access->port, access->size, access->value)
                    : monitor_text_port_in(line, access->port, access->size);
    if (!made) {
        snprintf(message, size, "no such port access");
        return TARGET_INVALID;
    }
    enum target_error error =
        monitor_run(&way->context->stub->monitor, access->client, 0, line, &text, message, size);
    way_count(way, access->write, error == TARGET_OK ? access->size : 0);
    if (error == TARGET_OK && !take(access, monitor_printed(&text), message, size))
        error = TARGET_FAILED;
    buffer_free(&text);
    return error;
}

const struct way_ops monitor_way = {
    .name = "monitor", .make = make, .free = end, .is_open = is_open, .port = port};
