/* A write so large that it is carried out while it still arrives: then the way from the client and
 * the way to the target do not wait for one another. Its frame must be good up to where its bytes
 * begin, which are the last that it has; nothing is done before that was checked.
 *
 * It means what the same call means when it is carried out at once: one piece after the other in
 * ascending order, none after one that fell short, and the answer counts the prefix that was
 * written. Pieces end at page boundaries, so that no access is divided. */
#ifndef SB_RPC_BULK_WRITE_H
#define SB_RPC_BULK_WRITE_H

#include "rpc/params.h"
#include "space/session.h"
#include "wire/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

/* Bytes: shorter writes are carried out at once; of a longer one, as soon as a piece of this many
 * is there. */
#define BULK_WRITE_LEAST ((size_t)2 * 1024 * 1024)
#define BULK_WRITE_PIECE ((size_t)1024 * 1024)

struct bulk_write {
    const char *call; /* its name; NULL: there is none under way */
    enum wire_call method;
    uint32_t id;
    uint64_t offset;
    uint32_t flags;
    size_t size;    /* bytes to write */
    size_t left;    /* of these, bytes that were not handed to bulk_write_step */
    size_t missing; /* of these, bytes that have not arrived */
    HRESULT hr;
    char message[PARAMS_MESSAGE_SIZE]; /* why it failed */
    uint32_t done;                     /* bytes written, from the first */
    bool ended;                        /* a piece fell short: the rest is not carried out */
};

/* Does the frame that begins at bytes, of which length bytes are here and scanned, begin such a
 * write? Returns the bytes before the first that is to be written; 0: it does not. */
size_t bulk_write_begin(struct bulk_write *bulk, const uint8_t *bytes, size_t length,
                        const struct frame_scanner *scanner);
/* How many of the bytes that are here, the next ones of the write, make a piece; 0: wait for more.
 */
size_t bulk_write_piece(const struct bulk_write *bulk, size_t here);
/* Carry out a piece. Suspends as the session's call does. */
void bulk_write_step(struct bulk_write *bulk, struct session *session, const uint8_t *bytes,
                     size_t length);
/* The answer to the call, into reply, which must be empty; false when out of memory. name: the
 * connection's, for the log. */
bool bulk_write_answer(const struct bulk_write *bulk, struct session *session, const char *name,
                       struct buffer *reply);

#endif
