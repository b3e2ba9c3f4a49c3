/* Hides how stacks are switched; nothing else here does. */
#include "base/task.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <utlist.h>

#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id)       ((void)(id))
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* Stacks of returned tasks that are kept for the next ones. */
#define STACKS_KEPT 32

struct stack {
    uint8_t *base; /* lowest usable byte; the guard page is below it */
    unsigned valgrind_id;
};

enum task_state { TASK_READY, TASK_RUNNING, TASK_SUSPENDED, TASK_RETURNED };

struct task {
    ucontext_t context;
    struct scheduler *scheduler;
    struct stack stack;
    void *fake_stack; /* AddressSanitizer's */
    task_fn *fn;
    void *arg;
    enum task_state state;
    bool woken; /* while running: the next suspend returns at once */
    char name[32];
    struct task *prev, *next; /* in the queue of ready tasks */
};

/* What the tasks of one loop share; it lives from the first task to the last. */
struct scheduler {
    struct ev_loop *loop;
    ev_prepare prepare; /* runs the ready tasks just before the loop would sleep */
    ev_idle idle;       /* active while tasks are ready: keeps the loop from sleeping */
    struct task *ready;
    size_t ready_count;
    size_t tasks;
    ucontext_t context; /* of the loop, while a task runs */
    void *fake_stack;
    const void *loop_stack;
    size_t loop_stack_size;
    struct stack kept[STACKS_KEPT];
    size_t kept_count;
    struct scheduler *next;
};

static _Thread_local struct task *running;
static _Thread_local struct scheduler *schedulers;

void task_broken(const char *what)
{
    fprintf(stderr, "task %s: %s\n", running ? running->name : "(none)", what);
    abort();
}

/* Stacks */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static bool stack_take(struct scheduler *scheduler, struct stack *stack)
{
    if (scheduler->kept_count > 0) {
        *stack = scheduler->kept[--scheduler->kept_count];
        return true;
    }
    size_t guard = page_size();
    uint8_t *map = mmap(NULL, guard + TASK_STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return false;
    if (mprotect(map, guard, PROT_NONE) != 0) {
        munmap(map, guard + TASK_STACK_SIZE);
        return false;
    }
    stack->base = map + guard;
    stack->valgrind_id = VALGRIND_STACK_REGISTER(stack->base, stack->base + TASK_STACK_SIZE);
    return true;
}

static void stack_drop(struct stack *stack)
{
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
    munmap(stack->base - page_size(), page_size() + TASK_STACK_SIZE);
}

static void stack_give_back(struct scheduler *scheduler, struct stack *stack)
{
#ifdef WITH_ASAN
    /* Frames that never returned leave their red zones for whoever is mapped here next. */
    __asan_unpoison_memory_region(stack->base, TASK_STACK_SIZE);
#endif
    if (scheduler->kept_count < STACKS_KEPT)
        scheduler->kept[scheduler->kept_count++] = *stack;
    else
        stack_drop(stack);
}

/* Switching */

static void switch_to_task(struct task *task)
{
    struct scheduler *scheduler = task->scheduler;
    if (running)
        task_broken("a loop with tasks is run from inside a task");
    running = task;
    task->state = TASK_RUNNING;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(&scheduler->fake_stack, task->stack.base, TASK_STACK_SIZE);
#endif
    if (swapcontext(&scheduler->context, &task->context) != 0)
        task_broken("swapcontext failed");
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(scheduler->fake_stack, NULL, NULL);
#endif
    running = NULL;
}

static void switch_to_loop(struct task *task, enum task_state state)
{
    struct scheduler *scheduler = task->scheduler;
    task->state = state;
#ifdef WITH_ASAN
    __sanitizer_start_switch_fiber(state == TASK_RETURNED ? NULL : &task->fake_stack,
                                   scheduler->loop_stack, scheduler->loop_stack_size);
#endif
    if (swapcontext(&task->context, &scheduler->context) != 0)
        task_broken("swapcontext failed");
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(task->fake_stack, &scheduler->loop_stack,
                                    &scheduler->loop_stack_size);
#endif
}

static void task_main(void)
{
    struct task *task = running;
#ifdef WITH_ASAN
    __sanitizer_finish_switch_fiber(NULL, &task->scheduler->loop_stack,
                                    &task->scheduler->loop_stack_size);
#endif
    task->fn(task->arg);
    switch_to_loop(task, TASK_RETURNED);
    task_broken("a task ran on after its return");
}

/* By itself: getcontext() is one of the functions that return twice, around which a compiler trusts
 * no local variable. */
static void context_prepare(struct task *task)
{
    if (getcontext(&task->context) != 0)
        task_broken("getcontext failed");
    task->context.uc_stack.ss_sp = task->stack.base;
    task->context.uc_stack.ss_size = TASK_STACK_SIZE;
    makecontext(&task->context, task_main, 0);
}

/* The queue of ready tasks */

static void make_ready(struct task *task)
{
    struct scheduler *scheduler = task->scheduler;
    task->state = TASK_READY;
    DL_APPEND(scheduler->ready, task);
    if (scheduler->ready_count++ == 0) {
        ev_prepare_start(scheduler->loop, &scheduler->prepare);
        ev_idle_start(scheduler->loop, &scheduler->idle);
    }
}

static void scheduler_free(struct scheduler *scheduler)
{
    LL_DELETE(schedulers, scheduler);
    while (scheduler->kept_count > 0)
        stack_drop(&scheduler->kept[--scheduler->kept_count]);
    free(scheduler);
}

static void run_ready(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)events;
    struct scheduler *scheduler = watcher->data;
    /* Only those that are ready now: what they wake runs next turn, so two tasks that keep waking
     * each other do not shut out the sockets. */
    for (size_t left = scheduler->ready_count; left > 0; left--) {
        struct task *task = scheduler->ready;
        DL_DELETE(scheduler->ready, task);
        scheduler->ready_count--;
        switch_to_task(task);
        if (task->state == TASK_RETURNED) {
            stack_give_back(scheduler, &task->stack);
            scheduler->tasks--;
            free(task);
        }
    }
    if (scheduler->ready_count == 0) {
        ev_prepare_stop(loop, &scheduler->prepare);
        ev_idle_stop(loop, &scheduler->idle);
    }
    if (scheduler->tasks == 0)
        scheduler_free(scheduler);
}

