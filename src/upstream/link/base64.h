/* Base64 (RFC 4648, with padding), as QEMU's qtest carries memory. */
#ifndef SB_UPSTREAM_LINK_BASE64_H
#define SB_UPSTREAM_LINK_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters that size bytes become. size must leave room for the result in a size_t. */
static inline size_t base64_length(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* text gets base64_length(size) characters and no NUL. */
void base64_encode(char *text, const uint8_t *bytes, size_t size);
/* Decode length characters into exactly size bytes. False where that is not what they say: another
 * length, a character that is none, padding elsewhere than at the end. */
bool base64_decode(uint8_t *bytes, size_t size, const char *text, size_t length);

#endif
