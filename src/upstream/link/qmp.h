/* A client of QEMU's machine protocol (QMP): one JSON object a line, each way.
 * Source: QEMU's docs/interop/qmp-spec; the line framing is what QEMU 7.2 was seen to do (each
 * message of the monitor is one line ended by CR LF, without pretty=on).
 *
 * Many tasks may call at once: requests go out in the order of the calls, answers are matched by
 * id, events are handed out in between. What is read is not trusted: anything that is no QMP closes
 * the connection, and every waiting call returns TARGET_GONE with the reason in its failure. */
#ifndef SB_UPSTREAM_LINK_QMP_H
#define SB_UPSTREAM_LINK_QMP_H

#include "upstream/types.h"

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buffer;
struct endpoint;
struct failure;
struct qmp;

/* The longest line taken from the monitor, in bytes without its end. `info mtree -f` of a large
 * machine is well under one MiB; the rest is room for what a user's monitor command prints. */
#define QMP_LINE_MAX ((size_t)16 * 1024 * 1024)
/* The most values, members and containers in one line. HMP text is one value however long it is, so
 * this keeps a line of "[[],[],[]…" from taking a hundred times its size in memory. */
#define QMP_VALUES_MAX ((size_t)65536)

/* Each may be NULL. Both are called from the loop or from the task that caused them and must not
 * suspend; event may call qmp_disconnect. */
struct qmp_listener {
    void *context;
    /* data is borrowed, NULL where the event has none */
    void (*event)(void *context, const char *name, json_t *data);
    /* Once for each qmp_connect that returned TARGET_OK, whoever closed (qmp_disconnect too, but
     * not qmp_free). Called before the waiting calls
     * return; must not call into this client. */
    void (*closed)(void *context, const char *reason);
};

/* endpoint and listener are copied. timeout: seconds that an answer is waited for, > 0; the clock
 * starts anew with each answer, events do not count. NULL when out of memory. Nothing is connected
 * yet. */
struct qmp *qmp_new(struct ev_loop *loop, const struct endpoint *endpoint, double timeout,
                    const struct qmp_listener *listener);
/* Closes. Calls that still wait return TARGET_GONE, the memory goes with the last of them. */
void qmp_free(struct qmp *qmp);

/* Connect, take the greeting, negotiate capabilities. TARGET_OK at once when connected already;
 * of several tasks at once one connects and the others get its outcome. May be called again after a
 * close. TARGET_GONE when unreachable, silent or no QMP; failure says which. */
enum target_error qmp_connect(struct qmp *qmp, struct failure *failure);
/* True between a qmp_connect that returned TARGET_OK and the close. */
bool qmp_connected(const struct qmp *qmp);
void qmp_disconnect(struct qmp *qmp, const char *reason);
/* The process at the other end, as process_peer tells it. */
pid_t qmp_peer(const struct qmp *qmp);

/* How many lines have come, of whatever kind. */
uint64_t qmp_heard(const struct qmp *qmp);
/* It is connected and has said nothing since it had said that much: no line has come, none is there
 * to be read, no answer is waited for. So no event tells of anything that QEMU did before this
 * call.
 */
bool qmp_silent_since(const struct qmp *qmp, uint64_t heard);

/* One command. Steals arguments (an object, or NULL for none). *result becomes a new reference on
 * TARGET_OK, NULL otherwise; result may be NULL. TARGET_FAILED: QEMU answered an error, failure
 * has its description; TARGET_UNSUPPORTED: QEMU does not know the command; TARGET_GONE: not
 * connected, or lost while waiting; TARGET_INVALID: command or arguments are no UTF-8. */
enum target_error qmp_execute(struct qmp *qmp, const char *command, json_t *arguments,
                              json_t **result, struct failure *failure);
/* One line for the human monitor; cpu < 0: the monitor's default processor, else that one (for this
 * command only). What it printed is appended to text, with a NUL behind it that is not counted. The
 * human monitor reports its errors in that text as well. */
enum target_error qmp_hmp(struct qmp *qmp, int cpu, const char *command, struct buffer *text,
                          struct failure *failure);

#endif
