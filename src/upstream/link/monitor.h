/* QEMU's human monitor, by the way that is open: qRcmd while the target is halted (ten times as
 * fast), QMP while it runs. */
#ifndef SB_UPSTREAM_LINK_MONITOR_H
#define SB_UPSTREAM_LINK_MONITOR_H

#include "upstream/link/rsp_client.h"
#include "upstream/types.h"

struct buffer;
struct failure;
struct qmp;

struct monitor {
    struct rsp_client *rsp;
    struct qmp *qmp; /* NULL: there is none */
};

/* One command line, as the processor of that monitor_cpu (rsp_operation has it;
 * 0: whichever). What it printed is appended to text, with a
 * NUL behind it that is not counted. TARGET_RUNNING: the target runs and there is no QMP;
 * TARGET_UNSUPPORTED: the stub has no monitor; TARGET_FAILED: the stub answered an error. Never
 * sent twice. */
enum target_error monitor_run(const struct monitor *monitor, target_client client,
                              unsigned monitor_cpu, const char *command, struct buffer *text,
                              struct failure *failure);

/* The same for a command that changes nothing and prints much, whichever processor: by QMP where it
 * is there. The stub sends each line as a packet of its own, QMP sends the text as one. text is
 * empty at first. */
enum target_error monitor_run_long(const struct monitor *monitor, target_client client,
                                   const char *command, struct buffer *text,
                                   struct failure *failure);

/* What was printed by a command that prints nothing when all went well: TARGET_FAILED, with that as
 * one short line in failure; TARGET_OK where it is nothing but white space. */
enum target_error monitor_complaint(const struct buffer *text, struct failure *failure);

/* As a request that is to be submitted by the caller: payload (MONITOR_PAYLOAD_SIZE bytes) for a
 * short command line made here. Returns its length. */
#define MONITOR_PAYLOAD_SIZE 160
size_t monitor_payload(char *payload, const char *command);

#endif
