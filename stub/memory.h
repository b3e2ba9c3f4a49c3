/* Requests about memory. */
#ifndef SB_STUB_MEMORY_H
#define SB_STUB_MEMORY_H

#include "stub/client.h"

handler_fn memory_do_read;        /* m ADDR,LENGTH */
handler_fn memory_do_read_binary; /* x ADDR,LENGTH */
handler_fn memory_do_write;       /* M ADDR,LENGTH:hex, X ADDR,LENGTH:binary */
handler_fn memory_do_search;      /* qSearch:memory:ADDR;LENGTH;pattern */
handler_fn memory_do_crc;         /* qCRC:ADDR,LENGTH */

/* The readable prefix of a range, as the client sees memory now: by its view, physical, or live.
 * done bytes were read; false where that is none, and the reply says why. */
bool memory_read(struct client *client, uint64_t address, void *bytes, uint32_t size,
                 uint32_t *done);

#endif
