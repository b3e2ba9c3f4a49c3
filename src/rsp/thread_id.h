/* Thread ids as a stub writes them. */
#ifndef SB_RSP_THREAD_ID_H
#define SB_RSP_THREAD_ID_H

#include "rsp/hex.h"

#include <stdbool.h>
#include <stdint.h>

/* A thread id in a reply, without the process that a QEMU names once it has met a client that wants
 * one (it remembers that over connections): "2", "p01.02". Advances *text past it. */
static inline bool stub_thread_id(uint64_t *id, const char **text, const char *end)
{
    const char *at = *text;
    uint64_t process;
    if (at < end && *at == 'p') {
        at++;
        if (!hex_number(&process, &at, end) || at == end || *at++ != '.')
            return false;
    }
    if (!hex_number(id, &at, end))
        return false;
    *text = at;
    return true;
}

#endif
