/* Coming and leaving: attach, detach, kill. */
#include "stub/attach.h"

#include "base/log.h"
#include "space/machine.h"
#include "space/run.h"
#include "stub/report.h"

#include <inttypes.h>
#include <string.h>

#define ROOM "stub"

void attach_do_detach(struct client *client, const struct request *request)
{
    if (request->length > 1 && request->text[1] != ';') {
        reply_error(client, ERROR_INVALID, "a detach is D, or D;PROCESS");
        return;
    }
    client_detach(client, true);
    client->detached = true;
    reply_ok(client);
}

void attach_do_attach(struct client *client, const struct request *request)
{
    struct request rest = {request->text + strlen("vAttach"), request->length - strlen("vAttach")};
    const char *at = rest.text + 1, *end = rest.text + rest.length;
    struct thread_id id;

    if (rest.length < 2 || rest.text[0] != ';' || !thread_parse(&id, &at, end) || at != end) {
        reply_error(client, ERROR_INVALID, "an attach is vAttach;PROCESS");
        return;
    }
    if (front_state(client->front) != SPACE_STATE_LOST &&
        id.thread != upstream_stub_process(&client->front->upstream, client->session)) {
        reply_error(client, ERROR_INVALID, "there is no process %" PRIx64, (uint64_t)id.thread);
        return;
    }
    client->detached = false;
    client_attach(client);
    report_do_status(client, request);
}

/* Does allow_kill say so? Then the target ends, and all of its connections with it. */
static bool kill_target(struct client *client)
{
    struct front *front = client->front;
    struct buffer text = {0};

    if (!front->config.allow_kill) {
        log_warning(ROOM, "%s (%s) asked to kill the target: refused (--allow-kill permits it)",
                    client->name, client->peer);
        return false;
    }
    log_info(ROOM, "%s (%s) kills the target", client->name, client->peer);
    enum space_error error = SPACE_OK;
    if (front_is_qemu(front)) {
        error = session_ask_monitor(client->session, 0, "quit", &text);
    } else {
        error = session_resume_packet(client->session, 0, "k", 1, NULL);
    }
    buffer_free(&text);
    if (error != SPACE_OK && error != SPACE_GONE)
        log_warning(ROOM, "%s: the target could not be killed: %s", client->name,
                    space_error_text(error));
    return error == SPACE_OK || error == SPACE_GONE;
}

void attach_do_kill(struct client *client, const struct request *request)
{
    (void)request;
    kill_target(client);
    /* k has no reply; its sender expects the connection to end. */
    client->answered = true;
    client->ending = true;
}

void attach_do_kill_named(struct client *client, const struct request *request)
{
    (void)request;
    if (kill_target(client))
        reply_ok(client);
    else
        reply_error(client, ERROR_REFUSED,
                    "this target may not be killed from here (spacebridged "
                    "--allow-kill permits it)");
}
