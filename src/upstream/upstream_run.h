/* The calls of a target that resume and halt it. */
#ifndef SB_UPSTREAM_UPSTREAM_RUN_H
#define SB_UPSTREAM_UPSTREAM_RUN_H

#include "upstream/target.h"

struct upstream;

/* Have everything written that must be in the target when it resumes. On TARGET_OK nothing is left,
 * and the caller must not suspend before it resumes. */
enum target_error upstream_flush_for_resume(struct upstream *upstream, target_client client,
                                            char *message, size_t size);

/* Contracts: struct target_ops. */
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

#endif
