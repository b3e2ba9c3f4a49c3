/* How many are inside, who wants to be alone, and in which order they come in. */
#include "upstream/ways/gate.h"

void gate_enter(struct gate *gate)
{
    if (!gate->shut) {
        gate->inside++;
        return;
    }
    uint64_t opens = gate->opens;
    gate->waiting++;
    while (gate->opens == opens) /* who opens counts us in */
        task_cond_wait(&gate->opened, -1);
}

void gate_leave(struct gate *gate)
{
    if (--gate->inside == 0)
        task_cond_broadcast(&gate->left);
}

void gate_shut(struct gate *gate)
{
    gate_leave(gate);
    task_mutex_lock(&gate->alone);
    gate->shut = true;
    while (gate->inside > 0)
        task_cond_wait(&gate->left, -1);
}

void gate_open(struct gate *gate)
{
    gate->shut = false;
    gate->opens++;
    /* Those who wait are in before anybody can shut it again: they have a turn. */
    gate->inside += 1 + gate->waiting;
    gate->waiting = 0;
    task_cond_broadcast(&gate->opened);
    task_mutex_unlock(&gate->alone);
}
