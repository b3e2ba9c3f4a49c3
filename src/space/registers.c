/* What has to come before a request about registers, so that it does what it says. */
#include "space/registers.h"

#include "base/buffer.h"
#include "space/core.h"
#include "space/packets.h"
#include "space/space.h"
#include "space/synced.h"

#include <inttypes.h>
#include <stdio.h>

/* Have the registers of that thread brought up to date in the stub. */
static enum space_error fetch(struct session *session, int64_t thread)
{
    struct target *target = session->space->target;
    struct synced *synced = session->space->synced;
    struct buffer reply = {0};
    uint64_t moment = synced_moment(synced);

    if (!target->about->info(target)->qemu || synced_is(synced, thread))
        return SPACE_OK;
    enum space_error error = session_packet(session, thread, "g", 1, &reply);
    buffer_free(&reply);
    if (error == SPACE_OK)
        synced_note(synced, thread, moment);
    return error;
}

enum space_error session_read_registers(struct session *session, int64_t thread,
                                        struct buffer *reply)
{
    return session_packet(session, thread, "g", 1, reply);
}

enum space_error session_read_register(struct session *session, int64_t thread, uint64_t number,
                                       struct buffer *reply)
{
    char payload[32];

    enum space_error error = fetch(session, thread);
    if (error != SPACE_OK)
        return error;
    int length = snprintf(payload, sizeof(payload), "p%" PRIx64, number);
    return session_packet(session, thread, payload, (size_t)length, reply);
}

enum space_error session_change_register(struct session *session, int64_t thread, uint64_t number,
                                         const char *digits, size_t length, struct buffer *reply)
{
    struct buffer payload = {0};
    enum space_error error = SPACE_NO_MEMORY;

    if (buffer_printf(&payload, "P%" PRIx64 "=", number) && buffer_append(&payload, digits, length))
        error = session_packet(session, thread, buffer_bytes(&payload), payload.length, reply);
    buffer_free(&payload);
    return error;
}

enum space_error session_write_register(struct session *session, int64_t thread, uint64_t number,
                                        const char *digits, size_t length, struct buffer *reply)
{
    space_flush_all(session->space);
    enum space_error error = fetch(session, thread);
    if (error != SPACE_OK)
        return error;
    return session_change_register(session, thread, number, digits, length, reply);
}

enum space_error session_write_registers(struct session *session, int64_t thread,
                                         const char *payload, size_t length, struct buffer *reply)
{
    space_flush_all(session->space);
    return session_packet(session, thread, payload, length, reply);
}

enum space_error session_begin_registers(struct session *session, int64_t thread,
                                         struct buffer *reply)
{
    space_flush_all(session->space);
    return session_packet(session, thread, "g", 1, reply);
}
