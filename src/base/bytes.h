/* Numbers as bytes in memory, and ranges of a 64-bit space. Pure. */
#ifndef SB_BASE_BYTES_H
#define SB_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number that size bytes (0 to 8) hold in that order. */
uint64_t bytes_load(const void *bytes, size_t size, bool big_endian);
/* The low size bytes (0 to 8) of a number, in that order. */
void bytes_store(void *bytes, uint64_t value, size_t size, bool big_endian);

/* How much of size bytes from address on lies below the end of the space, 2^64. */
uint64_t bytes_clip(uint64_t address, uint64_t size);

#endif
