#include "target/upstream_target.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/task.h"
#include "rsp/hex.h"
#include "target/attach.h"
#include "target/monitor.h"
#include "target/monitor_text.h"
#include "target/qmp.h"
#include "target/run_control.h"
#include "target/transfer.h"
#include "target/translate.h"
#include "target/ways.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM "target"

#define REATTACH_EVERY 1.0
/* A caller that always has something more to write does not keep the others from resuming. */
#define FLUSHES_MOST 1000

struct upstream {
    struct target target; /* first: the table of functions is found through it */
    struct ev_loop *loop;
    struct upstream_config config;
    struct target_listener listener;
    struct target_info info;
    struct stub stub;
    struct monitor monitor;
    struct qmp *qmp; /* NULL: not configured */
    struct translate *translate;
    struct ways *ways;
    struct run_control *run;
    bool attached;
    bool found_running; /* when we attached */
    /* how the last connection left it: halted though it was found running; running; halted by
     * a request of ours though another had resumed it */
    bool left_halted, left_running, intruded;
    bool closing;
    bool reattaching;
    bool saving; /* a task writes what is dirty, for the monitor is gone */
    char qmp_reason[256];
    struct task_cond wakeup; /* closing, or the end of one of these tasks */
};

static struct upstream *upstream_of(struct target *target)
{
    return (struct upstream *)target;
}

/* What comes from below */

static void on_state(void *context, enum target_state state, const char *text)
{
    struct upstream *upstream = context;
    if (upstream->listener.state_changed)
        upstream->listener.state_changed(upstream->listener.context, state, text);
}

static void memory_changed(struct upstream *upstream)
{
    translate_all_changed(upstream->translate);
    if (upstream->listener.memory_changed)
        upstream->listener.memory_changed(upstream->listener.context);
}

static void on_memory(void *context)
{
    memory_changed(context);
}

static void on_resumed(void *context)
{
    struct upstream *upstream = context;
    run_control_resumed(upstream->run);
}

static void on_stopped(void *context, bool running, const char *reply)
{
    struct upstream *upstream = context;
    if (upstream->attached)
        run_control_stopped(upstream->run, running, reply);
}

static void on_refused(void *context, const char *reply)
{
    struct upstream *upstream = context;
    run_control_refused(upstream->run, reply);
}

static void on_event(void *context, const char *name, json_t *data)
{
    struct upstream *upstream = context;
    (void)data;
    log_debug(ROOM, "QMP event %s", name);
    if (strcmp(name, "DEVICE_DELETED") == 0 || strcmp(name, "MEMORY_DEVICE_SIZE_CHANGE") == 0)
        translate_map_changed(upstream->translate);
    if (upstream->attached)
        run_control_event(upstream->run, name);
}

static enum target_error flush_for_resume(struct upstream *upstream, target_client client,
                                          char *message, size_t size);

static void leave_stub(struct upstream *upstream)
{
    rsp_client_fail(upstream->stub.rsp, "the QMP monitor is gone: %s", upstream->qmp_reason);
}

static void save_task(void *arg)
{
    struct upstream *upstream = arg;
    char message[256];
    (void)flush_for_resume(upstream, 0, message, sizeof message);
    if (!qmp_connected(upstream->qmp)) /* both may be back already */
        leave_stub(upstream);
    upstream->saving = false;
    task_cond_broadcast(&upstream->wakeup);
}

/* Without the monitor nothing tells of a resume by others, so the stub is left too, and both are
 * found again together. What is dirty is written before: the stub may still answer. */
static void on_qmp_closed(void *context, const char *reason)
{
    struct upstream *upstream = context;
    snprintf(upstream->qmp_reason, sizeof upstream->qmp_reason, "%s", reason);
    if (upstream->attached && !upstream->saving && rsp_client_connected(upstream->stub.rsp) &&
        run_control_state(upstream->run) == TARGET_STATE_HALTED)
        upstream->saving = task_spawn(upstream->loop, "save", save_task, upstream) != NULL;
    if (!upstream->saving)
        leave_stub(upstream);
}

static void reattach_task(void *arg);

