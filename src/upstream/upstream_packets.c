/* What others say in their own words: monitor commands, and requests that are passed on. What must
 * not get past us is stopped here, or done our way. */
#include "upstream/upstream_packets.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "upstream/upstream.h"
#include "upstream/upstream_kind.h"
#include "upstream/ways/ways.h"

#include <string.h>

static enum target_error monitor(struct target *target, target_client client, unsigned cpu,
                                 const char *command, struct buffer *text)
{
    struct upstream *upstream = upstream_of(target);
    struct failure failure = {0};
    enum target_error error = upstream_ready(upstream);
    if (error != TARGET_OK)
        return error;
    if (upstream->kind->run_command &&
        upstream->kind->run_command(target, client, command, text, &error))
        return error;
    ways_enter(upstream->ways);
    error = monitor_run(&upstream->stub.monitor, client, stub_monitor_cpu(&upstream->stub, cpu),
                        command, text, &failure);
    ways_leave(upstream->ways);
    if (error == TARGET_FAILED)
        buffer_append(text, failure.text, strlen(failure.text));
    /* There is no knowing what it has done; `cpu` has moved the monitor away. */
    if (run_state_attached(&upstream->state) && !upstream_is_command(command, "info")) {
        rsp_client_forget_modes(upstream->stub.rsp);
        upstream_memory_changed(upstream);
    }
    return error;
}

static enum target_error packet_thread(struct target *target, target_client client, uint64_t thread,
                                       const void *payload, size_t length, struct buffer *reply)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && !upstream->kind->packet_allowed(&upstream->stub, payload, length))
        error = TARGET_INVALID;
    if (error != TARGET_OK)
        return error;
    struct rsp_operation operation = {.payload = payload,
                                      .length = length,
                                      .escape = true,
                                      .kind = RSP_REQUEST,
                                      .client = client,
                                      .thread = thread,
                                      .space = RSP_SPACE_VIRTUAL};
    ways_enter(upstream->ways);
    error = rsp_client_call(upstream->stub.rsp, &operation, reply);
    ways_leave(upstream->ways);
    /* Registers decide what memory a processor sees. */
    if (strchr("GPMX", ((const char *)payload)[0]) && run_state_attached(&upstream->state))
        upstream_memory_changed(upstream);
    return error;
}

const struct target_packets upstream_packets = {
    .monitor = monitor,
    .packet_thread = packet_thread,
};
