/* Attaching to the stub and the monitor, and leaving them as they were found. */
#include "upstream/upstream_internal.h"

#include "base/log.h"
#include "upstream/link/process.h"
#include "upstream/machine/attach.h"
#include "upstream/machine/byte_order.h"

#include <stdio.h>
#include <string.h>

static void fill_info(struct upstream *upstream)
{
    const struct stub *stub = &upstream->stub;
    struct target_info *info = &upstream->info;
    char gdb[ENDPOINT_TEXT_SIZE], qmp[ENDPOINT_TEXT_SIZE];
    memset(info, 0, sizeof *info);
    snprintf(info->architecture, sizeof info->architecture, "%s", stub->architecture);
    char line[2 * ENDPOINT_TEXT_SIZE + sizeof stub->version + 32];
    endpoint_format(&upstream->config.gdb, gdb);
    if (upstream->qmp)
        snprintf(line, sizeof line, "%s (gdb %s, qmp %s)", stub->version, gdb,
                 endpoint_format(&upstream->config.qmp, qmp));
    else
        snprintf(line, sizeof line, "%s (gdb %s)", stub->version, gdb);
    snprintf(info->upstream, sizeof info->upstream, "%.*s", (int)sizeof info->upstream - 1, line);
    info->big_endian = stub->order == BYTE_ORDER_BIG;
    info->order_unknown = stub->order == BYTE_ORDER_UNKNOWN;
    info->processors = stub->processors;
    info->physical = stub->qemu;
    info->ports = stub->qemu && stub->x86;
    info->qemu = stub->qemu;
    info->features = stub->features ? stub->features : "";
    info->description = &stub->description;
    info->pointer_size = stub->width == STUB_WIDTH_32 ? 4 : 8;
    unsigned size;
    if (translate_pointer_size(upstream->translate, 0, 0, &size) == TARGET_OK)
        info->pointer_size = size;
}

static enum target_error ask_running(struct upstream *upstream, bool *running, char *message,
                                     size_t size)
{
    json_t *result = NULL;
    enum target_error error =
        qmp_execute(upstream->qmp, "query-status", NULL, &result, message, size);
    json_t *answer = json_object_get(result, "running");
    *running = json_is_true(answer);
    if (error == TARGET_OK && !json_is_boolean(answer)) {
        snprintf(message, size, "the answer to query-status does not say whether the guest runs");
        error = TARGET_FAILED;
    }
    json_decref(result);
    return error;
}

/* After a loss the same guest may be there still, as we left it: then it is not the state that it
 * is found in which counts. Returns whether it is to run when we leave. */
static bool recall(struct upstream *upstream, bool *running)
{
    bool owed = upstream->left_halted, intruded = upstream->intruded;
    upstream->left = upstream->left_halted = upstream->left_running = upstream->intruded = false;
    if (!upstream->stub.qemu || strcmp(upstream->stub.status, "prelaunch") == 0)
        return false; /* another guest, or one that was started anew */
    /* Our request has halted what another had resumed. */
    *running = *running || intruded;
    return owed;
}

/* The process at the other end, 0 where that is none of this system or no QEMU: then another may
 * have come behind it meanwhile. */
static pid_t peer_of(const struct upstream *upstream)
{
    pid_t pid = rsp_client_peer(upstream->stub.rsp);
    return pid > 0 && process_is_qemu(pid) ? pid : 0;
}

/* Nothing tells whether the guest ran before our connect. It is as we left it when it is the one
 * that we lost; else the configuration says it. */
static enum target_error decide(struct upstream *upstream, bool *running, char *message,
                                size_t size)
{
    bool known = upstream->peer > 0 && upstream->left_peer > 0;
    if (upstream->left && (!known || upstream->peer == upstream->left_peer)) {
        *running = upstream->left_running;
        if (!known)
            log_warning(ROOM,
                        "nothing tells whether this is the guest that was lost: it is taken "
                        "for it, and %s",
                        *running ? "goes on running" : "stays halted");
        return TARGET_OK;
    }
    *running = upstream->config.found == FOUND_RUNNING;
    if (upstream->config.found != FOUND_UNKNOWN)
        return TARGET_OK;
    upstream->undecided = true;
    snprintf(message, size,
             "nothing tells whether the guest ran before this connection (there is no QMP monitor, "
             "and %s does not say): it may be halted now, and 'cont' in its monitor lets it go on. "
             "--found running or --found halted says it beforehand",
             upstream->stub.version);
    return TARGET_FAILED;
}

/* What is wrong, said of which of the two ends: there it may be served to somebody else already. */
static void name_end(const struct endpoint *endpoint, char *message, size_t size)
{
    char text[ENDPOINT_TEXT_SIZE], reason[512];
    endpoint_format(endpoint, text);
    if (strncmp(message, text, strlen(text)) == 0)
        return;
    snprintf(reason, sizeof reason, "%s", message);
    snprintf(message, size, "%s: %s", text, reason);
}

/* The monitor comes first: it knows whether the guest runs, before our connect stops it. */
static enum target_error connect_monitor(struct upstream *upstream, bool *running, char *message,
                                         size_t size)
{
    enum target_error error = qmp_connect(upstream->qmp, message, size);
    if (error == TARGET_OK)
        error = ask_running(upstream, running, message, size);
    if (error != TARGET_OK)
        name_end(&upstream->config.qmp, message, size);
    return error;
}

