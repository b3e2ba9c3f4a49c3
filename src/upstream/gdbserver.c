/* Hides what is special about a stub that is not QEMU's: behind it is a process, which may be
 * started anew and ended. */
#include "upstream/gdbserver.h"

static bool resume_allowed(const char *features, const char *payload, size_t length)
{
    return upstream_starts_with(payload, length, "vRun;") || (length == 1 && payload[0] == 'k') ||
           upstream_resume_common(features, payload, length);
}

static bool packet_allowed(const struct stub *stub, const char *payload, size_t length)
{
    (void)stub;
    return upstream_packet_common(payload, length);
}

const struct upstream_kind gdbserver_kind = {
    .resume_allowed = resume_allowed,
    .packet_allowed = packet_allowed,
};
