/* Numbers for random walks: xorshift, so that the walk of a seed is the same everywhere. */
#ifndef SB_TESTS_DRAW_H
#define SB_TESTS_DRAW_H

#include <stdint.h>

/* The next number; *seed must not be 0. */
static inline uint32_t draw(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

#endif
