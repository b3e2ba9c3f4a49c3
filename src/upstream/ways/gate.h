/* Who may look at the target's memory, and when: many at once, or one who has shut the others out
 * for a moment because the memory does not hold what it should. Zero-initialise. First come, first
 * served: who wants it alone waits for those who are in, and who comes meanwhile waits for him. */
#ifndef SB_UPSTREAM_WAYS_GATE_H
#define SB_UPSTREAM_WAYS_GATE_H

#include "base/task.h"

#include <stdint.h>

struct gate {
    unsigned inside;
    unsigned waiting; /* to come in, for the gate to be opened */
    uint64_t opens;
    bool shut;
    struct task_mutex alone; /* its holder has shut the gate */
    struct task_cond left, opened;
};

/* Neither suspends without need. Not to be nested: who is in must not enter again. */
void gate_enter(struct gate *gate);
void gate_leave(struct gate *gate);

/* For one who is in: be the only one. Others may have been in, and alone, before this returns. */
void gate_shut(struct gate *gate);
/* The others may come in again; the caller is still in. */
void gate_open(struct gate *gate);

#endif
