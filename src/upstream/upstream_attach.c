/* Hides how a target is attached to: in which order, what is told of a guest that ran before, and
 * what of one that was lost. */
#include "upstream/upstream_attach.h"

#include "base/endpoint.h"
#include "base/failure.h"
#include "base/log.h"
#include "upstream/gdbserver.h"
#include "upstream/link/process.h"
#include "upstream/link/qmp.h"
#include "upstream/machine/attach.h"
#include "upstream/machine/byte_order.h"
#include "upstream/qemu.h"
#include "upstream/run/run_control.h"
#include "upstream/translate/translate.h"
#include "upstream/upstream.h"
#include "upstream/ways/ways.h"

#include <stdio.h>
#include <string.h>

#define ROOM "target"

static void fill_info(const struct upstream_config *config, struct upstream *upstream)
{
    const struct stub *stub = &upstream->stub;
    struct target_info *info = &upstream->info;
    char gdb[ENDPOINT_TEXT_SIZE], qmp[ENDPOINT_TEXT_SIZE];
    memset(info, 0, sizeof *info);
    snprintf(info->architecture, sizeof info->architecture, "%s", stub->architecture);
    char line[2 * ENDPOINT_TEXT_SIZE + sizeof stub->version + 32];
    endpoint_format(&config->gdb, gdb);
    if (upstream->qmp)
        snprintf(line, sizeof line, "%s (gdb %s, qmp %s)", stub->version, gdb,
                 endpoint_format(&config->qmp, qmp));
    else
        snprintf(line, sizeof line, "%s (gdb %s)", stub->version, gdb);
    snprintf(info->upstream, sizeof info->upstream, "%.*s", (int)sizeof info->upstream - 1, line);
    info->big_endian = stub->order == BYTE_ORDER_BIG;
    info->order_unknown = stub->order == BYTE_ORDER_UNKNOWN;
    info->processors = stub->processors;
    info->physical = upstream->kind->machine;
    info->ports = upstream->kind->machine && stub->x86;
    info->qemu = upstream->kind->machine;
    info->features = stub->features ? stub->features : "";
    info->description = &stub->description;
    info->pointer_size = stub->width == STUB_WIDTH_32 ? 4 : 8;
    unsigned size;
    if (translate_pointer_size(upstream->translate, 0, 0, &size) == TARGET_OK)
        info->pointer_size = size;
}

static enum target_error ask_running(struct upstream *upstream, bool *running,
                                     struct failure *failure)
{
    json_t *result = NULL;
    enum target_error error = qmp_execute(upstream->qmp, "query-status", NULL, &result, failure);
    json_t *answer = json_object_get(result, "running");
    *running = json_is_true(answer);
    if (error == TARGET_OK && !json_is_boolean(answer))
        error = failure_set(failure, TARGET_FAILED,
                            "the answer to query-status does not say whether the guest runs");
    json_decref(result);
    return error;
}

/* After a loss the same guest may be there still, as we left it: then it is not the state that it
 * is found in which counts. Returns whether it is to run when we leave. */