static void on_lost(void *context, const char *reason)
{
    struct upstream *upstream = context;
    if (!upstream->attached)
        return; /* the attach under way fails by itself */
    upstream->attached = false;
    upstream->left_running = run_control_state(upstream->run) == TARGET_STATE_RUNNING;
    upstream->left_halted = upstream->found_running && !upstream->left_running;
    upstream->intruded = rsp_client_intruded(upstream->stub.rsp);
    upstream->info.features = "";
    upstream->info.description = NULL;
    log_warning(ROOM, "the target is lost: %s", reason);
    ways_close(upstream->ways);
    if (upstream->qmp)
        qmp_disconnect(upstream->qmp, reason);
    if (upstream->listener.lost)
        upstream->listener.lost(upstream->listener.context, reason);
    run_control_lost(upstream->run, reason);
    if (upstream->config.reattach && !upstream->closing && !upstream->reattaching)
        upstream->reattaching =
            task_spawn(upstream->loop, "reattach", reattach_task, upstream) != NULL;
}

/* Attach */

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
    info->big_endian = stub->big_endian;
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

/* Does the guest run, before our connect stops it? */
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
    bool owed = upstream->left_halted;
    /* Our request has halted what another had resumed; without QMP our connect may have, silently.
     */
    bool was_running = upstream->intruded || (upstream->left_running && !upstream->qmp);
    upstream->left_halted = upstream->left_running = upstream->intruded = false;
    if (!upstream->stub.qemu || strcmp(upstream->stub.status, "prelaunch") == 0)
        return false; /* another guest, or one that was started anew */
    *running = *running || was_running;
    return owed;
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

static enum target_error try_attach(struct upstream *upstream, char *message, size_t size)
{
    struct rsp_client *rsp = upstream->stub.rsp;
    enum target_error error = TARGET_OK;
    bool running = false, told = false;
    if (upstream->qmp) {
        error = qmp_connect(upstream->qmp, message, size);
        if (error == TARGET_OK)
            error = ask_running(upstream, &running, message, size);
        if (error != TARGET_OK) {
            name_end(&upstream->config.qmp, message, size);
            goto fail;
        }
    }
    if (upstream->closing) { /* since the last answer came */
        error = TARGET_GONE;
        snprintf(message, size, "called off");
        goto fail;
    }
    error = rsp_client_connect(rsp, &upstream->config.gdb, message, size);
    if (error == TARGET_OK)
        error = attach_stub(&upstream->stub, upstream->qmp, upstream->config.pipeline, &told,
                            message, size);
    running = running || told;
    if (error != TARGET_OK) {
        name_end(&upstream->config.gdb, message, size);
        goto fail;
    }
    bool owed = recall(upstream, &running);
    upstream->found_running = running || owed;
    translate_all_changed(upstream->translate);
    fill_info(upstream);
    error = ways_open(upstream->ways, message, size);
    if (error != TARGET_OK)
        goto fail;
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
    ways_close(upstream->ways);
    rsp_client_close(rsp);
    if (upstream->qmp) {
        /* The connect has stopped it, unless the stub said nothing: it is another's then, who
         * may have halted the guest meanwhile. */
        char ignored[64];
        if (running && rsp_client_heard(rsp) && qmp_connected(upstream->qmp))
            qmp_execute(upstream->qmp, "cont", NULL, NULL, ignored, sizeof ignored);
        qmp_disconnect(upstream->qmp, "the attach failed");
    }
    return error;
}

static void reattach_task(void *arg)
{
    struct upstream *upstream = arg;
    bool told = false;
    while (!upstream->closing) {
        task_cond_wait(&upstream->wakeup, REATTACH_EVERY);
        if (upstream->closing || upstream->attached)
            break;
        char message[512];
        if (try_attach(upstream, message, sizeof message) == TARGET_OK)
            break;
        if (upstream->closing)
            break;
        if (told)
            log_debug(ROOM, "cannot attach again: %s", message);
        else
            log_warning(ROOM, "cannot attach again, trying every second: %s", message);
        told = true;
    }
    upstream->reattaching = false;
    task_cond_broadcast(&upstream->wakeup);
}

