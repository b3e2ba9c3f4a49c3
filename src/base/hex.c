/* Hides the tables by which digits are found. */
#include "base/hex.h"

#include <string.h>

/* One row is the sixteen digit pairs that begin with h. */
#define PAIRS(h)                                                                                   \
    h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"

static const char pairs[] =
    PAIRS("0") PAIRS("1") PAIRS("2") PAIRS("3") PAIRS("4") PAIRS("5") PAIRS("6") PAIRS("7")
        PAIRS("8") PAIRS("9") PAIRS("a") PAIRS("b") PAIRS("c") PAIRS("d") PAIRS("e") PAIRS("f");

/* The value plus one, so that everything not named here is "no digit" by being zero. */
static const uint8_t values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int hex_digit(int character)
{
    if (character < 0 || character > 255)
        return -1;
    return values[character] - 1;
}

void hex_encode(char *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        memcpy(text + 2 * i, pairs + 2 * (size_t)bytes[i], 2);
}

bool hex_decode(uint8_t *bytes, const char *text, size_t length)
{
    if (length % 2 != 0)
        return false;
    for (size_t i = 0; i < length / 2; i++) {
        int high = values[(uint8_t)text[2 * i]] - 1;
        int low = values[(uint8_t)text[2 * i + 1]] - 1;
        if ((high | low) < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool hex_number(uint64_t *number, const char **text, const char *end)
{
    const char *at = *text;
    uint64_t value = 0;
    for (; at < end && hex_digit((uint8_t)*at) >= 0; at++) {
        if (at - *text == 16)
            return false;
        value = value << 4 | (uint64_t)hex_digit((uint8_t)*at);
    }
    if (at == *text)
        return false;
    *number = value;
    *text = at;
    return true;
}