static bool recall(struct upstream_connection *attach, bool *running)
{
    const struct upstream *upstream = attach->upstream;
    bool owed = attach->left.halted, intruded = attach->left.intruded;
    attach->left.there = attach->left.halted = attach->left.running = attach->left.intruded = false;
    if (!upstream->kind->machine || strcmp(upstream->stub.status, "prelaunch") == 0)
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
static enum target_error decide(struct upstream_connection *attach, bool *running,
                                struct failure *failure)
{
    bool known = attach->peer > 0 && attach->left.peer > 0;
    if (attach->left.there && (!known || attach->peer == attach->left.peer)) {
        *running = attach->left.running;
        if (!known)
            log_warning(ROOM,
                        "nothing tells whether this is the guest that was lost: it is taken "
                        "for it, and %s",
                        *running ? "goes on running" : "stays halted");
        return TARGET_OK;
    }
    *running = attach->config.found == FOUND_RUNNING;
    if (attach->config.found != FOUND_UNKNOWN)
        return TARGET_OK;
    attach->undecided = true;
    return failure_set(
        failure, TARGET_FAILED,
        "nothing tells whether the guest ran before this connection (there is no QMP monitor, "
        "and %s does not say): it may be halted now, and 'cont' in its monitor lets it go on. "
        "--found running or --found halted says it beforehand",
        attach->upstream->stub.version);
}

/* What is wrong, said of which of the two ends: there it may be served to somebody else already. */
static void name_end(const struct endpoint *endpoint, struct failure *failure)
{
    char text[ENDPOINT_TEXT_SIZE];
    const struct failure said = *failure;
    endpoint_format(endpoint, text);
    if (strncmp(said.text, text, strlen(text)) != 0)
        failure_set(failure, said.code, "%s: %s", text, said.text);
}

/* The monitor comes first: it knows whether the guest runs, before our connect stops it. */
static enum target_error connect_monitor(struct upstream_connection *attach, bool *running,
                                         struct failure *failure)
{
    struct upstream *upstream = attach->upstream;
    enum target_error error = qmp_connect(upstream->qmp, failure);
    if (error == TARGET_OK)
        error = ask_running(upstream, running, failure);
    if (error != TARGET_OK)
        name_end(&attach->config.qmp, failure);
    return error;
}

/* running becomes true when the guest ran before our connect, as far as others than QMP tell. */
static enum target_error connect_stub(struct upstream_connection *attach, bool *running,
                                      struct failure *failure)
{
    struct upstream *upstream = attach->upstream;
    enum found found = FOUND_UNKNOWN;
    enum target_error error = rsp_client_connect(upstream->stub.rsp, &attach->config.gdb, failure);
    attach->peer = peer_of(upstream);
    if (error == TARGET_OK)
        error = attach_stub(&upstream->stub, attach->config.pipeline, &found, failure);
    upstream->kind = upstream->stub.qemu ? &qemu_kind : &gdbserver_kind;
    upstream->target.ports = upstream->kind->ports;
    *running = *running || found == FOUND_RUNNING;
    if (error == TARGET_OK && found == FOUND_UNKNOWN && !upstream->qmp)
        error = decide(attach, running, failure);
    if (error != TARGET_OK)
        name_end(&attach->config.gdb, failure);
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
    if (running && rsp_client_heard(rsp) && qmp_connected(upstream->qmp))
        qmp_execute(upstream->qmp, "cont", NULL, NULL, NULL);
    qmp_disconnect(upstream->qmp, "the attach failed");
}

enum target_error upstream_attach_try(struct upstream_connection *attach, struct failure *failure)
{
    struct upstream *upstream = attach->upstream;
    struct rsp_client *rsp = upstream->stub.rsp;
    enum target_error error = TARGET_OK;
    bool running = false;
    attach->undecided = false;
    if (upstream->qmp)
        error = connect_monitor(attach, &running, failure);
    if (error != TARGET_OK)
        goto fail;
    if (attach->called_off) { /* since the last answer came */
        error = failure_set(failure, TARGET_GONE, "called off");
        goto fail;
    }
    error = connect_stub(attach, &running, failure);
    if (error != TARGET_OK)
        goto fail;
    bool owed = recall(attach, &running);
    attach->found_running = running || owed;
    translate_all_changed(upstream->translate);
    error = ways_open(upstream->ways, failure);
    if (error != TARGET_OK)
        goto fail;
    bool big_endian;
    if (ways_big_endian(upstream->ways, &big_endian))
        byte_order_by_qtest(&upstream->stub, big_endian);
    fill_info(&attach->config, upstream);
    if (!rsp_client_connected(rsp)) {
        error = failure_set(failure, TARGET_GONE, "%s", rsp_client_reason(rsp));
        goto fail;
    }
    run_control_attached(upstream->run, upstream->stub.stop);
    log_info(ROOM, "attached to %s: %s, %u processor(s), %s", upstream->info.upstream,
             upstream->info.architecture[0] ? upstream->info.architecture : "unknown architecture",
             upstream->info.processors, running ? "was running" : "halted");
    if (running && !attach->config.attach_halt)
        error = run_control_resume(upstream->run, 0, TARGET_RESUME_GO, 0, failure);
    if (error != TARGET_OK)
        failure_complete(failure, error, target_error_text(error));
    return error;
fail:
    back_out(upstream, running);
    return error;
}

void upstream_attach_call_off(struct upstream_connection *attach)
{
    struct upstream *upstream = attach->upstream;
    attach->called_off = true;
    if (run_state_attached(&upstream->state))
        return;
    /* Once the stub is connected the monitor is needed still: the guest may have to run again. */
    if (upstream->qmp && !rsp_client_connected(upstream->stub.rsp))
        qmp_disconnect(upstream->qmp, "called off");
    rsp_client_close(upstream->stub.rsp);
}

void upstream_attach_remember(struct upstream_connection *attach)
{
    const struct upstream *upstream = attach->upstream;
    attach->left.there = true;
    attach->left.peer = attach->peer;
    attach->left.running = upstream->state.ran;
    attach->left.halted = attach->found_running && !attach->left.running;
    attach->left.intruded = rsp_client_intruded(upstream->stub.rsp);
}

void upstream_attach_restore(struct upstream_connection *attach)
{
    struct upstream *upstream = attach->upstream;
    struct rsp_client *rsp = upstream->stub.rsp;
    char ignored[8];
    enum target_error error = TARGET_OK;
    if (!attach->found_running && run_control_state(upstream->run) == TARGET_STATE_RUNNING) {
        run_control_interrupt(upstream->run);
        error = run_control_wait(upstream->run, upstream->timeout, NULL, ignored, sizeof ignored);
    }
    if (error == TARGET_OK && run_control_state(upstream->run) == TARGET_STATE_HALTED) {
        /* Takes out what breakpoints we have set. */
        struct rsp_operation status = {.payload = "?", .length = 1, .kind = RSP_STATUS};
        if (upstream->kind->machine)
            error = rsp_client_call(rsp, &status, NULL);
        if (error == TARGET_OK)
            error = rsp_client_settle(rsp);
        if (error == TARGET_OK && attach->found_running)
            error = run_control_resume(upstream->run, 0, TARGET_RESUME_GO, 0, NULL);
    }
    if (error != TARGET_OK)
        log_warning(ROOM, "the target could not be left as it was found (%s): %s",
                    attach->found_running ? "running" : "halted", target_error_text(error));
    rsp_client_drain(rsp);
}