enum target_error upstream_attach(struct target *target, char *message, size_t size)
{
    struct upstream *upstream = upstream_of(target);
    return try_attach(upstream, message, size);
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

/* Calls */

static enum target_state up_state(struct target *target)
{
    return run_control_state(upstream_of(target)->run);
}

static const struct target_info *up_info(struct target *target)
{
    struct upstream *upstream = upstream_of(target);
    /* These come and go. */
    upstream->info.live_physical = upstream->attached && ways_live(upstream->ways);
    upstream->info.live_virtual = upstream->attached && ways_live_virtual(upstream->ways);
    return &upstream->info;
}

/* What every call needs first. */
static enum target_error ready(const struct upstream *upstream)
{
    return upstream->attached ? TARGET_OK : TARGET_GONE;
}

static enum target_error up_translate(struct target *target, target_client client, unsigned cpu,
                                      const uint64_t *pages, size_t count,
                                      struct target_translation *out)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = ready(upstream);
    if (error == TARGET_OK)
        error = translate_pages(upstream->translate, client, cpu, pages, count, out);
    ways_leave(upstream->ways);
    return error;
}

static uint64_t up_translation_epoch(struct target *target)
{
    return translate_epoch(upstream_of(target)->translate);
}

static enum target_error up_classify(struct target *target, target_client client, uint64_t physical,
                                     struct target_region *out)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    return error != TARGET_OK ? error
                              : translate_classify(upstream->translate, client, physical, out);
}

static const char *printed(const struct buffer *text)
{
    return text->length > 0 ? (const char *)buffer_bytes(text) : "";
}

/* Nothing is sent: say so of every run. */
static enum target_error refuse_runs(struct target_run *runs, size_t count, enum target_error error)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].done = 0;
        runs[i].error = error;
    }
    return error;
}

/* Everything that may look at memory is between ways_enter and ways_leave. */
static enum target_error transfer_virtual(struct upstream *upstream, target_client client,
                                          unsigned cpu, struct target_run *runs, size_t count,
                                          bool write)
{
    struct stub *stub = &upstream->stub;
    enum target_error error = ready(upstream);
    if (error == TARGET_OK && cpu >= stub->processors)
        error = TARGET_INVALID;
    if (error == TARGET_OK && rsp_client_running(stub->rsp))
        error = TARGET_RUNNING;
    refuse_runs(runs, count, error);
    struct transfer_settings settings = {.stub = stub,
                                         .client = client,
                                         .space = RSP_SPACE_VIRTUAL,
                                         .thread = stub_memory_thread(stub, cpu),
                                         .write = write,
                                         .address_mask = UINT64_MAX};
    for (size_t i = 0; i < count && error == TARGET_OK; i++) {
        uint64_t narrow;
        runs[i].error =
            translate_narrow(upstream->translate, client, cpu, runs[i].address, &narrow);
        if (narrow != runs[i].address)
            settings.address_mask = UINT32_MAX;
        if (runs[i].error != TARGET_OK && runs[i].error != TARGET_FAULT)
            error = refuse_runs(runs, count, runs[i].error);
    }
    if (error != TARGET_OK)
        return error;
    if (settings.address_mask == UINT64_MAX &&
        ways_virtual(upstream->ways, client, cpu, runs, count, write)) {
        for (size_t i = 0; i < count && error == TARGET_OK; i++)
            error = runs[i].error;
        return error;
    }
    if (write)
        translate_written_virtual(upstream->translate, cpu, runs, count);
    error = transfer_runs(&settings, runs, count);
    ways_count_runs(upstream->ways, WAY_RSP, write, runs, count);
    if (write)
        translate_written_virtual(upstream->translate, cpu, runs, count);
    return error;
}

static enum target_error up_read_virtual(struct target *target, target_client client, unsigned cpu,
                                         struct target_run *runs, size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_virtual(upstream, client, cpu, runs, count, false);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error up_write_virtual(struct target *target, target_client client, unsigned cpu,
                                          struct target_run *runs, size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_virtual(upstream, client, cpu, runs, count, true);
    ways_leave(upstream->ways);
    return error;
}

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

static enum target_error live_run(struct upstream *upstream, target_client client, unsigned cpu,
                                  struct target_run *run, struct buffer *text)
{
    char line[64], message[128];
    uint64_t address;
    run->done = 0;
    run->error = translate_narrow(upstream->translate, client, cpu, run->address, &address);
    if (run->error != TARGET_OK || run->length == 0)
        return run->error;
    buffer_clear(text);
    snprintf(line, sizeof line, "x /%zuxb 0x%" PRIx64, run->length, address);
    run->error =
        monitor_run(&upstream->monitor, client, (int)cpu, line, text, message, sizeof message);
    if (run->error == TARGET_OK) {
        run->done = parse_dump(printed(text), run->bytes, run->length);
        run->error = run->done == run->length ? TARGET_OK : TARGET_FAULT;
    }
    return run->error;
}

static enum target_error up_read_live(struct target *target, target_client client, unsigned cpu,
                                      struct target_run *runs, size_t count)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    if (error == TARGET_OK && cpu >= upstream->stub.processors)
        error = TARGET_INVALID;
    if (error == TARGET_OK && !rsp_client_running(upstream->stub.rsp))
        return up_read_virtual(target, client, cpu, runs, count);
    if (error == TARGET_OK && !upstream->stub.qemu)
        error = TARGET_RUNNING;
    refuse_runs(runs, count, error);
    if (error != TARGET_OK)
        return error;
    struct buffer text = {0};
    ways_enter(upstream->ways);
    for (size_t i = 0; i < count; i++) {
        enum target_error one = live_run(upstream, client, cpu, &runs[i], &text);
        error = error == TARGET_OK ? one : error;
    }
    ways_leave(upstream->ways);
    buffer_free(&text);
    return error;
}

