/* Hides whether a monitor command goes through the stub or through QMP. */
#include "upstream/link/monitor.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "base/hex.h"
#include "upstream/link/monitor_text.h"
#include "upstream/link/qmp.h"

#include <string.h>

static const char prefix[] = "qRcmd,";
#define PREFIX_LENGTH (sizeof prefix - 1)

size_t monitor_payload(char *payload, const char *command)
{
    size_t length = strlen(command);
    if (length > (MONITOR_PAYLOAD_SIZE - PREFIX_LENGTH) / 2)
        length = (MONITOR_PAYLOAD_SIZE - PREFIX_LENGTH) / 2;
    memcpy(payload, prefix, PREFIX_LENGTH);
    hex_encode(payload + PREFIX_LENGTH, (const uint8_t *)command, length);
    return PREFIX_LENGTH + 2 * length;
}

static enum target_error run_by_stub(const struct monitor *monitor, target_client client,
                                     unsigned monitor_cpu, const char *command, struct buffer *text,
                                     struct failure *failure)
{
    struct buffer payload = {0};
    struct buffer reply = {0};
    size_t length = strlen(command);
    enum target_error error = TARGET_NO_MEMORY;
    if (!buffer_append(&payload, prefix, PREFIX_LENGTH))
        goto done;
    uint8_t *room = buffer_reserve(&payload, 2 * length);
    if (!room)
        goto done;
    hex_encode((char *)room, (const uint8_t *)command, length);
    buffer_commit(&payload, 2 * length);
    struct rsp_operation operation = {
        .payload = buffer_bytes(&payload),
        .length = payload.length,
        .kind = RSP_COMMAND,
        .client = client,
        .monitor_cpu = monitor_cpu,
        .output = text,
    };
    error = rsp_client_call(monitor->rsp, &operation, &reply);
    if (error == TARGET_OK && reply.length == 0)
        error = TARGET_UNSUPPORTED;
    else if (error == TARGET_OK && strcmp((const char *)buffer_bytes(&reply), "OK") != 0) {
        error = failure_set(failure, TARGET_FAILED, "the stub answered '%.60s'",
                            (const char *)buffer_bytes(&reply));
    }
done:
    buffer_free(&payload);
    buffer_free(&reply);
    return error;
}

enum target_error monitor_run(const struct monitor *monitor, target_client client,
                              unsigned monitor_cpu, const char *command, struct buffer *text,
                              struct failure *failure)
{
    struct rsp_client *rsp = monitor->rsp;
    failure_clear(failure);
    enum target_error error = TARGET_RUNNING;
    if (!rsp_client_connected(rsp))
        return TARGET_GONE;
    if (!rsp_client_running(rsp))
        error = run_by_stub(monitor, client, monitor_cpu, command, text, failure);
    if (error == TARGET_RUNNING && monitor->qmp && qmp_connected(monitor->qmp)) {
        error = qmp_hmp(monitor->qmp, (int)monitor_cpu - 1, command, text, failure);
    }
    if (error != TARGET_OK)
        failure_complete(failure, error, target_error_text(error));
    return error;
}

enum target_error monitor_run_long(const struct monitor *monitor, target_client client,
                                   const char *command, struct buffer *text,
                                   struct failure *failure)
{
    if (monitor->qmp && qmp_connected(monitor->qmp) && rsp_client_connected(monitor->rsp) &&
        qmp_hmp(monitor->qmp, -1, command, text, failure) == TARGET_OK)
        return TARGET_OK;
    buffer_clear(text);
    return monitor_run(monitor, client, 0, command, text, failure);
}

enum target_error monitor_complaint(const struct buffer *text, struct failure *failure)
{
    char said[FAILURE_SIZE];
    if (monitor_text_message(buffer_text(text), said, sizeof said)[0] == '\0')
        return TARGET_OK;
    return failure_set(failure, TARGET_FAILED, "%s", said);
}
