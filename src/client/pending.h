/* Requests that were queued, until their outcomes are collected: in order, those that are answered
 * come first. */
#ifndef SB_CLIENT_PENDING_H
#define SB_CLIENT_PENDING_H

#include "spacebridge/hresult.h"
#include "wire/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the result of a queued request is, after its HRESULT. */
enum link_expect {
    LINK_EXPECT_NOTHING,
    LINK_EXPECT_NUMBER, /* up to most */
    LINK_EXPECT_BIN,    /* up to most bytes, which go to into */
};

/* A request that was queued, until its outcome is collected. */
struct link_queued {
    uint64_t ticket;
    uint32_t id;
    enum link_expect expect;
    HRESULT hr;
    uint64_t most;
    void *into;
    uint64_t value; /* the number, or the bytes that came */
    char *message;  /* why it failed; NULL: it did not, or there was no memory to say so */
    char *warning;  /* what cannot be told of it; NULL: nothing, or there was no memory */
};

/* Zero-initialise. A ring, the oldest first; those that are answered come first. */
struct pending {
    struct link_queued *ring;
    size_t first, count, answered, room;
};

void pending_free(struct pending *pending);
/* False: no memory. */
bool pending_push(struct pending *pending, const struct link_queued *queued);
/* The request that is answered next; NULL: none is waiting for its answer. */
struct link_queued *pending_next(const struct pending *pending);
/* Keep its outcome, as the response says. False when that makes no sense. */
bool pending_answer(struct pending *pending, const struct message *response);
/* Its bytes are where they belong: that many, with that outcome. */
void pending_answer_bin(struct pending *pending, HRESULT hr, size_t size);
/* Take out the oldest, which there must be; answered tells whether it has its outcome. Its texts
 * are the caller's to free. */
struct link_queued pending_pop(struct pending *pending, bool *answered);

#endif