static enum target_error transfer_physical(struct upstream *upstream, target_client client,
                                           enum target_access access, struct target_run *runs,
                                           size_t count, bool write)
{
    struct stub *stub = &upstream->stub;
    enum target_error error = ready(upstream);
    if (error == TARGET_OK && !stub->qemu)
        error = TARGET_UNSUPPORTED;
    if (error == TARGET_OK && rsp_client_running(stub->rsp) && !ways_live(upstream->ways))
        error = TARGET_RUNNING;
    refuse_runs(runs, count, error);
    if (error != TARGET_OK)
        return error;
    if (write)
        translate_written(upstream->translate, runs, count);
    error = ways_physical(upstream->ways, client, access, runs, count, write);
    /* a device may move the map about (PAM, BARs by ECAM, SMRAM) */
    if (access == TARGET_ACCESS_NATURAL && write)
        translate_map_changed(upstream->translate);
    else if (write)
        translate_written(upstream->translate, runs, count);
    return error;
}

static enum target_error up_read_physical(struct target *target, target_client client,
                                          enum target_access access, struct target_run *runs,
                                          size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_physical(upstream, client, access, runs, count, false);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error up_write_physical(struct target *target, target_client client,
                                           enum target_access access, struct target_run *runs,
                                           size_t count)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = transfer_physical(upstream, client, access, runs, count, true);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error up_fill_physical(struct target *target, target_client client,
                                          uint64_t physical, uint64_t length, uint8_t byte,
                                          uint64_t *done)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    (void)client;
    *done = 0;
    if (error == TARGET_OK && !upstream->stub.qemu)
        error = TARGET_UNSUPPORTED;
    ways_enter(upstream->ways);
    if (error == TARGET_OK && rsp_client_running(upstream->stub.rsp) && !ways_live(upstream->ways))
        error = TARGET_RUNNING;
    if (error == TARGET_OK) {
        struct target_run run = {.address = physical, .length = (size_t)length};
        translate_written(upstream->translate, &run, 1);
        error = ways_fill(upstream->ways, physical, length, byte, done);
        translate_written(upstream->translate, &run, 1);
    }
    ways_leave(upstream->ways);
    return error;
}

static size_t up_transports(struct target *target, struct target_transport *out, size_t most)
{
    return ways_list(upstream_of(target)->ways, out, most);
}

/* Ports */

static enum target_error port_command(struct upstream *upstream, target_client client,
                                      const char *line, struct buffer *text, char *message,
                                      size_t size)
{
    enum target_error error = ready(upstream);
    if (error == TARGET_OK && !upstream->info.ports)
        error = TARGET_UNSUPPORTED;
    if (error != TARGET_OK) {
        snprintf(message, size, "%s", target_error_text(error));
        return error;
    }
    ways_enter(upstream->ways);
    error = monitor_run(&upstream->monitor, client, -1, line, text, message, size);
    ways_leave(upstream->ways);
    return error;
}

