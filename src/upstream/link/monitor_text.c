/* How QEMU's human monitor words its answers. */
#include "upstream/link/monitor_text.h"

#include "upstream/link/text.h"

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

bool monitor_text_port_valid(uint16_t port, unsigned size, uint32_t value)
{
    return width_of(port, size) && (size == 4 || value >> (8 * size) == 0);
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
    if (!monitor_text_port_valid(port, size, value))
        return false;
    snprintf(line, MONITOR_LINE_SIZE, "o /%c 0x%x 0x%" PRIx32, width->letter, port, value);
    return true;
}

/* Nothing but line ends and blanks is left. */
static bool at_end(struct text text)
{
    while (text_word(&text, "\r") || text_word(&text, "\n") || text_word(&text, " "))
        ;
    return text.length == 0;
}

/* What follows word in the one line that begins with it. False where there is no such line, or more
 * than one. */
static bool answer_of(const char *text, const char *word, struct text *answer)
{
    unsigned found = 0;
    while (*text) {
        size_t length = strcspn(text, "\n");
        struct text line = {text, length};
        text += length + (text[length] == '\n');
        if (line.length && line.start[line.length - 1] == '\r')
            line.length--;
        if (text_word(&line, word) && found++ == 0)
            *answer = line;
    }
    return found == 1;
}

/* Nothing, or something behind a blank. */
static bool word_ends(const struct text *text)
{
    return text->length == 0 || text->start[0] == ' ';
}

bool monitor_text_parse_port_in(const char *text, uint16_t port, unsigned size, uint32_t *value)
{
    /* "portb[0x0070] = 0x46" */
    const struct width *width = width_of(port, size);
    struct text rest;
    char start[MONITOR_LINE_SIZE];
    uint64_t number;
    if (!width)
        return false;
    snprintf(start, sizeof start, "port%c[0x%04x] = 0x", width->name, port);
    if (!answer_of(text, start, &rest) || !text_hex(&rest, 2 * (size_t)size, &number) ||
        !at_end(rest))
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
    struct text rest;
    uint64_t number = 0;
    bool unmapped = answer_of(text, "Unmapped", &rest) && at_end(rest);
    if (!answer_of(text, "gpa: ", &rest))
        return unmapped ? MONITOR_UNMAPPED : MONITOR_UNKNOWN;
    /* before 11, printf's %#x puts no 0x before a zero */
    bool prefixed = text_word(&rest, "0x");
    if (unmapped || (prefixed ? !text_hex(&rest, 0, &number) : !text_word(&rest, "0")) ||
        !word_ends(&rest))
        return MONITOR_UNKNOWN;
    *physical = number;
    return MONITOR_MAPPED;
}

void monitor_text_gpa2hva(char *line, uint64_t physical)
{
    snprintf(line, MONITOR_LINE_SIZE, "gpa2hva 0x%" PRIx64, physical);
}

/* "(pc.ram) is 0x7f0123456000": the name may hold anything but the words behind it. */
static bool host_parse(struct text rest, uint64_t *host, char *name, size_t size)
{
    static const char behind[] = ") is 0x";
    if (!text_word(&rest, "("))
        return false;
    for (size_t i = 0; i < rest.length; i++) {
        struct text tail = {rest.start + i, rest.length - i};
        if (!text_word(&tail, behind))
            continue;
        if (size)
            snprintf(name, size, "%.*s", i < 256 ? (int)i : 256, rest.start);
        return text_hex(&tail, 0, host) && *host != 0 && word_ends(&tail);
    }
    return false;
}

enum monitor_host monitor_text_parse_gpa2hva(const char *text, uint64_t physical, uint64_t *host,
                                             char *name, size_t size)
{
    char word[MONITOR_LINE_SIZE];
    struct text rest;
    snprintf(word, sizeof word, "Host virtual address for 0x%" PRIx64 " ", physical);
    if (answer_of(text, word, &rest))
        return host_parse(rest, host, name, size) ? MONITOR_HOST_MEMORY : MONITOR_HOST_UNKNOWN;
    snprintf(word, sizeof word, "No memory is mapped at address 0x%" PRIx64, physical);
    if (answer_of(text, word, &rest))
        return word_ends(&rest) ? MONITOR_HOST_NOTHING : MONITOR_HOST_UNKNOWN;
    snprintf(word, sizeof word, "Memory at address 0x%" PRIx64, physical);
    if (!answer_of(text, word, &rest))
        return MONITOR_HOST_UNKNOWN;
    text_spaces(&rest); /* none in QEMU's own 7.2 */
    return text_word(&rest, "is not RAM") ? MONITOR_HOST_DEVICE : MONITOR_HOST_UNKNOWN;
}

bool monitor_text_parse_status(const char *text, bool *running, char *state, size_t size)
{
    /* "VM status: running", "VM status: paused" (by a command), "VM status: paused (prelaunch)":
     * the last word in brackets is the run state of QMP */
    struct text rest, word;
    if (!answer_of(text, "VM status: ", &rest))
        return false;
    word = rest;
    bool runs = text_word(&rest, "running");
    if (!runs && !text_word(&rest, "paused"))
        return false;
    word.length -= rest.length;
    text_word(&rest, " (single step mode)");
    if (!runs && text_word(&rest, " (")) {
        const char *end = memchr(rest.start, ')', rest.length);
        if (!end || end == rest.start)
            return false;
        word = (struct text){rest.start, (size_t)(end - rest.start)};
        rest.length -= (size_t)(end + 1 - rest.start);
        rest.start = end + 1;
    }
    if (!word_ends(&rest))
        return false;
    *running = runs;
    if (state && size)
        snprintf(state, size, "%.*s", word.length < 64 ? (int)word.length : 64, word.start);
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
            while (used && message[used - 1] == ' ')
                used--;
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
