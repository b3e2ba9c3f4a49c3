/* The one way of raw requests to the stub upstream. */
#include "space/packets.h"

#include "base/buffer.h"
#include "space/convert.h"
#include "space/core.h"

enum space_error session_packet(struct session *session, int64_t thread, const void *payload,
                                size_t length, struct buffer *reply)
{
    struct target *target = session->space->target;

    buffer_clear(reply);
    enum target_error error =
        target->packets ? target->packets->packet_thread(target, session->client,
                                                         thread > 0 ? (uint64_t)thread : 0, payload,
                                                         length, reply)
                        : TARGET_UNSUPPORTED;
    if (error == TARGET_OK && !buffer_terminate(reply))
        return SPACE_NO_MEMORY;
    return space_error_of(error);
}
