/* Does the target run? What is known of it comes from three sides: our own resumes, the stub's stop
 * replies, and QMP events about what others did. Events come late, so none is believed: one that
 * disagrees makes us ask, and the answer counts if nothing changed meanwhile. */
#ifndef SB_UPSTREAM_RUN_RUN_CONTROL_H
#define SB_UPSTREAM_RUN_RUN_CONTROL_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"

#include <ev.h>

struct failure;
struct qmp;
struct run_control;
struct run_state;

/* Told from the loop or a task, must not suspend. */
struct run_listener {
    void *context;
    void (*state_changed)(void *context, enum target_state state, const char *text);
    /* memory, translations and the memory map may be others than before */
    void (*memory_changed)(void *context);
};

/* state: what the stub's client moves as well, and whoever owns all three reads. stub is used once
 * run_control_attached was called; qmp may be NULL. NULL when out of memory. */
struct run_control *run_control_new(struct ev_loop *loop, struct run_state *state,
                                    struct stub *stub, struct qmp *qmp,
                                    const struct run_listener *listener);
/* Nobody may wait, no task of its own may be left: run_control_quiesce. */
void run_control_free(struct run_control *run);

/* Running from the moment on that a resume was asked for. */
enum target_state run_control_state(const struct run_control *run);
/* The target is there, and halted: as the stub's reply to `?` says. */
void run_control_attached(struct run_control *run, const char *reply);
void run_control_lost(struct run_control *run, const char *reason);

/* What the stub says (rsp_listener). */
void run_control_resumed(struct run_control *run);
void run_control_stopped(struct run_control *run, bool running, const char *reply);
void run_control_refused(struct run_control *run, const char *reply);
/* What QMP says. */
void run_control_event(struct run_control *run, const char *name);

/* Resume or step, in a task. Returns when the stub has taken it. failure may be NULL; it is
 * set where there is more to say than the code does. */
enum target_error run_control_resume(struct run_control *run, target_client client,
                                     enum target_resume kind, unsigned cpu,
                                     struct failure *failure);
/* The same in a client's own words; thread: what Hc names, 0: any. */
enum target_error run_control_resume_packet(struct run_control *run, target_client client,
                                            uint64_t thread, const void *payload, size_t length,
                                            struct failure *failure);
/* As target_run.stop_reply. */
const char *run_control_stop_reply(const struct run_control *run);
enum target_error run_control_interrupt(struct run_control *run);
enum target_error run_control_wait(struct run_control *run, double timeout, const bool *cancel,
                                   char *text, size_t size);
/* Make every wait look at its cancel flag. */
void run_control_wait_cancel(struct run_control *run);
/* Wait, in a task, until no task of run_control is left; none is started any more until it is
 * attached again. */
void run_control_quiesce(struct run_control *run);

#endif
