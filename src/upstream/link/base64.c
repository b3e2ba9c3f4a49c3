/* Hides the base64 that qtest speaks. */
#include "upstream/link/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value plus one; zero is "no digit". */
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

void base64_encode(char *text, const uint8_t *bytes, size_t size)
{
    for (; size >= 3; size -= 3, bytes += 3, text += 4) {
        uint32_t three = (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
        text[0] = digits[three >> 18];
        text[1] = digits[three >> 12 & 63];
        text[2] = digits[three >> 6 & 63];
        text[3] = digits[three & 63];
    }
    if (size == 0)
        return;
    uint32_t rest = (uint32_t)bytes[0] << 16 | (size == 2 ? (uint32_t)bytes[1] << 8 : 0);
    text[0] = digits[rest >> 18];
    text[1] = digits[rest >> 12 & 63];
    text[2] = size == 2 ? digits[rest >> 6 & 63] : '=';
    text[3] = '=';
}

/* Four characters, the last `padding` of which are '='. */
static bool decode_group(uint32_t *three, const char *text, unsigned padding)
{
    unsigned bad = 0;
    *three = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned value = values[(uint8_t)text[i]];
        if (i >= 4 - padding) {
            bad |= text[i] != '=';
            value = 1;
        }
        bad |= value == 0;
        *three = *three << 6 | ((value - 1) & 63);
    }
    return !bad;
}

bool base64_decode(uint8_t *bytes, size_t size, const char *text, size_t length)
{
    uint32_t three;
    if (length != base64_length(size))
        return false;
    for (; size >= 3; size -= 3, bytes += 3, text += 4) {
        if (!decode_group(&three, text, 0))
            return false;
        bytes[0] = (uint8_t)(three >> 16);
        bytes[1] = (uint8_t)(three >> 8);
        bytes[2] = (uint8_t)three;
    }
    if (size == 0)
        return true;
    if (!decode_group(&three, text, size == 2 ? 1 : 2))
        return false;
    bytes[0] = (uint8_t)(three >> 16);
    if (size == 2)
        bytes[1] = (uint8_t)(three >> 8);
    return true;
}
