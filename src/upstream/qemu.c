/* Hides what is special about QEMU's stub: which requests harm the guest, and which monitor
 * commands are done our way. */
#include "upstream/qemu.h"

#include "base/buffer.h"
#include "upstream/machine/stub.h"
#include "upstream/upstream.h"
#include "upstream/upstream_ports.h"

#include <stdio.h>
#include <string.h>

static bool packet_allowed(const struct stub *stub, const char *payload, size_t length)
{
    /* It corrupts an x86-64 processor that is not in long mode. */
    if (length > 0 && payload[0] == 'G' && stub->width == STUB_WIDTH_BY_MODE)
        return false;
    return upstream_packet_common(payload, length);
}

static bool run_command(struct target *target, target_client client, const char *command,
                        struct buffer *text, enum target_error *error)
{
    char message[256] = "";
    if (upstream_is_command(command, "c") || upstream_is_command(command, "cont")) {
        *error = target->run->resume(target, client, TARGET_RESUME_GO, 0, message, sizeof message);
    } else if (upstream_is_command(command, "stop") || upstream_is_command(command, "s")) {
        *error = target->run->interrupt(target, client);
        if (*error == TARGET_OK)
            *error = target->run->wait(target, client, upstream_of(target)->timeout, NULL, message,
                                       sizeof message);
        message[0] = 0;
    } else if (upstream_is_command(command, "gdbserver")) {
        snprintf(message, sizeof message, "not while spacebridge is using it\n");
        *error = TARGET_INVALID;
    } else {
        return false;
    }
    if (message[0])
        buffer_append(text, message, strlen(message));
    return true;
}

const struct upstream_kind qemu_kind = {
    .machine = true,
    .ports = &upstream_ports,
    .resume_allowed = upstream_resume_common,
    .packet_allowed = packet_allowed,
    .run_command = run_command,
};
