/* The one place where numbers of QEMU's versions are compared. */
#include "upstream/machine/qemu_version.h"

#include <stdio.h>

/* The first version that has a change. A development version, x.y.50 and more, is on its way to the
 * next and may have it. */
struct change {
    unsigned major, minor;
};

/* Commit 758370052f, "gdbstub: only send stop-reply packets when allowed to": whether it is there
 * shows only when a guest that ran is stopped, and no guest may be resumed to find out. */
static const struct change stops_on_request = {8, 1};

/* Does version come before the change? False, too, where it cannot be told. */
static bool before(const char *version, const struct change *change)
{
    unsigned major, minor, micro;
    if (sscanf(version, "QEMU %4u.%4u.%4u", &major, &minor, &micro) != 3)
        return false;
    if (micro >= 50)
        minor++;
    return major < change->major || (major == change->major && minor < change->minor);
}

bool qemu_version_tells_every_stop(const char *version)
{
    return before(version, &stops_on_request);
}
