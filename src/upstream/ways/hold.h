/* What a resume waits for: who does something that needs the target halted begins and ends it, and
 * nothing is begun while a resume is about to be sent. Zero-initialise. */
#ifndef SB_UPSTREAM_WAYS_HOLD_H
#define SB_UPSTREAM_WAYS_HOLD_H

#include "base/task.h"

#include <stdbool.h>

struct hold {
    unsigned holds, busy;
    struct task_cond idle;
};

/* Something that a resume has to wait for begins. False: a resume is about to be sent. */
bool hold_begin(struct hold *hold);
void hold_end(struct hold *hold);
/* Is a resume about to be sent? */
bool hold_held(const struct hold *hold);

/* A resume is about to be sent, until hold_release. */
void hold_take(struct hold *hold);
void hold_release(struct hold *hold);
/* Wait, in a task, for what is under way. True: there was something. */
bool hold_drain(struct hold *hold);

#endif
