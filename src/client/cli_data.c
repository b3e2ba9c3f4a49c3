/* Hides the forms of a word of DATA, and files while they are read. */
#include "client/cli_data.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool wrong(char *error, const char *word, const char *why)
{
    snprintf(error, CLI_ERROR_SIZE, "DATA '%.100s': %s", word, why);
    return false;
}

/* Digits in pairs; blanks may stand between pairs, as in "90 90c3". */
static bool hex_check(const char *word, char *error)
{
    if (word[0] == '\0')
        return wrong(error, word, "is empty");
    if (strspn(word, "0123456789abcdefABCDEF ") != strlen(word))
        return wrong(error, word,
                     "not hexadecimal digits (there are also text:... u16:N u32:N u64:N @FILE)");
    for (const char *at = word; *at != '\0'; at += *at == ' ' ? 1 : 2)
        if (*at != ' ' && !isxdigit((unsigned char)at[1]))
            return wrong(error, word, "hexadecimal digits must come in pairs");
    return true;
}

static bool word_parse(struct cli_word *word, const char *text, bool *input_used, char *error)
{
    static const struct {
        const char *prefix;
        unsigned width;
    } numbers[] = {{"u16:", 2}, {"u32:", 4}, {"u64:", 8}};

    *word = (struct cli_word){.kind = CLI_WORD_HEX, .text = text, .fd = -1};
    if (text[0] == '@') {
        word->kind = CLI_WORD_FILE;
        word->text = text + 1;
        if (text[1] == '\0')
            return wrong(error, text, "names no file");
        if (strcmp(text, "@-") == 0 && *input_used)
            return wrong(error, text, "standard input can be read only once");
        *input_used |= strcmp(text, "@-") == 0;
        return true;
    }
    if (strncmp(text, "text:", 5) == 0) {
        word->kind = CLI_WORD_TEXT;
        word->text = text + 5;
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strncmp(text, numbers[i].prefix, 4) != 0)
            continue;
        word->kind = CLI_WORD_NUMBER;
        word->width = numbers[i].width;
        uint64_t most = UINT64_MAX >> (64 - 8 * word->width);
        return cli_number(text + 4, "DATA number", most, &word->number, error);
    }
    return hex_check(text, error);
}

