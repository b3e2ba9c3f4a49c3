/* One call on memory: its progress, and the HRESULT and sentence that come of it. */
#ifndef SB_SPACE_CALL_H
#define SB_SPACE_CALL_H

#include "space/core.h"

struct call {
    struct session *session;
    const char *name;
    const char *done_text; /* "written", "read" */
    HRESULT fault;         /* what a fault is called: read or write */
    uint64_t offset;
    size_t asked;            /* as the caller said */
    size_t size;             /* cut at the top of the space */
    size_t done;             /* the prefix that was transferred */
    enum target_error error; /* why it stopped short; TARGET_OK: it did not */
    HRESULT hr;              /* if not S_OK: the answer, whatever was done */
    char reason[SESSION_REASON_SIZE];
};

void call_begin_read(struct call *call, struct session *session, const char *name, uint64_t offset,
                     uint32_t size);
void call_begin_write(struct call *call, struct session *session, const char *name, uint64_t offset,
                      uint32_t size);
/* It stops here, for this reason (NULL: the error's own words). The first reason stays. */
void call_stop(struct call *call, enum target_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* It fails as a whole with that HRESULT, whatever was done. */
void call_refuse(struct call *call, HRESULT hr, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* *done (may be NULL) gets the prefix. */
HRESULT call_finish(struct call *call, uint32_t *done);

#endif
