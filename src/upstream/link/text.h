/* Taking text of the monitor apart: lines, and a cursor that words and numbers are taken from. */
#ifndef SB_UPSTREAM_LINK_TEXT_H
#define SB_UPSTREAM_LINK_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a line, without its end. */
struct text {
    const char *start;
    size_t length;
};

/* The next line of a NUL-terminated text, lines ended by LF or CR LF; advances *cursor. 1: there is
 * one; 0: the text is over; -1: it ends in mid-line. */
int text_line(const char **cursor, struct text *line);
/* Each takes something from the front of text. False, and text is as it was, where it is not there.
 */
bool text_word(struct text *text, const char *word);
/* digits lower-case hex digits, or one to sixteen where digits is 0. */
bool text_hex(struct text *text, size_t digits, uint64_t *number);
/* An unsigned decimal number up to 2^31 - 1. */
bool text_decimal(struct text *text, unsigned *number);
void text_spaces(struct text *text);
/* One that was never set is empty. */
bool text_same(const struct text *left, const struct text *right);
/* The beginning of what the other side sent, fit for a message (printable, at most 63 characters),
 * into out of TEXT_EXCERPT_SIZE bytes; returns out. */
#define TEXT_EXCERPT_SIZE 64
const char *text_excerpt(const char *bytes, size_t length, char *out);

/* The lines of a text that were not understood, for the log. */
#define TEXT_NOTES_MOST 8
#define TEXT_NOTE_SIZE  160
struct text_notes {
    size_t count; /* all of them; the first TEXT_NOTES_MOST are kept */
    char note[TEXT_NOTES_MOST][TEXT_NOTE_SIZE];
};
/* One more, cut where it is too long. notes may be NULL. */
void text_note(struct text_notes *notes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
