#include "target/monitor_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The monitor's letters for access sizes, and its names for them in the answer of `i`. */
static const struct width {
    unsigned size;
    char letter; /* 'w' is four bytes here, as in the monitor's memory dumps */
    char name;
} widths[] = {{1, 'b', 'b'}, {2, 'h', 'w'}, {4, 'w', 'l'}};

static const struct width *width_of(uint16_t port, unsigned size)
{
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        if (widths[i].size == size && (uint32_t)port + size <= 0x10000)
            return &widths[i];
    }
    return NULL;
}

bool monitor_text_port_in(char *line, uint16_t port, unsigned size)
{
    const struct width *width = width_of(port, size);
    if (!width)
        return false;
    snprintf(line, MONITOR_LINE_SIZE, "i /%c 0x%x", width->letter, port);
    return true;
}

bool monitor_text_port_out(char *line, uint16_t port, unsigned size, uint32_t value)
{
    const struct width *width = width_of(port, size);
    if (!width || (size < 4 && value >> (8 * size)))
        return false;
    snprintf(line, MONITOR_LINE_SIZE, "o /%c 0x%x 0x%" PRIx32, width->letter, port, value);
    return true;
}

/* One to most lower-case hex digits at *text; advances *text past them. */
static bool take_hex(const char **text, unsigned most, uint64_t *number)
{
    unsigned digits = 0;
    *number = 0;
    for (;; digits++) {
        char c = (*text)[digits];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            break;
        if (digits == most)
            return false;
        *number = *number << 4 | digit;
    }
    *text += digits;
    return digits > 0;
}

/* Nothing but line ends and blanks is left. */
static bool at_end(const char *text)
{
    return text[strspn(text, "\r\n \t")] == '\0';
}

bool monitor_text_parse_port_in(const char *text, uint16_t port, unsigned size, uint32_t *value)
{
    /* "portb[0x0070] = 0x46" */
    const struct width *width = width_of(port, size);
    char start[MONITOR_LINE_SIZE];
    uint64_t number;
    if (!width)
        return false;
    int length = snprintf(start, sizeof start, "port%c[0x%04x] = 0x", width->name, port);
    if (strncmp(text, start, (size_t)length) != 0)
        return false;
    text += length;
    if (!take_hex(&text, 2 * size, &number) || !at_end(text))
        return false;
    *value = (uint32_t)number;
    return true;
}

void monitor_text_gva2gpa(char *line, uint64_t address)
{
    snprintf(line, MONITOR_LINE_SIZE, "gva2gpa 0x%" PRIx64, address);
}

enum monitor_translation monitor_text_parse_gva2gpa(const char *text, uint64_t *physical)
{
    static const char unmapped[] = "Unmapped", mapped[] = "gpa: 0x";
    if (strncmp(text, unmapped, sizeof unmapped - 1) == 0 && at_end(text + sizeof unmapped - 1))
        return MONITOR_UNMAPPED;
    if (strncmp(text, mapped, sizeof mapped - 1) != 0)
        return MONITOR_UNKNOWN;
    text += sizeof mapped - 1;
    uint64_t number;
    if (!take_hex(&text, 16, &number) || !at_end(text))
        return MONITOR_UNKNOWN;
    *physical = number;
    return MONITOR_MAPPED;
}

bool monitor_text_parse_status(const char *text, bool *running, char *state, size_t size)
{
    /* "VM status: running", "VM status: running (single step mode)", "VM status: paused" (by a
     * command), "VM status: paused (prelaunch)": the word in brackets is the run state of QMP */
    static const char start[] = "VM status: ", stepping[] = " (single step mode)";
    if (strncmp(text, start, sizeof start - 1) != 0)
        return false;
    text += sizeof start - 1;
    size_t length = strcspn(text, "\r\n");
    if (!at_end(text + length))
        return false;
    if (length >= sizeof stepping - 1 &&
        strncmp(text + length - (sizeof stepping - 1), stepping, sizeof stepping - 1) == 0)
        length -= sizeof stepping - 1;
    bool runs = length == 7 && strncmp(text, "running", 7) == 0;
    if (!runs && (length < 6 || strncmp(text, "paused", 6) != 0))
        return false;
    if (!runs && length > 6) {
        if (length < 10 || strncmp(text + 6, " (", 2) != 0 || text[length - 1] != ')')
            return false;
        text += 8;
        length -= 9;
    }
    *running = runs;
    if (state && size)
        snprintf(state, size, "%.*s", length < 64 ? (int)length : 64, text);
    return true;
}

const char *monitor_text_message(const char *text, char *message, size_t size)
{
    size_t used = 0;
    if (size == 0)
        return "";
    message[0] = '\0';
    text += strspn(text, "\r\n \t");
    while (*text && used + 1 < size) {
        if (*text == '\r' || *text == '\n') {
            text += strspn(text, "\r\n \t");
            if (*text == '\0' || used + 3 > size)
                break;
            message[used++] = ';';
            message[used++] = ' ';
        } else {
            unsigned char c = (unsigned char)*text++;
            message[used++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
        }
    }
    while (used && message[used - 1] == ' ')
        used--;
    message[used] = '\0';
    return message;
}
