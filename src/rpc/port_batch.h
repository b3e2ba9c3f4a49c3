/* Requests for WriteIo that came one behind the other, taken on together, so that their accesses
 * can be under way at the same time. Each is answered by itself, in order. */
#ifndef SB_RPC_PORT_BATCH_H
#define SB_RPC_PORT_BATCH_H

#include "base/buffer.h"
#include "space/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one batch; then the connection's other calls, and other connections, have their turn. */
#define PORT_BATCH_MOST 256u

struct port_batch;

/* May these bytes be such a request? Quick; port_batch_add tells. */
bool port_batch_looks_like(const uint8_t *bytes, size_t length);

/* Empty. NULL: no memory. */
struct port_batch *port_batch_new(void);
void port_batch_free(struct port_batch *batch);
/* Take on a whole message; bytes are not needed any more then. False: the batch is full, or this is
 * anything but a WriteIo with arguments of the right kinds. */
bool port_batch_add(struct port_batch *batch, const uint8_t *bytes, size_t length);

/* An answer, in order; frame is the callee's to empty. NULL: there was no memory for it. False:
 * carry out no more. Must not suspend. */
typedef bool port_batch_answer(void *context, struct buffer *frame);
/* Carry out all there are. name: the connection's. reply, empty, is what the answers are made in.
 */
void port_batch_carry_out(struct port_batch *batch, struct session *session, const char *name,
                          struct buffer *reply, port_batch_answer *answer, void *context);

#endif
