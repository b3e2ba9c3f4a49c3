/* What a peer has sent: whole requests that wait to be carried out, the bytes of a large write as
 * they come, and the beginning of what is not whole yet. Which request may overtake, and when there
 * is something to read, is its owner's to know. */
#ifndef SB_RPC_INBOX_H
#define SB_RPC_INBOX_H

#include "base/buffer.h"
#include "rpc/bulk_write.h"
#include "wire/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Input that may wait to be carried out, in bytes and in requests, before reading pauses: one frame
 * of the largest size always fits, and a little more so that a SetInterrupt behind it is seen. */
#define INBOX_BYTES_MOST    ((size_t)64 * 1024 * 1024 + 64 * 1024)
#define INBOX_REQUESTS_MOST 4096u

/* A whole request that waits. */
struct inbox_request {
    uint32_t length;
    bool taken; /* it has overtaken: already answered */
};

struct inbox {
    const char *name;    /* the connection's, for the log */
    struct buffer bytes; /* whole requests, then what is there of the next one */
    size_t whole;        /* bytes of whole requests in it */
    struct inbox_request *queue;
    size_t first, count, room; /* the queue is a ring of room places */
    struct frame_scanner scanner;
    struct bulk_write bulk; /* under way: the input begins with bytes of it, */
    size_t bulk_here;       /* this many, which count as whole */
};

enum inbox_result {
    INBOX_GOOD,
    INBOX_BROKEN,    /* what was sent is no message: scanner.fault says why */
    INBOX_NO_MEMORY, /* a request could not be queued */
};

enum inbox_overtaking {
    INBOX_WAITS, /* the request has its turn when those before it have had theirs */
    INBOX_TAKEN, /* it was carried out at once */
    INBOX_STOP,  /* it was, and nothing further is to be looked at */
};
/* Carry out a whole request, if it is one that overtakes. */
typedef enum inbox_overtaking inbox_overtake(void *context, const uint8_t *bytes, size_t length);

/* name must outlive the inbox. */
void inbox_init(struct inbox *inbox, const char *name);
void inbox_free(struct inbox *inbox);

/* One read from a descriptor that does not block, as buffer_read_fd; a large message is read in
 * large pieces. */
ssize_t inbox_read(struct inbox *inbox, int fd);
/* Find the whole requests in what has been read. */
enum inbox_result inbox_scan(struct inbox *inbox, inbox_overtake *overtake, void *context);
/* So much waits that nothing more is to be read for now. */
bool inbox_full(const struct inbox *inbox);
/* Is a message there in part? */
bool inbox_partial(const struct inbox *inbox);

/* The queue's request of that index (less than count; 0: the first). */
const struct inbox_request *inbox_at(const struct inbox *inbox, size_t index);
/* Drop the queue's first request, which there must be. */
void inbox_pop(struct inbox *inbox);
/* Move the queue's first request, which there must be, to where the reader does not move it about.
 * False when out of memory. */
bool inbox_take_request(struct inbox *inbox, struct buffer *into);
/* Move the next length bytes, at most bulk_here, of a large write. False when out of memory. */
bool inbox_take_piece(struct inbox *inbox, size_t length, struct buffer *into);
/* The large write is over: what is here of it is dropped. */
void inbox_end_bulk(struct inbox *inbox);

#endif
