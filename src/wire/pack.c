/* Hides the format's bytes when writing, but for the answers that are laid out by hand because they
 * are many or large (rpc/answer.c). */
#include "wire/pack.h"

#include <string.h>

static void put(struct pack *pack, const void *bytes, size_t size)
{
    if (!buffer_append(pack->out, bytes, size))
        pack->no_memory = true;
}

/* The width bytes of a number, the most significant first; returns what follows them. */
static uint8_t *put_number(uint8_t *at, uint64_t number, unsigned width)
{
    for (unsigned left = width; left-- > 0;)
        *at++ = (uint8_t)(number >> 8 * left);
    return at;
}

/* Forms 0 to 3 are of 1, 2, 4 and 8 bytes. */
static unsigned form_of(uint64_t number)
{
    return number <= UINT8_MAX ? 0 : number <= UINT16_MAX ? 1 : number <= UINT32_MAX ? 2 : 3;
}

uint8_t *pack_put_unsigned(uint8_t *at, uint64_t number)
{
    unsigned form = form_of(number);

    if (number > 0x7f)
        *at++ = (uint8_t)(0xcc + form); /* uint 8, 16, 32, 64 */
    return put_number(at, number, 1u << form);
}

/* A first byte, and a number of that form behind it. */
static void put_long(struct pack *pack, unsigned first, uint64_t number, unsigned form)
{
    uint8_t bytes[PACK_NUMBER_MOST] = {(uint8_t)first};
    const uint8_t *end = put_number(bytes + 1, number, 1u << form);

    put(pack, bytes, (size_t)(end - bytes));
}

static void put_byte(struct pack *pack, unsigned byte)
{
    const uint8_t bytes[] = {(uint8_t)byte};

    put(pack, bytes, sizeof bytes);
}

void pack_nil(struct pack *pack)
{
    put_byte(pack, 0xc0);
}

void pack_boolean(struct pack *pack, bool value)
{
    put_byte(pack, value ? 0xc3 : 0xc2);
}

void pack_unsigned(struct pack *pack, uint64_t number)
{
    uint8_t bytes[PACK_NUMBER_MOST];
    const uint8_t *end = pack_put_unsigned(bytes, number);

    put(pack, bytes, (size_t)(end - bytes));
}

void pack_signed(struct pack *pack, int64_t number)
{
    if (number >= 0)
        pack_unsigned(pack, (uint64_t)number);
    else if (number >= -32)
        put_byte(pack, (uint8_t)number);
    else if (number >= INT8_MIN)
        put_long(pack, 0xd0, (uint64_t)number, 0); /* int 8, 16, 32, 64 */
    else if (number >= INT16_MIN)
        put_long(pack, 0xd1, (uint64_t)number, 1);
    else if (number >= INT32_MIN)
        put_long(pack, 0xd2, (uint64_t)number, 2);
    else
        put_long(pack, 0xd3, (uint64_t)number, 3);
}

void pack_text_bytes(struct pack *pack, const uint8_t *bytes, uint32_t size)
{
    if (size < 32)
        put_byte(pack, 0xa0 | size);
    else
        put_long(pack, 0xd9 + form_of(size), size, form_of(size)); /* str 8, 16, 32 */
    put(pack, bytes, size);
}

void pack_text(struct pack *pack, const char *text)
{
    pack_text_bytes(pack, (const uint8_t *)text, (uint32_t)strlen(text));
}

void pack_bin_head(struct pack *pack, uint32_t size)
{
    put_long(pack, 0xc4 + form_of(size), size, form_of(size)); /* bin 8, 16, 32 */
}

/* An array or map: short, or of 16 or 32 bits from first_long on. */
static void put_count(struct pack *pack, unsigned first_short, unsigned first_long, uint32_t count)
{
    if (count < 16)
        put_byte(pack, first_short | count);
    else if (count <= UINT16_MAX)
        put_long(pack, first_long, count, 1);
    else
        put_long(pack, first_long + 1, count, 2);
}

void pack_array(struct pack *pack, uint32_t count)
{
    put_count(pack, 0x90, 0xdc, count);
}

void pack_map(struct pack *pack, uint32_t count)
{
    put_count(pack, 0x80, 0xde, count);
}