/* TARGET_UNSUPPORTED: nothing was done, the monitor is to be asked. */
static enum target_error by_qtest(struct upstream *upstream, uint16_t port, unsigned size,
                                  uint32_t *value, bool write, char *message, size_t message_size)
{
    if (!upstream->attached || !upstream->info.ports)
        return TARGET_UNSUPPORTED;
    ways_enter(upstream->ways);
    enum target_error error =
        ways_port(upstream->ways, port, size, value, write, message, message_size);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error up_port_in(struct target *target, target_client client, uint16_t port,
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
    if (error == TARGET_OK && !monitor_text_parse_port_in(printed(&text), port, size, value)) {
        monitor_text_message(printed(&text), message, message_size);
        error = TARGET_FAILED;
    }
    buffer_free(&text);
    return error;
}

static enum target_error up_port_out(struct target *target, target_client client, uint16_t port,
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
    if (error == TARGET_OK && monitor_text_message(printed(&text), message, message_size)[0])
        error = TARGET_FAILED;
    buffer_free(&text);
    translate_map_changed(upstream->translate);
    return error;
}

static enum target_error up_ports_out(struct target *target, target_client client,
                                      struct target_port_write *writes, size_t count, char *message,
                                      size_t message_size)
{
    struct upstream *upstream = upstream_of(target);
    (void)client;
    if (!upstream->attached || !upstream->info.ports)
        return TARGET_UNSUPPORTED;
    ways_enter(upstream->ways);
    enum target_error error = ways_ports_out(upstream->ways, writes, count, message, message_size);
    ways_leave(upstream->ways);
    if (error != TARGET_UNSUPPORTED)
        translate_map_changed(upstream->translate);
    return error;
}

static enum target_error up_has_pci_bus(struct target *target, target_client client, unsigned bus,
                                        bool *present)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    return error != TARGET_OK ? error
                              : translate_has_bus(upstream->translate, client, bus, present);
}

static enum target_error up_pointer_size(struct target *target, target_client client, unsigned cpu,
                                         unsigned *size)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    return error != TARGET_OK ? error
                              : translate_pointer_size(upstream->translate, client, cpu, size);
}

/* Run control */

/* Have everything written that must be in the target when it resumes. On TARGET_OK nothing is left,
 * and the caller must not suspend before it resumes. */
static enum target_error flush_for_resume(struct upstream *upstream, target_client client,
                                          char *message, size_t size)
{
    const struct target_listener *listener = &upstream->listener;
    if (size > 0)
        message[0] = 0;
    bool wrote = true;
    for (int i = 0; wrote; i++) {
        enum target_state state = run_control_state(upstream->run);
        if (state != TARGET_STATE_HALTED)
            return state == TARGET_STATE_LOST ? TARGET_GONE : TARGET_RUNNING;
        wrote = false;
        if (listener->before_resume &&
            !listener->before_resume(listener->context, client, &wrote, message, size))
            return TARGET_FAILED;
        /* What goes past the stub's queue does not wait in it for the resume. */
        if (ways_drain(upstream->ways))
            wrote = true;
        if (wrote && i == FLUSHES_MOST) {
            snprintf(message, size, "other connections write without a pause");
            return TARGET_FAILED;
        }
    }
    return TARGET_OK;
}

static enum target_error up_resume(struct target *target, target_client client,
                                   enum target_resume kind, unsigned cpu, char *message,
                                   size_t size)
{
    struct upstream *upstream = upstream_of(target);
    ways_hold(upstream->ways);
    enum target_error error = flush_for_resume(upstream, client, message, size);
    if (error == TARGET_OK)
        error = run_control_resume(upstream->run, client, kind, cpu, message, size);
    ways_release(upstream->ways);
    return error;
}

static enum target_error up_interrupt(struct target *target, target_client client)
{
    (void)client;
    return run_control_interrupt(upstream_of(target)->run);
}

static enum target_error up_wait(struct target *target, target_client client, double timeout,
                                 const bool *cancel, char *text, size_t size)
{
    (void)client;
    return run_control_wait(upstream_of(target)->run, timeout, cancel, text, size);
}

static void up_wait_cancel(struct target *target)
{
    run_control_wait_cancel(upstream_of(target)->run);
}

/* Monitor and packets */

/* Is the command's first word that one? */
static bool is_command(const char *command, const char *word)
{
    command += strspn(command, " \t");
    size_t length = strcspn(command, " \t");
    return length == strlen(word) && strncmp(command, word, length) == 0;
}

/* Commands that would change the run state behind our back: done our way. False: another command.
 */
