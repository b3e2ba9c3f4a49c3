/* Hides the characters of lines that a monitor prints. */
#include "upstream/link/text.h"

#include "base/hex.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int text_line(const char **cursor, struct text *line)
{
    if (**cursor == '\0')
        return 0;
    const char *end = strchr(*cursor, '\n');
    if (!end)
        return -1;
    line->start = *cursor;
    line->length = (size_t)(end - *cursor);
    if (line->length && line->start[line->length - 1] == '\r')
        line->length--;
    *cursor = end + 1;
    return 1;
}

bool text_word(struct text *text, const char *word)
{
    size_t length = strlen(word);
    if (text->length < length || memcmp(text->start, word, length) != 0)
        return false;
    text->start += length;
    text->length -= length;
    return true;
}

void text_spaces(struct text *text)
{
    while (text_word(text, " "))
        ;
}

bool text_same(const struct text *left, const struct text *right)
{
    return left->length == right->length &&
           (left->length == 0 || memcmp(left->start, right->start, left->length) == 0);
}

bool text_hex(struct text *text, size_t digits, uint64_t *number)
{
    uint64_t value = 0;
    size_t count = 0;
    for (; count < text->length && count < 17; count++) {
        char c = text->start[count];
        int digit = isupper((unsigned char)c) ? -1 : hex_digit((unsigned char)c);
        if (digit < 0)
            break;
        value = value << 4 | (unsigned)digit;
    }
    if (count == 0 || count > 16 || (digits && count != digits))
        return false;
    text->start += count;
    text->length -= count;
    *number = value;
    return true;
}

bool text_decimal(struct text *text, unsigned *number)
{
    uint64_t value = 0;
    size_t count = 0;
    for (; count < text->length && text->start[count] >= '0' && text->start[count] <= '9';
         count++) {
        value = value * 10 + (unsigned)(text->start[count] - '0');
        if (value > INT32_MAX)
            return false;
    }
    if (count == 0)
        return false;
    text->start += count;
    text->length -= count;
    *number = (unsigned)value;
    return true;
}

void text_note(struct text_notes *notes, const char *format, ...)
{
    if (!notes || notes->count++ >= TEXT_NOTES_MOST)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(notes->note[notes->count - 1], TEXT_NOTE_SIZE, format, arguments);
    va_end(arguments);
}

const char *text_excerpt(const char *bytes, size_t length, char *out)
{
    size_t i;
    for (i = 0; i < length && i < TEXT_EXCERPT_SIZE - 1; i++)
        out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '?';
    out[i] = '\0';
    return out;
}
