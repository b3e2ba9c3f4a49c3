/* The client's end of a connection: sends one request and waits for its response, or many and
 * collects theirs later; keeps notifications that come in between. The daemon is not trusted
 * further than the protocol goes: whatever breaks it ends the connection with a message. */
#ifndef SB_CLIENT_LINK_H
#define SB_CLIENT_LINK_H

#include "base/buffer.h"
#include "client/channel.h"
#include "client/message_size.h"
#include "client/notices.h"
#include "client/outcome.h"
#include "client/pending.h"
#include "spacebridge/spacebridge.h"
#include "wire/message.h"
#include "wire/pack.h"

#include <stdbool.h>

struct link {
    struct channel channel;
    double silence; /* seconds that the daemon may be silent during a call, < 0: no limit */
    uint32_t id;    /* of the last request */
    bool awaited;   /* that request is link_call's, and has not been answered */
    /* the request that is being made */
    struct buffer request;
    struct buffer outgoing; /* queued requests that have not been sent */
    struct pack pack;       /* onto the one of them that it goes to */
    void *sink; /* where a bin that is its result may go at once, at most sink_most bytes of it */
    size_t sink_most;
    struct value sunk; /* that bin, where it did, and what came with it */
    HRESULT sunk_hr;
    /* its response */
    struct message response;
    bool answered; /* response is there: its strings are the first held bytes of input */
    size_t held;
    char message[CLIENT_MESSAGE_SIZE]; /* the last call's */
    char warning[CLIENT_MESSAGE_SIZE]; /* the last call's; "": none */
    struct pending pending;            /* what was queued */
    uint64_t ticket;                   /* of the last one that was */
    struct notices notices;
};

/* Take over a connected descriptor that does not block. The link must not be moved. */
void link_init(struct link *link, int fd);
void link_free(struct link *link);
/* Is the connection lost? Every further call is E_UNEXPECTED then, and message says how. */
bool link_is_lost(const struct link *link);
/* Hang up: the daemon broke the protocol in that way. */
void link_broken(struct link *link, const char *how);

/* Begin the request of a method with that many params, which the caller packs onto what is
 * returned; a bin's bytes may be left for link_call's body. */
struct pack *link_begin(struct link *link, const char *method, uint32_t params);
/* The result of the request begun last is a bin that belongs here: a large one is received right
 * into it, not copied. Whoever takes the result apart sees whether it is there already. */
void link_sink(struct link *link, void *into, size_t most);
/* Send the request, followed by body (size bytes, the end of its last param), and wait for the
 * response, for extra seconds longer than silence allows (< 0: for ever). The HRESULT of the
 * response: on success with the first outs values in result, on failure with link->message set.
 * E_UNEXPECTED when the connection is lost. */
HRESULT link_call(struct link *link, const void *body, size_t size, double extra, uint32_t outs,
                  struct link_result *result);
/* Begin a request that is queued: as link_begin. */
struct pack *link_queue_begin(struct link *link, const char *method, uint32_t params);
/* Queue it, its last param's bytes being body (size bytes, taken before this returns). expect: what
 * is expected of its result; expect, most and into of it count. Sends what has gathered when that
 * is a lot, and then takes in answers that are there, so that neither end waits for the other for
 * ever. Its ticket goes to *ticket where that is not NULL. E_UNEXPECTED when the connection is
 * lost, E_OUTOFMEMORY: it is not queued then. */
HRESULT link_queue_end(struct link *link, const void *body, size_t size,
                       const struct link_queued *expect, uint64_t *ticket);
/* Send what has gathered. */
HRESULT link_queue_send(struct link *link);
/* Wait for the outcome of the oldest; link->message is its message, link->warning its warning.
 * False when nothing is queued.
 */
bool link_queue_collect(struct link *link, struct link_queued *outcome);

/* Wait for a notification; false when there is none within timeout seconds (< 0: for ever) or the
 * connection is lost. */
bool link_notification(struct link *link, double timeout,
                       struct spacebridge_notification *notification);

#endif
