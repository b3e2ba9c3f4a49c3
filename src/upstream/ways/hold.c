/* How many there are that a resume waits for, and how many resumes are about to be sent. */
#include "upstream/ways/hold.h"

bool hold_begin(struct hold *hold)
{
    if (hold->holds > 0)
        return false;
    hold->busy++;
    return true;
}

void hold_end(struct hold *hold)
{
    if (--hold->busy == 0)
        task_cond_broadcast(&hold->idle);
}

bool hold_held(const struct hold *hold)
{
    return hold->holds > 0;
}

void hold_take(struct hold *hold)
{
    hold->holds++;
}

void hold_release(struct hold *hold)
{
    hold->holds--;
}

bool hold_drain(struct hold *hold)
{
    bool waited = hold->busy > 0;
    while (hold->busy > 0)
        task_cond_wait(&hold->idle, -1);
    return waited;
}
