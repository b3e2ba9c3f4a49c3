/* MessagePack values written, each in the shortest form that it has. */
#ifndef SB_WIRE_PACK_H
#define SB_WIRE_PACK_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pack {
    struct buffer *out; /* what is packed goes to its end */
    bool no_memory;     /* out is not whole */
};

void pack_nil(struct pack *pack);
void pack_boolean(struct pack *pack, bool value);
void pack_unsigned(struct pack *pack, uint64_t number);
void pack_signed(struct pack *pack, int64_t number);
/* A str. */
void pack_text(struct pack *pack, const char *text);
void pack_text_bytes(struct pack *pack, const uint8_t *bytes, uint32_t size);
/* What stands before the size bytes of a bin. */
void pack_bin_head(struct pack *pack, uint32_t size);
/* The values follow. */
void pack_array(struct pack *pack, uint32_t count);
/* The pairs follow, each a key and a value. */
void pack_map(struct pack *pack, uint32_t count);

/* The most bytes of a number. */
#define PACK_NUMBER_MOST 9u
/* Put a number to at, which has that much room; returns what follows it. */
uint8_t *pack_put_unsigned(uint8_t *at, uint64_t number);

#endif
