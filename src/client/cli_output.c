/* Hides the layout of hex dumps and of JSON, and writes that are cut short. */
#include "client/cli_output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static bool printable(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x7f;
}

static void dump_row(struct cli_dump *dump)
{
    fprintf(dump->out, "%016" PRIx64 " ", dump->address);
    for (size_t i = 0; i < sizeof dump->row; i++) {
        if (i == sizeof dump->row / 2)
            fputc(' ', dump->out);
        if (i < dump->filled)
            fprintf(dump->out, " %02x", dump->row[i]);
        else
            fputs("   ", dump->out);
    }
    fputs("  |", dump->out);
    for (size_t i = 0; i < dump->filled; i++)
        fputc(printable(dump->row[i]) ? dump->row[i] : '.', dump->out);
    fputs("|\n", dump->out);
    dump->address += dump->filled;
    dump->filled = 0;
}

void cli_dump_add(struct cli_dump *dump, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        dump->row[dump->filled++] = bytes[i];
        if (dump->filled == sizeof dump->row)
            dump_row(dump);
    }
}

void cli_dump_end(struct cli_dump *dump)
{
    if (dump->filled > 0)
        dump_row(dump);
}

void cli_print_safe(FILE *out, const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (printable((uint8_t)*at))
            fputc(*at, out);
        else
            fprintf(out, "\\x%02x", (uint8_t)*at);
    }
}

static void json_string(const char *text)
{
    putchar('"');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\')
            printf("\\%c", *at);
        else if (printable((uint8_t)*at))
            putchar(*at);
        else /* a byte that is not ASCII comes from somebody's encoding that we cannot know */
            printf("\\u%04x", (uint8_t)*at);
    }
    putchar('"');
}

void cli_json_member(struct cli_json *json, const char *name)
{
    putchar(json->begun ? ',' : '{');
    json->begun = true;
    json_string(name);
    putchar(':');
}

void cli_json_text(struct cli_json *json, const char *name, const char *text)
{
    cli_json_member(json, name);
    json_string(text);
}

void cli_json_number(struct cli_json *json, const char *name, uint64_t number)
{
    cli_json_member(json, name);
    printf("%" PRIu64, number);
}

void cli_json_boolean(struct cli_json *json, const char *name, bool value)
{
    cli_json_member(json, name);
    fputs(value ? "true" : "false", stdout);
}

void cli_json_hex(struct cli_json *json, const char *name, uint64_t number)
{
    cli_json_member(json, name);
    printf("\"0x%" PRIx64 "\"", number);
}

void cli_json_hresult(struct cli_json *json, HRESULT hr)
{
    cli_json_number(json, "hresult", (uint32_t)hr);
    cli_json_text(json, "name", spacebridge_hresult_name(hr));
}

void cli_json_end(struct cli_json *json)
{
    cli_json_end_inner(json);
    putchar('\n');
}

void cli_json_end_inner(struct cli_json *json)
{
    fputs(json->begun ? "}" : "{}", stdout);
}

static bool file_failed(const struct cli_file *file, char *error)
{
    const char *name = strcmp(file->name, "-") == 0 ? "standard output" : file->name;

    snprintf(error, CLI_ERROR_SIZE, "%.200s: %s", name, strerror(errno));
    return false;
}

bool cli_file_write(struct cli_file *file, const uint8_t *bytes, size_t size, char *error)
{
    if (file->fd < 0)
        file->fd = strcmp(file->name, "-") == 0
                       ? STDOUT_FILENO
                       : open(file->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0)
        return file_failed(file, error);
    while (size > 0) {
        ssize_t count = write(file->fd, bytes, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return file_failed(file, error);
        bytes += count;
        size -= (size_t)count;
    }
    return true;
}

bool cli_file_close(struct cli_file *file, char *error)
{
    int fd = file->fd;

    file->fd = -1;
    /* Some file systems tell only now that there was no room. */
    if (fd > STDERR_FILENO && close(fd) != 0)
        return file_failed(file, error);
    return true;
}