static bool run_command(struct target *target, target_client client, const char *command,
                        struct buffer *text, enum target_error *error)
{
    struct upstream *upstream = upstream_of(target);
    char message[256] = "";
    if (is_command(command, "c") || is_command(command, "cont")) {
        *error = up_resume(target, client, TARGET_RESUME_GO, 0, message, sizeof message);
    } else if (is_command(command, "stop") || is_command(command, "s")) {
        *error = up_interrupt(target, client);
        if (*error == TARGET_OK)
            *error =
                up_wait(target, client, upstream->config.timeout, NULL, message, sizeof message);
        message[0] = 0;
    } else if (is_command(command, "gdbserver")) {
        snprintf(message, sizeof message, "not while spacebridge is using it\n");
        *error = TARGET_INVALID;
    } else {
        return false;
    }
    if (message[0])
        buffer_append(text, message, strlen(message));
    return true;
}

static enum target_error up_monitor(struct target *target, target_client client, unsigned cpu,
                                    const char *command, struct buffer *text)
{
    struct upstream *upstream = upstream_of(target);
    char message[256];
    enum target_error error = ready(upstream);
    if (error != TARGET_OK)
        return error;
    if (upstream->stub.qemu && run_command(target, client, command, text, &error))
        return error;
    ways_enter(upstream->ways);
    error =
        monitor_run(&upstream->monitor, client, (int)cpu, command, text, message, sizeof message);
    ways_leave(upstream->ways);
    if (error == TARGET_FAILED)
        buffer_append(text, message, strlen(message));
    /* There is no knowing what it has done; `cpu` has moved the monitor away. */
    if (upstream->attached && !is_command(command, "info")) {
        rsp_client_forget_modes(upstream->stub.rsp);
        memory_changed(upstream);
    }
    return error;
}

/* Requests that may be passed on: they leave the run state, and the modes that the queue keeps,
 * alone. */
static bool packet_allowed(const struct upstream *upstream, const char *payload, size_t length)
{
    static const char *const refused[] = {"qRcmd",    "qSupported",       "QStartNoAckMode",
                                          "QNonStop", "Qqemu.PhyMemMode", "QThreadSuffixSupported"};
    if (length == 0)
        return false;
    switch (payload[0]) {
    case 'g':
    case 'p':
    case 'P':
    case 'm':
    case 'M':
    case 'X':
    case 'x':
    case 'Z':
    case 'z':
        return true;
    case 'G': /* corrupts an x86-64 processor that is not in long mode */
        return !(upstream->stub.qemu && upstream->stub.width == STUB_WIDTH_BY_MODE);
    case 'T': /* is that thread alive? */
        return true;
    case 'q':
    case 'Q':
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (length >= strlen(refused[i]) &&
                memcmp(payload, refused[i], strlen(refused[i])) == 0)
                return false;
        return true;
    case 'v':
        return (length >= 6 && memcmp(payload, "vFile:", 6) == 0) ||
               (length == 6 && memcmp(payload, "vCont?", 6) == 0) ||
               (length == 15 && memcmp(payload, "vMustReplyEmpty", 15) == 0);
    default:
        return false;
    }
}

static enum target_error up_packet_thread(struct target *target, target_client client,
                                          uint64_t thread, const void *payload, size_t length,
                                          struct buffer *reply)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    if (error == TARGET_OK && !packet_allowed(upstream, payload, length))
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
    if (strchr("GPMX", ((const char *)payload)[0]) && upstream->attached)
        memory_changed(upstream);
    return error;
}

static enum target_error up_packet(struct target *target, target_client client, int cpu,
                                   const void *payload, size_t length, struct buffer *reply)
{
    const struct stub *stub = &upstream_of(target)->stub;
    if (cpu >= 0 && (unsigned)cpu >= stub->processors)
        return TARGET_INVALID;
    return up_packet_thread(target, client, cpu < 0 ? 0 : stub->threads[cpu], payload, length,
                            reply);
}

static bool starts_with(const char *payload, size_t length, const char *start)
{
    return length >= strlen(start) && memcmp(payload, start, strlen(start)) == 0;
}

/* Requests that resume the target, and leave the connection usable. */
static bool resume_allowed(const struct upstream *upstream, const char *payload, size_t length)
{
    if (starts_with(payload, length, "vCont;"))
        return true;
    if (starts_with(payload, length, "vRun;"))
        return !upstream->stub.qemu;
    /* A QEMU that does not record aborts on these. */
    if (length == 2 && memcmp(payload, "bc", 2) == 0)
        return strstr(upstream->info.features, "ReverseContinue+") != NULL;
    if (length == 2 && memcmp(payload, "bs", 2) == 0)
        return strstr(upstream->info.features, "ReverseStep+") != NULL;
    if (length == 1 && payload[0] == 'k') /* a QEMU is ended by its monitor */
        return !upstream->stub.qemu;
    return length > 0 && memchr("cCsS", payload[0], 4) != NULL;
}

