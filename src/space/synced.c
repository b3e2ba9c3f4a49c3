/* A number for each thread: after how many runs its registers were fetched. */
#include "space/synced.h"

#include <stdlib.h>

/* Threads that are noted; the others are fetched each time. */
#define SYNCED_MAX 256

struct synced {
    uint64_t runs;
    uint64_t at[SYNCED_MAX]; /* runs + 1 */
};

struct synced *synced_new(void)
{
    return calloc(1, sizeof(struct synced));
}

void synced_free(struct synced *synced)
{
    free(synced);
}

void synced_forget(struct synced *synced)
{
    synced->runs++;
}

uint64_t synced_moment(const struct synced *synced)
{
    return synced->runs;
}

static bool noted(int64_t thread)
{
    return thread > 0 && thread < SYNCED_MAX;
}

bool synced_is(const struct synced *synced, int64_t thread)
{
    return noted(thread) && synced->at[thread] == synced->runs + 1;
}

void synced_note(struct synced *synced, int64_t thread, uint64_t moment)
{
    if (noted(thread))
        synced->at[thread] = moment + 1;
}
