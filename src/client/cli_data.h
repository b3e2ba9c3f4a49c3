/* DATA of the write commands: words that are joined in order into one stream of bytes.
 *
 *   90 90c3        bare hexadecimal digits, two to a byte
 *   text:hello     the characters as they are, no terminator
 *   u16:N u32:N u64:N  a number in the target's byte order
 *   @FILE          what is in a file; @- standard input
 *
 * Files are read as the stream is, piece by piece, whatever their size. */
#ifndef SB_CLIENT_CLI_DATA_H
#define SB_CLIENT_CLI_DATA_H

#include "client/cli_number.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cli_word {
    enum { CLI_WORD_HEX, CLI_WORD_TEXT, CLI_WORD_NUMBER, CLI_WORD_FILE } kind;
    const char *text; /* the digits, the characters, the file's name ("-": standard input) */
    uint64_t number;  /* CLI_WORD_NUMBER */
    unsigned width;   /* its bytes */
    int fd;           /* CLI_WORD_FILE, while open; else -1 */
    bool sized;       /* of a regular file: */
    uint64_t size;    /* bytes not yet read, as far as is known */
};

struct cli_data {
    struct cli_word *words;
    size_t count;
    size_t word;   /* where reading is */
    size_t offset; /* bytes of that word that were read; of a CLI_WORD_HEX word: characters */
    bool big_endian;
};

/* Parse count words. False: error (CLI_ERROR_SIZE bytes) names the word that is wrong. */
bool cli_data_parse(struct cli_data *data, char *const *words, size_t count, char *error);
void cli_data_free(struct cli_data *data);

/* Is there a word whose bytes depend on the target's byte order? */
bool cli_data_has_numbers(const struct cli_data *data);

/* Open the files, and say which byte order numbers are to have. False: error names the file. */
bool cli_data_open(struct cli_data *data, bool big_endian, char *error);

/* Read up to size bytes, fewer only at the end. -1: error says which file could not be read. */
ssize_t cli_data_read(struct cli_data *data, uint8_t *bytes, size_t size, char *error);

/* Bytes that are still to be read. False where that cannot be known (a pipe); what is known is
 * in *left all the same. */
bool cli_data_left(const struct cli_data *data, uint64_t *left);

#endif
