/* Hides that the target is made of parts: puts them together. */
#include "upstream/upstream_target.h"

#include "base/log.h"
#include "upstream/gdbserver.h"
#include "upstream/link/qmp.h"
#include "upstream/machine/attach.h"
#include "upstream/run/run_control.h"
#include "upstream/translate/translate.h"
#include "upstream/upstream.h"
#include "upstream/upstream_attach.h"
#include "upstream/upstream_loss.h"
#include "upstream/upstream_memory.h"
#include "upstream/upstream_packets.h"
#include "upstream/upstream_processors.h"
#include "upstream/upstream_run.h"
#include "upstream/ways/ways.h"

#include <stdlib.h>
#include <string.h>

#define ROOM "target"

struct whole {
    struct upstream upstream; /* first, and in it first the target */
    struct upstream_connection attach;
    struct upstream_loss loss;
};

static struct whole *whole_of(struct target *target)
{
    return (struct whole *)target;
}

/* What comes from below; the context is the whole, and so the upstream in it */

static void on_state(void *context, enum target_state state, const char *text)
{
    struct upstream *upstream = context;
    if (upstream->listener.state_changed)
        upstream->listener.state_changed(upstream->listener.context, state, text);
}

static void on_memory(void *context)
{
    upstream_memory_changed(context);
}

/* QMP tells who else lets the target run, and may have said so without having been heard yet. */
static bool on_undisturbed(void *context)
{
    const struct upstream *upstream = context;
    return !upstream->qmp || qmp_silent_since(upstream->qmp, qmp_heard(upstream->qmp));
}

static void on_resumed(void *context)
{
    struct upstream *upstream = context;
    run_control_resumed(upstream->run);
}

static void on_stopped(void *context, bool running, const char *reply)
{
    struct upstream *upstream = context;
    if (run_state_attached(&upstream->state))
        run_control_stopped(upstream->run, running, reply);
}

static void on_refused(void *context, const char *reply)
{
    struct upstream *upstream = context;
    run_control_refused(upstream->run, reply);
}

static void on_lost(void *context, const char *reason)
{
    upstream_loss_of_stub(&whole_of(context)->loss, reason);
}

static void on_qmp_closed(void *context, const char *reason)
{
    upstream_loss_of_monitor(&whole_of(context)->loss, reason);
}

static void on_event(void *context, const char *name, json_t *data)
{
    struct upstream *upstream = context;
    (void)data;
    log_debug(ROOM, "QMP event %s", name);
    if (strcmp(name, "DEVICE_DELETED") == 0 || strcmp(name, "MEMORY_DEVICE_SIZE_CHANGE") == 0)
        translate_map_changed(upstream->translate);
    if (run_state_attached(&upstream->state))
        run_control_event(upstream->run, name);
}

/* What is asked from above */

static const struct target_info *info(struct target *target)
{
    struct upstream *upstream = upstream_of(target);
    /* These come and go. */
    upstream->info.live_physical =
        run_state_attached(&upstream->state) && ways_live(upstream->ways);
    upstream->info.live_virtual =
        run_state_attached(&upstream->state) && ways_live_virtual(upstream->ways);
    return &upstream->info;
}

static void set_listener(struct target *target, const struct target_listener *listener)
{
    struct upstream *upstream = upstream_of(target);
    upstream->listener = listener ? *listener : (struct target_listener){0};
}

static size_t transports(struct target *target, struct target_transport *out, size_t most)
{
    return ways_list(upstream_of(target)->ways, out, most);
}

static const struct target_about about = {
    .info = info,
    .set_listener = set_listener,
    .transports = transports,
};

struct target *upstream_new(struct ev_loop *loop, const struct upstream_config *config)
{
    struct whole *whole = calloc(1, sizeof *whole);
    if (!whole)
        return NULL;
    struct upstream *upstream = &whole->upstream;
    whole->attach.upstream = upstream;
    whole->attach.config = *config;
    whole->loss.loop = loop;
    whole->loss.attach = &whole->attach;
    upstream->target = (struct target){.about = &about,
                                       .memory = &upstream_memory,
                                       .run = &upstream_run,
                                       .processors = &upstream_processors,
                                       .packets = &upstream_packets};
    upstream->timeout = config->timeout;
    upstream->kind = &gdbserver_kind; /* until something is known */
    struct rsp_listener rsp = {.context = upstream,
                               .undisturbed = on_undisturbed,
                               .resumed = on_resumed,
                               .stopped = on_stopped,
                               .refused = on_refused,
                               .lost = on_lost};
    struct qmp_listener qmp = {.context = upstream, .event = on_event, .closed = on_qmp_closed};
    struct run_listener run = {
        .context = upstream, .state_changed = on_state, .memory_changed = on_memory};
    upstream->stub.rsp = rsp_client_new(loop, config->timeout, &upstream->state, &rsp);
    if (upstream->stub.rsp)
        rsp_client_set_busy_poll(upstream->stub.rsp, config->busy_poll);
    if (config->have_qmp)
        upstream->qmp = qmp_new(loop, &config->qmp, config->timeout, &qmp);
    upstream->stub.monitor = (struct monitor){.rsp = upstream->stub.rsp, .qmp = upstream->qmp};
    upstream->translate = translate_new(&upstream->stub);
    upstream->ways = upstream->translate ? ways_new(loop, config->timeout, &upstream->stub,
                                                    upstream->translate, &config->ways)
                                         : NULL;
    upstream->run = run_control_new(loop, &upstream->state, &upstream->stub, upstream->qmp, &run);
    if (!upstream->stub.rsp || (config->have_qmp && !upstream->qmp) || !upstream->translate ||
        !upstream->ways || !upstream->run) {
        upstream_free(&upstream->target);
        return NULL;
    }
    return &upstream->target;
}

enum target_error upstream_attach(struct target *target, struct failure *failure)
{
    return upstream_attach_try(&whole_of(target)->attach, failure);
}

void upstream_call_off(struct target *target)
{
    upstream_loss_call_off(&whole_of(target)->loss);
}

void upstream_detach(struct target *target)
{
    upstream_loss_detach(&whole_of(target)->loss);
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
    free(whole_of(target));
}