static void stay_awake(struct ev_loop *loop, ev_idle *watcher, int events)
{
    (void)loop;
    (void)watcher;
    (void)events;
}

static struct scheduler *scheduler_of(struct ev_loop *loop)
{
    struct scheduler *scheduler;
    LL_SEARCH_SCALAR(schedulers, scheduler, loop, loop);
    if (scheduler)
        return scheduler;
    scheduler = calloc(1, sizeof(*scheduler));
    if (!scheduler)
        return NULL;
    scheduler->loop = loop;
    ev_prepare_init(&scheduler->prepare, run_ready);
    scheduler->prepare.data = scheduler;
    ev_idle_init(&scheduler->idle, stay_awake);
    LL_PREPEND(schedulers, scheduler);
    return scheduler;
}

/* Tasks */

struct task *task_spawn(struct ev_loop *loop, const char *name, task_fn *fn, void *arg)
{
    struct scheduler *scheduler = scheduler_of(loop);
    if (!scheduler)
        return NULL;
    struct task *task = calloc(1, sizeof(*task));
    if (!task || !stack_take(scheduler, &task->stack))
        goto fail;
    context_prepare(task);
    task->scheduler = scheduler;
    task->fn = fn;
    task->arg = arg;
    snprintf(task->name, sizeof(task->name), "%s", name);
    scheduler->tasks++;
    make_ready(task);
    return task;
fail:
    free(task);
    if (scheduler->tasks == 0)
        scheduler_free(scheduler);
    return NULL;
}

struct task *task_self(void)
{
    return running;
}

const char *task_name(const struct task *task)
{
    return task->name;
}

struct ev_loop *task_loop(const struct task *task)
{
    return task->scheduler->loop;
}

size_t task_count(void)
{
    size_t count = 0;
    for (const struct scheduler *scheduler = schedulers; scheduler; scheduler = scheduler->next)
        count += scheduler->tasks;
    return count;
}

void task_suspend(void)
{
    struct task *task = running;
    if (!task)
        task_broken("there is no task here that could be suspended");
    if (!task->woken)
        switch_to_loop(task, TASK_SUSPENDED);
    task->woken = false;
}

void task_yield(void)
{
    struct task *task = running;
    if (!task)
        task_broken("there is no task here that could give way");
    make_ready(task);
    switch_to_loop(task, TASK_READY);
}

void task_wake(struct task *task)
{
    if (task->state == TASK_SUSPENDED)
        make_ready(task);
    else if (task->state == TASK_RUNNING)
        task->woken = true;
}
