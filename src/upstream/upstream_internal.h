/* The parts of the upstream target share this: its state, and what they ask of each other.
 * upstream_target.c: the table of functions, and what is told to the room above; the others say at
 * their top what they are for. */
#ifndef SB_UPSTREAM_UPSTREAM_INTERNAL_H
#define SB_UPSTREAM_UPSTREAM_INTERNAL_H

#include "base/task.h"
#include "upstream/link/monitor.h"
#include "upstream/link/qmp.h"
#include "upstream/run/run_control.h"
#include "upstream/translate/translate.h"
#include "upstream/upstream_target.h"

#include <sys/types.h>

#define ROOM "target"

struct upstream {
    struct target target; /* first: the table of functions is found through it */
    struct ev_loop *loop;
    struct upstream_config config;
    struct target_listener listener;
    struct target_info info;
    struct stub stub;
    struct qmp *qmp; /* NULL: not configured */
    struct translate *translate;
    struct ways *ways;
    struct run_control *run;
    bool attached;
    bool found_running; /* when we attached */
    /* how the last connection left it: halted though it was found running; running; halted by
     * a request of ours though another had resumed it */
    bool left_halted, left_running, intruded;
    /* the process at the other end of it, 0: not known; and of the connection before the loss */
    pid_t peer, left_peer;
    bool left;      /* there was a loss since the last attach */
    bool undecided; /* an attach failed since nothing tells whether the guest ran */
    bool closing;
    bool reattaching;
    bool saving; /* a task writes what is dirty, for the monitor is gone */
    char qmp_reason[256];
    struct task_cond wakeup; /* closing, or the end of one of these tasks */
};

static inline struct upstream *upstream_of(struct target *target)
{
    return (struct upstream *)target;
}

/* upstream_target.c */
/* What every call needs first: TARGET_GONE while it is not attached. */
enum target_error upstream_ready(const struct upstream *upstream);
/* Nothing that is known of memory is true any more. */
void upstream_memory_changed(struct upstream *upstream);

/* upstream_attach.c */
/* Attach, in a task, for the first time or again. On failure message (size bytes) says why. */
enum target_error upstream_try_attach(struct upstream *upstream, char *message, size_t size);

/* upstream_loss.c: what the stub's and the monitor's connections tell of their end */
void upstream_on_lost(void *context, const char *reason);
void upstream_on_qmp_closed(void *context, const char *reason);

/* upstream_run.c */
/* Have everything written that must be in the target when it resumes. On TARGET_OK nothing is left,
 * and the caller must not suspend before it resumes. */
enum target_error upstream_flush_for_resume(struct upstream *upstream, target_client client,
                                            char *message, size_t size);

/* The functions of the table that have files of their own; contracts: struct target_ops. */

/* upstream_memory.c */
enum target_error upstream_read_virtual(struct target *target, target_client client, unsigned cpu,
                                        struct target_span *runs, size_t count);
enum target_error upstream_write_virtual(struct target *target, target_client client, unsigned cpu,
                                         struct target_span *runs, size_t count);
enum target_error upstream_read_physical(struct target *target, target_client client,
                                         enum target_access access, struct target_span *runs,
                                         size_t count);
enum target_error upstream_write_physical(struct target *target, target_client client,
                                          enum target_access access, struct target_span *runs,
                                          size_t count);
enum target_error upstream_access_device(struct target *target, target_client client,
                                         const struct target_seen *seen, struct target_span *runs,
                                         size_t count, bool write, const char **doubt);
enum target_error upstream_fill_physical(struct target *target, target_client client,
                                         uint64_t physical, uint64_t length, uint8_t byte,
                                         uint64_t *done);
enum target_error upstream_read_live(struct target *target, target_client client, unsigned cpu,
                                     struct target_span *runs, size_t count);

/* upstream_ports.c */
enum target_error upstream_port_in(struct target *target, target_client client, uint16_t port,
                                   unsigned size, uint32_t *value, char *message,
                                   size_t message_size);
enum target_error upstream_port_out(struct target *target, target_client client, uint16_t port,
                                    unsigned size, uint32_t value, char *message,
                                    size_t message_size);
enum target_error upstream_ports_out(struct target *target, target_client client,
                                     struct target_port_write *writes, size_t count, char *message,
                                     size_t message_size);

/* upstream_run.c */
enum target_error upstream_resume(struct target *target, target_client client,
                                  enum target_resume kind, unsigned cpu, char *message,
                                  size_t size);
enum target_error upstream_resume_packet(struct target *target, target_client client,
                                         uint64_t thread, const void *payload, size_t length,
                                         char *message, size_t message_size);
enum target_error upstream_interrupt(struct target *target, target_client client);
enum target_error upstream_wait(struct target *target, target_client client, double timeout,
                                const bool *cancel, char *text, size_t size);
void upstream_wait_cancel(struct target *target);
void upstream_stop_reply(struct target *target, char *reply, size_t size);

/* upstream_packets.c */
enum target_error upstream_monitor(struct target *target, target_client client, unsigned cpu,
                                   const char *command, struct buffer *text);
enum target_error upstream_packet(struct target *target, target_client client, int cpu,
                                  const void *payload, size_t length, struct buffer *reply);
enum target_error upstream_packet_thread(struct target *target, target_client client,
                                         uint64_t thread, const void *payload, size_t length,
                                         struct buffer *reply);

#endif