/* running becomes true when the guest ran before our connect, as far as others than QMP tell. */
static enum target_error connect_stub(struct upstream *upstream, bool *running, char *message,
                                      size_t size)
{
    enum found found = FOUND_UNKNOWN;
    enum target_error error =
        rsp_client_connect(upstream->stub.rsp, &upstream->config.gdb, message, size);
    upstream->peer = peer_of(upstream);
    if (error == TARGET_OK)
        error = attach_stub(&upstream->stub, upstream->qmp, upstream->config.pipeline, &found,
                            message, size);
    *running = *running || found == FOUND_RUNNING;
    if (error == TARGET_OK && found == FOUND_UNKNOWN && !upstream->qmp)
        error = decide(upstream, running, message, size);
    if (error != TARGET_OK)
        name_end(&upstream->config.gdb, message, size);
    return error;
}

/* An attach that failed leaves nothing connected, and a guest that ran running. */
static void back_out(struct upstream *upstream, bool running)
{
    struct rsp_client *rsp = upstream->stub.rsp;
    ways_close(upstream->ways);
    rsp_client_close(rsp);
    if (!upstream->qmp)
        return;
    /* The connect has stopped it, unless the stub said nothing: it is another's then, who may have
     * halted the guest meanwhile. */
    char ignored[64];
    if (running && rsp_client_heard(rsp) && qmp_connected(upstream->qmp))
        qmp_execute(upstream->qmp, "cont", NULL, NULL, ignored, sizeof ignored);
    qmp_disconnect(upstream->qmp, "the attach failed");
}

enum target_error upstream_try_attach(struct upstream *upstream, char *message, size_t size)
{
    struct rsp_client *rsp = upstream->stub.rsp;
    enum target_error error = TARGET_OK;
    bool running = false;
    upstream->undecided = false;
    if (upstream->qmp)
        error = connect_monitor(upstream, &running, message, size);
    if (error != TARGET_OK)
        goto fail;
    if (upstream->closing) { /* since the last answer came */
        error = TARGET_GONE;
        snprintf(message, size, "called off");
        goto fail;
    }
    error = connect_stub(upstream, &running, message, size);
    if (error != TARGET_OK)
        goto fail;
    bool owed = recall(upstream, &running);
    upstream->found_running = running || owed;
    translate_all_changed(upstream->translate);
    error = ways_open(upstream->ways, message, size);
    if (error != TARGET_OK)
        goto fail;
    bool big_endian;
    if (ways_big_endian(upstream->ways, &big_endian))
        byte_order_by_qtest(&upstream->stub, big_endian);
    fill_info(upstream);
    if (!rsp_client_connected(rsp)) {
        snprintf(message, size, "%s", rsp_client_reason(rsp));
        error = TARGET_GONE;
        goto fail;
    }
    upstream->attached = true;
    run_control_attached(upstream->run, upstream->stub.stop);
    log_info(ROOM, "attached to %s: %s, %u processor(s), %s", upstream->info.upstream,
             upstream->info.architecture[0] ? upstream->info.architecture : "unknown architecture",
             upstream->info.processors, running ? "was running" : "halted");
    if (running && !upstream->config.attach_halt)
        error = run_control_resume(upstream->run, 0, TARGET_RESUME_GO, 0, message, size);
    return error;
fail:
    back_out(upstream, running);
    return error;
}

enum target_error upstream_attach(struct target *target, char *message, size_t size)
{
    struct upstream *upstream = upstream_of(target);
    return upstream_try_attach(upstream, message, size);
}

void upstream_call_off(struct target *target)
{
    struct upstream *upstream = upstream_of(target);
    upstream->closing = true;
    task_cond_broadcast(&upstream->wakeup);
    if (upstream->attached)
        return;
    /* Once the stub is connected the monitor is needed still: the guest may have to run again. */
    if (upstream->qmp && !rsp_client_connected(upstream->stub.rsp))
        qmp_disconnect(upstream->qmp, "called off");
    rsp_client_close(upstream->stub.rsp);
}

/* Detach */

/* Back to the run state that we found. */
static void restore(struct upstream *upstream)
{
    struct rsp_client *rsp = upstream->stub.rsp;
    char message[256] = "";
    enum target_error error = TARGET_OK;
    if (!upstream->found_running && run_control_state(upstream->run) == TARGET_STATE_RUNNING) {
        run_control_interrupt(upstream->run);
        error = run_control_wait(upstream->run, upstream->config.timeout, NULL, message,
                                 sizeof message);
    }
    if (error == TARGET_OK && run_control_state(upstream->run) == TARGET_STATE_HALTED) {
        /* Takes out what breakpoints we have set. */
        struct rsp_operation status = {.payload = "?", .length = 1, .kind = RSP_STATUS};
        if (upstream->stub.qemu)
            error = rsp_client_call(rsp, &status, NULL);
        if (error == TARGET_OK)
            error = rsp_client_settle(rsp);
        if (error == TARGET_OK && upstream->found_running)
            error =
                run_control_resume(upstream->run, 0, TARGET_RESUME_GO, 0, message, sizeof message);
    }
    if (error != TARGET_OK)
        log_warning(ROOM, "the target could not be left as it was found (%s): %s",
                    upstream->found_running ? "running" : "halted", target_error_text(error));
    rsp_client_drain(rsp);
}

void upstream_detach(struct target *target)
{
    struct upstream *upstream = upstream_of(target);
    upstream->closing = true;
    task_cond_broadcast(&upstream->wakeup);
    while (upstream->reattaching)
        task_cond_wait(&upstream->wakeup, -1);
    if (upstream->attached)
        restore(upstream);
    bool attached = upstream->attached;
    upstream->attached = false;
    ways_close(upstream->ways);
    rsp_client_close(upstream->stub.rsp);
    if (upstream->qmp)
        qmp_disconnect(upstream->qmp, "detached");
    run_control_quiesce(upstream->run);
    while (upstream->saving)
        task_cond_wait(&upstream->wakeup, -1);
    if (attached) {
        log_info(ROOM, "detached from %s", upstream->info.upstream);
        run_control_lost(upstream->run, "detached");
    }
}
