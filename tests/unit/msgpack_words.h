/* MessagePack for tests, written as a format: words_pack(&buffer, "[iis[u]]", 0, 1, "Call",
 * address). i int   u uint64_t   l int64_t   s const char *   b (const void *, size_t): a bin n nil
 * t true   f false   d double   [ ] array   { } map */
#ifndef SB_TESTS_MSGPACK_WORDS_H
#define SB_TESTS_MSGPACK_WORDS_H

#include "base/buffer.h"

/* Append one value; the test fails when the format is wrong. */
void words_pack(struct buffer *buffer, const char *format, ...);

#endif