static enum target_error up_resume_packet(struct target *target, target_client client,
                                          uint64_t thread, const void *payload, size_t length,
                                          char *message, size_t message_size)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = ready(upstream);
    if (error == TARGET_OK && !resume_allowed(upstream, payload, length))
        error = TARGET_INVALID;
    if (error != TARGET_OK)
        return error;
    ways_hold(upstream->ways);
    error = flush_for_resume(upstream, client, message, message_size);
    if (error == TARGET_OK)
        error = run_control_resume_packet(upstream->run, client, thread, payload, length, message,
                                          message_size);
    ways_release(upstream->ways);
    return error;
}

static void up_stop_reply(struct target *target, char *reply, size_t size)
{
    run_control_stop_reply(upstream_of(target)->run, reply, size);
}

static void up_set_listener(struct target *target, const struct target_listener *listener)
{
    struct upstream *upstream = upstream_of(target);
    upstream->listener = listener ? *listener : (struct target_listener){0};
}

static const struct target_ops operations = {
    .state = up_state,
    .info = up_info,
    .translate = up_translate,
    .translation_epoch = up_translation_epoch,
    .classify = up_classify,
    .read_virtual = up_read_virtual,
    .write_virtual = up_write_virtual,
    .read_physical = up_read_physical,
    .write_physical = up_write_physical,
    .port_in = up_port_in,
    .port_out = up_port_out,
    .ports_out = up_ports_out,
    .has_pci_bus = up_has_pci_bus,
    .pointer_size = up_pointer_size,
    .resume = up_resume,
    .interrupt = up_interrupt,
    .wait = up_wait,
    .wait_cancel = up_wait_cancel,
    .monitor = up_monitor,
    .packet = up_packet,
    .set_listener = up_set_listener,
    .packet_thread = up_packet_thread,
    .resume_packet = up_resume_packet,
    .stop_reply = up_stop_reply,
    .read_live = up_read_live,
    .fill_physical = up_fill_physical,
    .transports = up_transports,
};

struct target *upstream_new(struct ev_loop *loop, const struct upstream_config *config)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream)
        return NULL;
    upstream->target.ops = &operations;
    upstream->loop = loop;
    upstream->config = *config;
    struct rsp_listener rsp = {.context = upstream,
                               .resumed = on_resumed,
                               .stopped = on_stopped,
                               .refused = on_refused,
                               .lost = on_lost};
    struct qmp_listener qmp = {.context = upstream, .event = on_event, .closed = on_qmp_closed};
    struct run_listener run = {
        .context = upstream, .state_changed = on_state, .memory_changed = on_memory};
    upstream->stub.rsp = rsp_client_new(loop, config->timeout, &rsp);
    if (upstream->stub.rsp)
        rsp_client_set_busy_poll(upstream->stub.rsp, config->busy_poll);
    if (config->have_qmp)
        upstream->qmp = qmp_new(loop, &config->qmp, config->timeout, &qmp);
    upstream->monitor = (struct monitor){.stub = &upstream->stub, .qmp = upstream->qmp};
    upstream->translate = translate_new(&upstream->monitor);
    upstream->ways = upstream->translate ? ways_new(loop, config->timeout, &upstream->monitor,
                                                    upstream->translate, &config->ways)
                                         : NULL;
    upstream->run = run_control_new(loop, &upstream->stub, upstream->qmp, &run);
    if (!upstream->stub.rsp || (config->have_qmp && !upstream->qmp) || !upstream->translate ||
        !upstream->ways || !upstream->run) {
        upstream_free(&upstream->target);
        return NULL;
    }
    return &upstream->target;
}

void upstream_free(struct target *target)
{
    if (!target)
        return;
    struct upstream *upstream = upstream_of(target);
    rsp_client_free(upstream->stub.rsp);
    if (upstream->qmp)
        qmp_free(upstream->qmp);
    run_control_free(upstream->run);
    ways_free(upstream->ways);
    translate_free(upstream->translate);
    attach_forget(&upstream->stub);
    free(upstream);
}
