/* The one way to the target's GDB stub: an ordered, pipelined queue of requests on one socket, for
 * many callers. Source of the rules: the GDB manual, "GDB Remote Serial Protocol", and
 * docs/design.md for what QEMU's stub was measured to do.
 *
 * Requests of one caller are sent in its order, callers take turns. Replies are matched in order. A
 * request names the processor and the space (virtual or physical) that it needs; `Hg`, `Hc`,
 * `Qqemu.PhyMemMode` and the monitor's `cpu` go out before it only when the stub is not there yet.
 * When the stub refuses such a switch, the request that needed it fails and is not sent.
 *
 * While the target runs nothing is sent but the interrupt byte: one byte more would stop a QEMU
 * guest, and lose the packet. A resume is a barrier: it waits until nothing is in flight, later
 * requests fail with TARGET_RUNNING.
 *
 * What the target sends is not trusted. Whatever leaves a reply in doubt (a close, garbage, a bad
 * checksum or a retransmission asked for with several requests in flight, an unexpected packet,
 * silence) ends the connection: every request gets TARGET_GONE, and the listener the reason. */
#ifndef SB_UPSTREAM_LINK_RSP_CLIENT_H
#define SB_UPSTREAM_LINK_RSP_CLIENT_H

#include "upstream/link/rsp_operation.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buffer;
struct busy_poll;
struct endpoint;
struct failure;
struct rsp_client;
struct run_state;

/* timeout: seconds of silence with a request outstanding after which the target is lost. state: as
 * at first, it must outlive the client; from the connect on the client moves it, up to
 * RUN_ATTACHING, and once its owner has said that the target is attached to it takes resumes. NULL:
 * out of memory. */
struct rsp_client *rsp_client_new(struct ev_loop *loop, double timeout, struct run_state *state,
                                  const struct rsp_listener *listener);
/* Closes. No request may be outstanding in a task that still waits for it. */
void rsp_client_free(struct rsp_client *client);

/* Connect, in a task. Starts with acks, one request in flight, the target halted, all modes
 * unknown. */
enum target_error rsp_client_connect(struct rsp_client *client, const struct endpoint *endpoint,
                                     struct failure *failure);
/* As rsp_client_connect with a socket that is connected; takes it over. */
void rsp_client_adopt(struct rsp_client *client, int fd);
bool rsp_client_connected(const struct rsp_client *client);
/* Has anything come since the last connect was tried? QEMU's stub serves one client and lets the
 * next wait without a word. */
bool rsp_client_heard(const struct rsp_client *client);
/* Why the last connection ended; "" if it did not. */
const char *rsp_client_reason(const struct rsp_client *client);
/* The process at the other end of a unix socket; 0: it cannot be told. */
pid_t rsp_client_peer(const struct rsp_client *client);
/* The W or X packet by which the target told its end; "" if that is not why the connection ended.
 */
const char *rsp_client_exit(const struct rsp_client *client);
/* Close quietly, or call off a connect that is under way: requests fail with TARGET_GONE from the
 * loop's next turn, the listener hears nothing. */
void rsp_client_close(struct rsp_client *client);
/* End the connection because of something in a reply that only its caller understands. */
void rsp_client_fail(struct rsp_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* End the connection because another has resumed the target while requests were in flight: the
 * stub has swallowed one of them, and no telling which. It has also halted the target. */
void rsp_client_fail_resumed(struct rsp_client *client);
/* Is that why the last connection ended? */
bool rsp_client_intruded(const struct rsp_client *client);

/* Stay awake while a reply is waited for that comes soon. NULL, as at first: do not. */
void rsp_client_set_busy_poll(struct rsp_client *client, struct busy_poll *poll);
/* What the stub can take. */
void rsp_client_set_acks(struct rsp_client *client, bool acks);
void rsp_client_set_depth(struct rsp_client *client, unsigned depth);
void rsp_client_set_limit(struct rsp_client *client, size_t limit);
/* The stub has Qqemu.PhyMemMode: a request for RSP_SPACE_VIRTUAL sets it to 0. Without it virtual
 * needs no switch, physical fails. */
void rsp_client_set_spaces(struct rsp_client *client, bool spaces);
/* The longest payload that may be sent, escapes included. */
size_t rsp_client_limit(const struct rsp_client *client);
unsigned rsp_client_depth(const struct rsp_client *client);

/* Queue a request. TARGET_OK: done will be called. Anything else: it will not be, nothing is sent
 * (TARGET_RUNNING: the target runs or is about to; TARGET_GONE; TARGET_INVALID: too long). What is
 * queued goes out with the next rsp_client_kick or turn of the socket. */
enum target_error rsp_client_submit(struct rsp_client *client, struct rsp_operation *operation);
void rsp_client_kick(struct rsp_client *client);
/* Submit and wait for it, in a task (done and context are taken). reply may be NULL; else the reply
 * is appended to it, with a NUL behind it that is not counted. */
enum target_error rsp_client_call(struct rsp_client *client, struct rsp_operation *operation,
                                  struct buffer *reply);
/* Is any request waiting for its reply? */
bool rsp_client_busy(const struct rsp_client *client);
/* Has a resume been asked for that the stub has not acknowledged, or not even been sent? Also while
 * it is not known whether a step was made. */
bool rsp_client_resuming(const struct rsp_client *client);

bool rsp_client_running(const struct rsp_client *client);
/* What others did to the target. Set halted, one stop reply that is still under way is taken
 * silently. Set running, requests that were not sent fail with TARGET_RUNNING; there must be none
 * in flight. */
void rsp_client_set_running(struct rsp_client *client, bool running);
/* Another may have let the target run: until the doubt is over nothing is sent, for the first byte
 * would halt the target, and the packet would be lost. */
void rsp_client_doubt(struct rsp_client *client, bool doubted);
/* Send the interrupt byte to a running target, or right behind a resume that waits, once for each
 * stop; never suspends. */
void rsp_client_interrupt(struct rsp_client *client);
/* Take in what the socket has now. */
void rsp_client_poll(struct rsp_client *client);
/* How many stop replies nobody asked for have come since the connect. */
unsigned rsp_client_strays(const struct rsp_client *client);
/* Processors, and which the stub is at, may have changed. */
void rsp_client_forget_modes(struct rsp_client *client);
/* Leave the stub in its virtual space; in a task, target halted. */
enum target_error rsp_client_settle(struct rsp_client *client);
/* Wait until everything is written; in a task. */
void rsp_client_drain(struct rsp_client *client);

#endif
