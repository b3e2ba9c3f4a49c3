/* Tasks: stackful coroutines on a libev loop, so that a walk over pages with partial failure reads
 * as a plain loop. One thread, one loop; a task runs until it suspends, so code between two
 * suspension points is atomic with respect to every other task.
 *
 * The pointer to the running task is, with the log, the only state of the process outside
 * src/daemon: it says which stack this thread is on, which no argument could say more truly. */
#ifndef SB_BASE_TASK_H
#define SB_BASE_TASK_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct task;
typedef void task_fn(void *arg);

/* Usable bytes of a task's stack. Memory is touched as it is used, a guard page stands below. */
#define TASK_STACK_SIZE ((size_t)256 * 1024)

/* Make a task that runs fn(arg) from the loop's next turn; its memory is freed when fn returns.
 * name is copied (truncated) for logs. NULL when there is no memory for its stack. */
struct task *task_spawn(struct ev_loop *loop, const char *name, task_fn *fn, void *arg);

/* The task that is running, NULL on the loop's own stack (where nothing may suspend). */
struct task *task_self(void);
const char *task_name(const struct task *task);
/* The loop that the task runs on. */
struct ev_loop *task_loop(const struct task *task);

/* Give way to the loop until task_wake(self). A wake that came since the last return is remembered
 * (one, not a count): suspend then returns at once, after giving the loop a turn is NOT promised.
 * Callers loop: while (!condition) task_suspend(); */
void task_suspend(void);

/* Let everything else that is due have its turn, then go on: for a task with long work at hand. */
void task_yield(void);

/* Make a suspended task runnable; it runs from the loop, never inside this call. Waking a running
 * or already woken task is harmless; waking one that has returned is a broken invariant. */
void task_wake(struct task *task);

/* Wait until fd is ready for events (EV_READ | EV_WRITE) or timeout seconds are over (< 0: for
 * ever). Returns the ready events, 0 on time-out. fd stays open meanwhile: who wants to end the
 * wait from elsewhere uses shutdown(2), and the waiting task closes. */
int task_wait_fd(int fd, int events, double timeout);

/* Sleep for that many seconds. */
void task_sleep(double seconds);

/* A place to wait for something. Zero-initialise. */
struct task_cond {
    struct task_waiter *waiters;
};
/* Wait for a broadcast, at most timeout seconds (< 0: for ever). False on time-out. */
bool task_cond_wait(struct task_cond *cond, double timeout);
/* Wake all who wait, in the order in which they came. */
void task_cond_broadcast(struct task_cond *cond);

/* A first-come-first-served lock between tasks. Zero-initialise. Not recursive. Taking a free lock
 * never suspends, so code that holds to one caller works without any task at all (unit tests). */
struct task_mutex {
    struct task *owner;
    bool held;
    struct task_waiter *waiters;
};
void task_mutex_lock(struct task_mutex *mutex);
void task_mutex_unlock(struct task_mutex *mutex);
/* The running task holds it, and from now on that other one does. */
void task_mutex_give(struct task_mutex *mutex, struct task *task);

/* The number of tasks that have not returned yet (for orderly shut-down and tests). */
size_t task_count(void);

/* An invariant of the tasks is broken: say what, and abort. */
void task_broken(const char *what) __attribute__((noreturn));

#endif
