/* Breakpoints and watchpoints: Z, z. They belong to the client that set them. */
#include "stub/points.h"

static bool take(struct client *client, const struct request *request, struct breakpoint_key *key)
{
    struct request_breakpoint asked;

    if (!request_breakpoint(request, &asked)) {
        reply_error(client, ERROR_INVALID, "a breakpoint is TYPE,ADDRESS,KIND, the type 0 to 4");
        return false;
    }
    /* Conditions and commands are not offered, and cannot be shared. */
    if (*asked.rest && asked.rest[1]) {
        reply_error(client, ERROR_INVALID, "conditions of breakpoints are the debugger's affair");
        return false;
    }
    *key = (struct breakpoint_key){asked.address, asked.kind, asked.type};
    return true;
}

static void answer(struct client *client, enum space_error error, const struct buffer *reply)
{
    buffer_clear(&client->reply);
    switch (error) {
    case SPACE_OK:
        reply_ok(client);
        break;
    case SPACE_UNSUPPORTED: /* the empty reply: this type is not known */
        break;
    case SPACE_FAULT: /* the stub's own words */
        reply_bytes(client, buffer_bytes(reply), reply->length);
        break;
    default:
        reply_space_error(client, error, NULL);
    }
}

void points_do_insert(struct client *client, const struct request *request)
{
    struct front *front = client->front;
    struct breakpoint_key key;
    struct buffer reply = {0};

    if (!take(client, request, &key) || !client_needs_halt(client, "setting a breakpoint"))
        return;
    enum space_error error = SPACE_OK;
    task_mutex_lock(&front->points);
    switch (breakpoints_add(&front->breakpoints, &key, client->member.number)) {
    case BREAKPOINT_NOTHING:
        break;
    case BREAKPOINT_REFUSED:
        error = SPACE_NO_MEMORY;
        break;
    case BREAKPOINT_TELL:
        error = upstream_stub_insert_point(client->session, &key, &reply);
        if (error == SPACE_OK &&
            !breakpoints_inserted(&front->breakpoints, &key, client->member.number)) {
            upstream_stub_remove_point(client->session, &key, &reply);
            error = SPACE_NO_MEMORY;
        }
        break;
    }
    task_mutex_unlock(&front->points);
    answer(client, error, &reply);
    buffer_free(&reply);
}

void points_do_remove(struct client *client, const struct request *request)
{
    struct front *front = client->front;
    struct breakpoint_key key;
    struct buffer reply = {0};

    if (!take(client, request, &key) || !client_needs_halt(client, "removing a breakpoint"))
        return;
    enum space_error error = SPACE_OK;
    task_mutex_lock(&front->points);
    if (breakpoints_remove(&front->breakpoints, &key, client->member.number) == BREAKPOINT_TELL) {
        error = upstream_stub_remove_point(client->session, &key, &reply);
        if (error == SPACE_OK)
            breakpoints_removed(&front->breakpoints, &key);
    }
    task_mutex_unlock(&front->points);
    answer(client, error, &reply);
    buffer_free(&reply);
}
