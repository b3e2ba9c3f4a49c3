/* The processor's port space: by qtest, or by the monitor. */
#include "upstream/upstream_ports.h"

#include "base/buffer.h"
#include "upstream/link/monitor_text.h"
#include "upstream/translate/translate.h"
#include "upstream/upstream.h"
#include "upstream/ways/ways.h"

#include <stdio.h>

static enum target_error port_command(struct upstream *upstream, target_client client,
                                      const char *line, struct buffer *text, char *message,
                                      size_t size)
{
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && !upstream->info.ports)
        error = TARGET_UNSUPPORTED;
    if (error != TARGET_OK) {
        snprintf(message, size, "%s", target_error_text(error));
        return error;
    }
    ways_enter(upstream->ways);
    error = monitor_run(&upstream->stub.monitor, client, 0, line, text, message, size);
    ways_leave(upstream->ways);
    return error;
}

/* TARGET_UNSUPPORTED: nothing was done, the monitor is to be asked. */
static enum target_error by_qtest(struct upstream *upstream, uint16_t port, unsigned size,
                                  uint32_t *value, bool write, char *message, size_t message_size)
{
    if (!run_state_attached(&upstream->state) || !upstream->info.ports)
        return TARGET_UNSUPPORTED;
    ways_enter(upstream->ways);
    enum target_error error =
        ways_port(upstream->ways, port, size, value, write, message, message_size);
    ways_leave(upstream->ways);
    return error;
}

enum target_error upstream_port_in(struct target *target, target_client client, uint16_t port,
                                   unsigned size, uint32_t *value, char *message,
                                   size_t message_size)
{
    struct upstream *upstream = upstream_of(target);
    struct buffer text = {0};
    char line[MONITOR_LINE_SIZE];
    if (!monitor_text_port_in(line, port, size)) {
        snprintf(message, message_size, "no such port access");
        return TARGET_INVALID;
    }
    enum target_error error = by_qtest(upstream, port, size, value, false, message, message_size);
    if (error != TARGET_UNSUPPORTED)
        return error;
    error = port_command(upstream, client, line, &text, message, message_size);
    ways_count(upstream->ways, WAY_MONITOR, false, error == TARGET_OK ? size : 0);
    if (error == TARGET_OK &&
        !monitor_text_parse_port_in(monitor_printed(&text), port, size, value)) {
        monitor_text_message(monitor_printed(&text), message, message_size);
        error = TARGET_FAILED;
    }
    buffer_free(&text);
    return error;
}

enum target_error upstream_port_out(struct target *target, target_client client, uint16_t port,
                                    unsigned size, uint32_t value, char *message,
                                    size_t message_size)
{
    struct upstream *upstream = upstream_of(target);
    struct buffer text = {0};
    char line[MONITOR_LINE_SIZE];
    if (!monitor_text_port_out(line, port, size, value)) {
        snprintf(message, message_size, "no such port access");
        return TARGET_INVALID;
    }
    enum target_error error = by_qtest(upstream, port, size, &value, true, message, message_size);
    if (error != TARGET_UNSUPPORTED) {
        translate_map_changed(upstream->translate);
        return error;
    }
    error = port_command(upstream, client, line, &text, message, message_size);
    ways_count(upstream->ways, WAY_MONITOR, true, error == TARGET_OK ? size : 0);
    if (error == TARGET_OK &&
        monitor_text_message(monitor_printed(&text), message, message_size)[0])
        error = TARGET_FAILED;
    buffer_free(&text);
    translate_map_changed(upstream->translate);
    return error;
}

enum target_error upstream_ports_out(struct target *target, target_client client,
                                     struct target_port_write *writes, size_t count, char *message,
                                     size_t message_size)
{
    struct upstream *upstream = upstream_of(target);
    (void)client;
    if (!run_state_attached(&upstream->state) || !upstream->info.ports)
        return TARGET_UNSUPPORTED;
    ways_enter(upstream->ways);
    enum target_error error = ways_ports_out(upstream->ways, writes, count, message, message_size);
    ways_leave(upstream->ways);
    if (error != TARGET_UNSUPPORTED)
        translate_map_changed(upstream->translate);
    return error;
}