bool cli_data_parse(struct cli_data *data, char *const *words, size_t count, char *error)
{
    bool input_used = false;

    *data = (struct cli_data){.count = count};
    data->words = calloc(count > 0 ? count : 1, sizeof *data->words);
    if (!data->words) {
        snprintf(error, CLI_ERROR_SIZE, "out of memory");
        data->count = 0;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        data->words[i].fd = -1;
    for (size_t i = 0; i < count; i++) {
        if (!word_parse(&data->words[i], words[i], &input_used, error)) {
            cli_data_free(data);
            return false;
        }
    }
    return true;
}

void cli_data_free(struct cli_data *data)
{
    for (size_t i = 0; i < data->count; i++)
        if (data->words[i].fd > STDIN_FILENO)
            close(data->words[i].fd);
    free(data->words);
    *data = (struct cli_data){0};
}

bool cli_data_has_numbers(const struct cli_data *data)
{
    for (size_t i = 0; i < data->count; i++)
        if (data->words[i].kind == CLI_WORD_NUMBER && data->words[i].width > 1)
            return true;
    return false;
}

static bool file_failed(char *error, const struct cli_word *word)
{
    const char *name = strcmp(word->text, "-") == 0 ? "standard input" : word->text;

    snprintf(error, CLI_ERROR_SIZE, "%.200s: %s", name, strerror(errno));
    return false;
}

bool cli_data_open(struct cli_data *data, bool big_endian, char *error)
{
    struct stat about;

    data->big_endian = big_endian;
    for (size_t i = 0; i < data->count; i++) {
        struct cli_word *word = &data->words[i];
        if (word->kind != CLI_WORD_FILE)
            continue;
        if (strcmp(word->text, "-") == 0)
            word->fd = STDIN_FILENO;
        else
            word->fd = open(word->text, O_RDONLY | O_CLOEXEC);
        if (word->fd < 0 || fstat(word->fd, &about) != 0)
            return file_failed(error, word);
        if (S_ISDIR(about.st_mode)) {
            errno = EISDIR;
            return file_failed(error, word);
        }
        off_t at = S_ISREG(about.st_mode) ? lseek(word->fd, 0, SEEK_CUR) : -1;
        word->sized = at >= 0;
        word->size = at >= 0 && about.st_size > at ? (uint64_t)(about.st_size - at) : 0;
    }
    return true;
}

static uint8_t digit_value(char digit)
{
    return (uint8_t)(isdigit((unsigned char)digit) ? digit - '0'
                                                   : tolower((unsigned char)digit) - 'a' + 10);
}

/* Each returns the bytes read; 0 at the word's end. */
static size_t hex_read(struct cli_data *data, const struct cli_word *word, uint8_t *bytes,
                       size_t size)
{
    size_t done = 0;

    while (done < size) {
        const char *at = word->text + data->offset;
        if (*at == '\0')
            break;
        if (*at == ' ') {
            data->offset++;
            continue;
        }
        bytes[done++] = (uint8_t)(digit_value(at[0]) << 4 | digit_value(at[1]));
        data->offset += 2;
    }
    return done;
}

static size_t text_read(struct cli_data *data, const struct cli_word *word, uint8_t *bytes,
                        size_t size)
{
    size_t left = strlen(word->text + data->offset);
    size_t done = left < size ? left : size;

    memcpy(bytes, word->text + data->offset, done);
    data->offset += done;
    return done;
}

static size_t number_read(struct cli_data *data, const struct cli_word *word, uint8_t *bytes,
                          size_t size)
{
    size_t done = 0;

    for (; done < size && data->offset < word->width; data->offset++) {
        size_t place = data->big_endian ? word->width - 1 - data->offset : data->offset;
        bytes[done++] = (uint8_t)(word->number >> (8 * place));
    }
    return done;
}

static ssize_t file_read(struct cli_word *word, uint8_t *bytes, size_t size, char *error)
{
    ssize_t count;

    do
        count = read(word->fd, bytes, size);
    while (count < 0 && errno == EINTR);
    if (count < 0) {
        file_failed(error, word);
        return -1;
    }
    word->size = (uint64_t)count < word->size ? word->size - (uint64_t)count : 0;
    return count;
}

ssize_t cli_data_read(struct cli_data *data, uint8_t *bytes, size_t size, char *error)
{
    size_t done = 0;

    while (done < size && data->word < data->count) {
        struct cli_word *word = &data->words[data->word];
        ssize_t count = 0;
        switch (word->kind) {
        case CLI_WORD_HEX:
            count = (ssize_t)hex_read(data, word, bytes + done, size - done);
            break;
        case CLI_WORD_TEXT:
            count = (ssize_t)text_read(data, word, bytes + done, size - done);
            break;
        case CLI_WORD_NUMBER:
            count = (ssize_t)number_read(data, word, bytes + done, size - done);
            break;
        case CLI_WORD_FILE:
            count = file_read(word, bytes + done, size - done, error);
            break;
        }
        if (count < 0)
            return -1;
        if (count == 0) {
            data->word++;
            data->offset = 0;
        }
        done += (size_t)count;
    }
    return (ssize_t)done;
}

bool cli_data_left(const struct cli_data *data, uint64_t *left)
{
    bool known = true;

    *left = 0;
    for (size_t i = data->word; i < data->count; i++) {
        const struct cli_word *word = &data->words[i];
        size_t offset = i == data->word ? data->offset : 0;
        switch (word->kind) {
        case CLI_WORD_HEX:
            for (const char *at = word->text + offset; *at != '\0'; at++)
                *left += *at != ' ';
            break;
        case CLI_WORD_TEXT:
            *left += 2 * strlen(word->text + offset);
            break;
        case CLI_WORD_NUMBER:
            *left += 2 * (word->width - offset);
            break;
        case CLI_WORD_FILE:
            *left += 2 * word->size;
            known = known && word->sized;
            break;
        }
    }
    *left /= 2; /* counted in half bytes, as hexadecimal digits are */
    return known;
}
