/* Hides which byte of a number is where. */
#include "base/bytes.h"

uint64_t bytes_load(const void *bytes, size_t size, bool big_endian)
{
    const uint8_t *from = bytes;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | from[big_endian ? i : size - 1 - i];
    return value;
}

void bytes_store(void *bytes, uint64_t value, size_t size, bool big_endian)
{
    uint8_t *to = bytes;
    for (size_t i = 0; i < size; i++)
        to[big_endian ? size - 1 - i : i] = (uint8_t)(value >> 8 * i);
}

uint64_t bytes_clip(uint64_t address, uint64_t size)
{
    uint64_t left = UINT64_MAX - address + 1; /* 0 stands for 2^64: all of the space */
    return address > 0 && size > left ? left : size;
}
