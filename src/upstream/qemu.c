/* Hides what is special about QEMU's stub: which requests harm the guest, and which monitor
 * commands are done our way. */
#include "upstream/qemu.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "upstream/machine/stub.h"
#include "upstream/upstream.h"
#include "upstream/upstream_ports.h"

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
    struct failure failure = {0};
    if (upstream_is_command(command, "c") || upstream_is_command(command, "cont")) {
        *error = target->run->resume(target, client, TARGET_RESUME_GO, 0, &failure);
    } else if (upstream_is_command(command, "stop") || upstream_is_command(command, "s")) {
        char ignored[8];
        *error = target->run->interrupt(target, client);
        if (*error == TARGET_OK)
            *error = target->run->wait(target, client, upstream_of(target)->timeout, NULL, ignored,
                                       sizeof ignored);
    } else if (upstream_is_command(command, "gdbserver")) {
        *error = failure_set(&failure, TARGET_INVALID, "not while spacebridge is using it\n");
    } else {
        return false;
    }
    buffer_append(text, failure.text, strlen(failure.text));
    return true;
}

const struct upstream_kind qemu_kind = {
    .machine = true,
    .ports = &upstream_ports,
    .resume_allowed = upstream_resume_common,
    .packet_allowed = packet_allowed,
    .run_command = run_command,
};
