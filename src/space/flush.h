/* Dirty bytes of one view on their way to the target. */
#ifndef SB_SPACE_FLUSH_H
#define SB_SPACE_FLUSH_H

#include "space/call.h"
#include "space/core.h"
#include "space/page.h"

struct flush_result {
    /* in: a loss in that virtual range is looked for ... */
    uint64_t watch;
    size_t watch_length;
    /* out: ... and this is how many bytes of the range come before it */
    size_t watch_kept;
    uint64_t flushed;
    uint64_t lost; /* could not be written: dropped and counted */
    uint64_t first_lost;
    enum target_error
        error; /* of the first loss; or, with nothing lost, why dirty bytes were kept */
    char reason[SESSION_REASON_SIZE];
};

/* Write back this view's dirty bytes, exactly those, in address order; the mutex is held. result:
 * zeroed but for what is asked. S_OK: no dirty byte is left. E_FAIL: bytes were lost. Else nothing
 * was lost, but not all could be written now. */
HRESULT flush_view(struct session *session, struct flush_result *result);

/* A growable list of spans. */
struct spans {
    struct target_span *span;
    size_t count, capacity;
};

/* Dirty bytes on their way: a copy of them, one span for each run of dirty bits, in rising order.
 * While they are under way the view holds them as clean, so that whoever changes the same memory
 * meanwhile drops them there as it drops any other clean byte. */
struct batch {
    struct pages *pages;
    struct spans spans;
    uint8_t *bytes;
};
/* The dirty bytes of the first lines by address. False, with nothing changed: out of memory. */
bool flush_take(struct session *session, struct batch *batch);
/* Write it, and free it. */
void flush_batch(struct session *session, struct batch *batch, struct flush_result *result);
/* Nothing of it was sent: its bytes are dirty again, and it is freed. */
void flush_put_back(struct session *session, struct batch *batch, struct flush_result *result);
HRESULT flush_hresult(const struct flush_result *result);

/* One clause about a failed flush: how many bytes, where the first, why. */
void flush_describe(const struct flush_result *result, char *text, size_t size);
/* What a call does before it touches the target past the view. hr and message are left for the
 * caller's answer when it failed: the call must not go on. */
HRESULT flush_before(struct session *session, const char *call, uint64_t offset);
/* As part of a call on the view, the mutex held. False: the call was refused. */
bool flush_within(struct call *call);
/* A loss that no call is there to tell: log and listener. */
void flush_report(struct session *session, HRESULT hr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Count a loss of length bytes at address in the result and in the session's sums. */
void flush_lost(struct session *session, struct flush_result *result, uint64_t address,
                uint64_t length, enum target_error error, const char *reason);

#endif
