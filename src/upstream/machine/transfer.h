/* Spans of bytes between here and the target's memory: cut into packets that the stub can take,
 * many in flight. */
#ifndef SB_UPSTREAM_MACHINE_TRANSFER_H
#define SB_UPSTREAM_MACHINE_TRANSFER_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"

struct transfer_settings {
    struct stub *stub;
    target_client client;
    enum rsp_space space;
    uint64_t thread; /* 0: any */
    bool write;
    bool natural;          /* TARGET_ACCESS_NATURAL */
    uint64_t address_mask; /* what the target's addresses are wide */
};

/* Carry out all spans, in a task. done and error of each span are set; a span whose error is set on
 * entry is left out. Returns the first error that is not TARGET_OK. */
enum target_error transfer_spans(const struct transfer_settings *settings,
                                 struct target_span *spans, size_t count);

#endif
