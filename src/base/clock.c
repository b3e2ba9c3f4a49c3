/* Reads the kernel's monotonic clock. */
#include "base/clock.h"

#include <time.h>

double clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time); /* cannot fail on Linux */
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
