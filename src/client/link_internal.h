/* The parts of link share this: link.c has the connection and the call that waits, link_send.c and
 * link_receive.c move the bytes, link_messages.c takes apart what came, link_queue.c has the
 * requests whose outcomes are collected later. What loses the connection does so by link_lost, and
 * link->fd is -1 from then on. */
#ifndef SB_CLIENT_LINK_INTERNAL_H
#define SB_CLIENT_LINK_INTERNAL_H

#include "client/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* link.c */

/* Begin a request whose bytes go to write, which is given the link. */
msgpack_packer *link_request_begin(struct link *link, const char *method, uint32_t params,
                                   msgpack_packer_write write);
/* The response is no longer needed, where there is one. */
void link_response_free(struct link *link);

/* link_send.c */

/* Send first and body (size bytes), and receive meanwhile: a daemon that has something to say must
 * not have to wait for us while we wait for it. It may be silent for allowed seconds (< 0: for
 * ever). */
void link_send_all(struct link *link, const struct buffer *first, const void *body, size_t size,
                   double allowed);

/* link_receive.c */

/* Wait for the socket, until deadline (by clock_now; < 0: for ever). The events that poll reports,
 * 0 when time is over or the connection is lost. */
int link_wait_ready(struct link *link, short events, double deadline);
/* Nothing came for too long: the connection is lost. */
void link_silent(struct link *link);
/* Read what is there into the input. False when the connection is lost. */
bool link_receive(struct link *link);
/* Take the first whole message out of the input, where there is one: a notification is kept, the
 * response to the last request becomes link->response, that to a queued one its outcome. True when
 * one was taken and there may be more. */
bool link_take_message(struct link *link);
/* Receive a large bin that has begun to come right into its place, to its end, where it has one;
 * the daemon may be silent for allowed seconds (< 0: for ever). True: one has come. */
bool link_take_bulk(struct link *link, double allowed);

/* link_messages.c */

/* Copy a string, cut to size - 1 bytes, with a NUL after it. */
void link_text_copy(char *to, size_t size, const msgpack_object *from);
/* The outcome that a response tells: its HRESULT, with values on success (at least outs of them),
 * with text on failure (NULL on success). False when it is of the wrong shape. */
bool link_outcome_read(const struct message *response, uint32_t outs, HRESULT *hr,
                       struct link_result *values, const msgpack_object **text);
/* Keep a notification, in the place of the oldest where there are too many; one that says why the
 * daemon hangs up loses the connection. */
void link_notified(struct link *link, const struct message *message);

/* The answer to that queued call (NULL: to the one that is waited for) has come: a warning that was
 * heard before it is its own. */
void link_warning_settle(struct link *link, struct link_queued *queued);

/* link_queue.c */

/* The queued request of that index, less than queue_count; the oldest has index 0. */
struct link_queued *link_queue_at(const struct link *link, size_t index);
/* Is this the response to the queued request whose turn it is? */
bool link_queue_answers(const struct link *link, const struct message *message);
/* Keep the outcome of that request for whoever collects it. False when the response makes no
 * sense. */
bool link_queue_answer(struct link *link, const struct message *response);

#endif
