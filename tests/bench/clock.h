/* What both programs of the bench need. */
#ifndef SB_BENCH_CLOCK_H
#define SB_BENCH_CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double clock_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A plain generator of noise (xorshift64): the same in every run. */
static inline uint64_t noise(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void noise_fill(uint8_t *bytes, size_t size)
{
    uint64_t state = 0x9e3779b97f4a7c15;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(noise(&state) >> 32);
}

/* 4-byte addresses in [base, base + span), each once where order is 1 (rising, no gaps), else
 * noise. */
static inline uint64_t address_of(int contiguous, uint64_t base, uint64_t span, size_t index,
                                  uint64_t *state)
{
    return base + (contiguous ? 4 * (uint64_t)index % span : noise(state) % (span / 4) * 4);
}

static inline _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

#endif
