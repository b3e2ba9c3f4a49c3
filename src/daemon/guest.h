/* A guest that the daemon starts: QEMU as a child, wired up through private sockets. */
#ifndef SB_DAEMON_GUEST_H
#define SB_DAEMON_GUEST_H

#include "base/endpoint.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

#define GUEST_ERROR_SIZE 1024

struct guest;

/* Called from the loop when the guest has ended by itself: status as waitpid(2) gives it. */
typedef void guest_ended_fn(void *context, int status);

/* Start argv (NULL-terminated) with -gdb and -qmp on sockets in a private directory, halted at its
 * first instruction (-S) where halt is asked for, with qtest on a third socket where that is asked
 * for. It gets our standard input and output, never SIGINT or SIGHUP (they are for the daemon,
 * which must flush first), and SIGKILL should the daemon die. NULL with error set. */
struct guest *guest_start(struct ev_loop *loop, char **argv, bool halt, bool qtest,
                          guest_ended_fn *ended, void *context, char *error);
const struct endpoint *guest_gdb(const struct guest *guest);
const struct endpoint *guest_qmp(const struct guest *guest);
const struct endpoint *guest_qtest(const struct guest *guest);
bool guest_running(const struct guest *guest);
/* In a task: wait until both sockets are there. False when it ended, seconds were over or
 * *called_off was set. */
bool guest_wait_ready(struct guest *guest, double seconds, const bool *called_off, char *error);
/* End it (SIGTERM, after grace seconds SIGKILL), wait for it, remove the sockets. In a task. */
void guest_end(struct guest *guest, double grace);
/* Remove what is left and free; kills what still runs. */
void guest_free(struct guest *guest);
/* "exit code 1", "signal 11 (Segmentation fault)" into text; returns text. */
const char *guest_status_text(int status, char *text, size_t size);

#endif
