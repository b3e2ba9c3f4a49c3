/* What only QEMU's version number tells: what no question and no probe does. */
#ifndef SB_UPSTREAM_MACHINE_QEMU_VERSION_H
#define SB_UPSTREAM_MACHINE_QEMU_VERSION_H

#include <stdbool.h>

/* Does the stub of that QEMU ("QEMU 7.2.22", as in struct stub) tell its client of every stop, also
 * of the one that connecting causes? False where it does not, and where the text names no version.
 */
bool qemu_version_tells_every_stop(const char *version);

#endif
