/* The memory that an idle connection keeps. */
#ifndef SB_RPC_TRIM_H
#define SB_RPC_TRIM_H

#include "base/buffer.h"

#include <stddef.h>

/* Bytes. An empty buffer larger than this is given back. */
#define TRIM_KEPT ((size_t)16 * 1024)

static inline void rpc_trim(struct buffer *buffer)
{
    if (buffer->length == 0 && buffer->capacity > TRIM_KEPT)
        buffer_free(buffer);
}

#endif
