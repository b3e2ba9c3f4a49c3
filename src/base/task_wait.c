/* What tasks wait for. It needs nothing of them but suspend and wake. */
#include "base/task.h"

#include <utlist.h>

struct task_waiter {
    struct task *task;
    bool done;
    struct task_waiter *prev, *next;
};

/* The running task, which is about to wait. */
static struct task *suspendable(void)
{
    struct task *task = task_self();
    if (!task)
        task_broken("there is no task here that could wait");
    return task;
}

struct wait {
    struct task *task;
    int events;
    bool expired;
};

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    struct wait *wait = watcher->data;
    wait->events |= events;
    task_wake(wait->task);
}

static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct wait *wait = watcher->data;
    wait->expired = true;
    task_wake(wait->task);
}

/* Start a timer for wait, unless seconds is negative: then the timer stays inactive. */
static void timer_start(ev_timer *timer, struct wait *wait, double seconds)
{
    struct ev_loop *loop = task_loop(wait->task);
    ev_timer_init(timer, on_timer, seconds < 0 ? 0. : seconds, 0.);
    timer->data = wait;
    if (seconds < 0)
        return;
    /* The loop counts from its last look at the clock, which may be long ago. */
    ev_now_update(loop);
    ev_timer_start(loop, timer);
}

int task_wait_fd(int fd, int events, double timeout)
{
    struct wait wait = {.task = suspendable()};
    struct ev_loop *loop = task_loop(wait.task);
    ev_io io;
    ev_io_init(&io, on_io, fd, events & (EV_READ | EV_WRITE));
    io.data = &wait;
    ev_io_start(loop, &io);
    ev_timer timer;
    timer_start(&timer, &wait, timeout);
    while (wait.events == 0 && !wait.expired)
        task_suspend();
    ev_io_stop(loop, &io);
    ev_timer_stop(loop, &timer);
    return wait.events & events & (EV_READ | EV_WRITE);
}

void task_sleep(double seconds)
{
    struct wait wait = {.task = suspendable()};
    ev_timer timer;
    timer_start(&timer, &wait, seconds > 0 ? seconds : 0);
    while (!wait.expired)
        task_suspend();
}

bool task_cond_wait(struct task_cond *cond, double timeout)
{
    struct wait wait = {.task = suspendable()};
    struct task_waiter waiter = {.task = wait.task};
    DL_APPEND(cond->waiters, &waiter);
    ev_timer timer;
    timer_start(&timer, &wait, timeout);
    while (!waiter.done && !wait.expired)
        task_suspend();
    ev_timer_stop(task_loop(wait.task), &timer);
    if (!waiter.done)
        DL_DELETE(cond->waiters, &waiter);
    return waiter.done;
}

/* Take the first waiter off the list and let it go on. */
static struct task *release_first(struct task_waiter **waiters)
{
    struct task_waiter *first = *waiters;
    DL_DELETE(*waiters, first);
    first->done = true;
    task_wake(first->task);
    return first->task;
}

void task_cond_broadcast(struct task_cond *cond)
{
    /* Nobody runs in between, so nobody can queue up again before this ends. */
    while (cond->waiters)
        release_first(&cond->waiters);
}

void task_mutex_lock(struct task_mutex *mutex)
{
    if (!mutex->held) {
        mutex->held = true;
        mutex->owner = task_self();
        return;
    }
    struct task_waiter waiter = {.task = suspendable()};
    if (mutex->owner == task_self())
        task_broken("task_mutex_lock: the task holds this mutex already");
    DL_APPEND(mutex->waiters, &waiter);
    while (!waiter.done)
        task_suspend();
}

void task_mutex_give(struct task_mutex *mutex, struct task *task)
{
    if (!mutex->held || mutex->owner != task_self())
        task_broken("task_mutex_give: not the holder of this mutex");
    mutex->owner = task;
}

void task_mutex_unlock(struct task_mutex *mutex)
{
    if (!mutex->held || mutex->owner != task_self())
        task_broken("task_mutex_unlock: not the holder of this mutex");
    /* Handed over, not set free: somebody who comes by before the waiter runs has to queue. */
    if (mutex->waiters) {
        mutex->owner = release_first(&mutex->waiters);
    } else {
        mutex->owner = NULL;
        mutex->held = false;
    }
}
