/* Reading and writing memory from the command line, in pieces, so that a file of any size passes
 * through a little memory. */
#include "client/cli_transfer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of one piece. Half of what a view holds by default: a piece is then written by the flush
 * that follows, whose outcome is told, and not by an eviction in the midst of it. */
#define PIECE_SIZE           ((size_t)512 * 1024)
#define PAGE_SIZE            4096u
#define SHOW_AT_MOST_QUIETLY ((uint64_t)1024 * 1024)

/* Pieces end at page boundaries, so that no access to a device is cut in two. */
static size_t piece_at(uint64_t address)
{
    return PIECE_SIZE - (size_t)(address % PAGE_SIZE);
}

/* Writing */

struct writing {
    struct cli *cli;
    uint8_t *piece;
    uint64_t given;   /* bytes taken from DATA */
    uint64_t written; /* bytes known to be in the target */
    uint64_t total;   /* bytes of DATA, as far as that is known */
    bool sized;       /* it is */
    bool shown;       /* progress is on the terminal */
};

static void progress(struct writing *writing)
{
    const double mebibyte = 1024 * 1024;

    if ((writing->sized ? writing->total : writing->written) <= SHOW_AT_MOST_QUIETLY ||
        !isatty(STDERR_FILENO))
        return;
    if (writing->sized)
        fprintf(stderr, "\rspacebridge: %.1f of %.1f MiB", (double)writing->written / mebibyte,
                (double)writing->total / mebibyte);
    else
        fprintf(stderr, "\rspacebridge: %.1f MiB", (double)writing->written / mebibyte);
    fflush(stderr);
    writing->shown = true;
}

static HRESULT write_piece(struct cli *cli, uint64_t address, const uint8_t *bytes, size_t size,
                           size_t *done)
{
    const struct cli_options *options = cli->options;

    if (options->command == CLI_WRITE_PHYSICAL)
        return options->have_type
                   ? spacebridge_write_physical2(cli->sb, address, options->type, bytes, size, done)
                   : spacebridge_write_physical(cli->sb, address, bytes, size, done);
    if (options->uncached)
        return spacebridge_write_virtual_uncached(cli->sb, address, bytes, size, done);
    return spacebridge_write_virtual(cli->sb, address, bytes, size, done);
}

/* As write_piece, and where that comes out short go on behind it: what is refused there has its own
 * address and reason. */
static HRESULT write_on(struct cli *cli, uint64_t address, const uint8_t *bytes, size_t size,
                        size_t *done)
{
    size_t moved = 0;
    HRESULT hr = write_piece(cli, address, bytes, size, done);
    cli_heard(cli);

    while (hr == S_OK && *done > 0 && *done < size && address + *done > address) {
        HRESULT rest = write_piece(cli, address + *done, bytes + *done, size - *done, &moved);
        cli_heard(cli);
        if (FAILED(rest) || moved == 0)
            return spacebridge_is_lost(cli->sb) ? rest : hr;
        *done += moved;
    }
    return hr;
}

/* What is left of DATA behind what was given. */
static void count_rest(struct writing *writing)
{
    uint64_t left;

    writing->sized = cli_data_left(&writing->cli->options->data, &left);
    writing->total = writing->given + left;
}

/* Before the report of a failure: how far it got. */
static void show_written(struct writing *writing)
{
    struct cli *cli = writing->cli;

    if (writing->shown)
        fputc('\n', stderr);
    writing->shown = false;
    if (cli->options->json)
        cli_json_number(&cli->json, "bytes_written", writing->written);
    else if (writing->written > 0)
        fprintf(stderr, "spacebridge: %" PRIu64 " bytes were written before it failed\n",
                writing->written);
}

static enum cli_exit write_failed(struct writing *writing, HRESULT hr, const char *message)
{
    show_written(writing);
    return cli_failed(writing->cli, hr, message);
}

static enum cli_exit write_report(struct writing *writing, const char *reason)
{
    struct cli *cli = writing->cli;
    bool whole = writing->sized && writing->written == writing->total;

    if (cli->options->json) {
        cli_json_number(&cli->json, "bytes_written", writing->written);
        if (!whole)
            cli_json_text(&cli->json, "message", reason);
    }
    cli_done(cli, "%" PRIu64 " of %s%" PRIu64 " bytes written", writing->written,
             writing->sized ? "" : "at least ", writing->total);
    if (!whole && !cli->options->json) {
        fputs("spacebridge: ", stderr);
        cli_print_safe(stderr, reason);
        fputc('\n', stderr);
    }
    return whole ? CLI_EXIT_DONE : CLI_EXIT_PARTLY;
}

/* Write all of DATA; an exit code other than CLI_EXIT_DONE where that has been reported. */
static enum cli_exit write_all(struct writing *writing, char *reason, size_t reason_size)
{
    struct cli *cli = writing->cli;
    struct cli_options *options = cli->options;
    bool cached = options->command == CLI_WRITE_VIRTUAL && !options->uncached;
    char error[CLI_ERROR_SIZE];

    for (;;) {
        uint64_t address = options->address + writing->given;
        ssize_t size = cli_data_read(&options->data, writing->piece, piece_at(address), error);
        if (size < 0) {
            show_written(writing);
            return cli_trouble(cli, error);
        }
        if (size == 0 && writing->given > 0)
            return CLI_EXIT_DONE;
        if (writing->given > 0 && address < options->address) {
            snprintf(reason, reason_size, "the address space ends here");
            writing->given += (uint64_t)size;
            return CLI_EXIT_DONE;
        }
        size_t done = 0;
        writing->given += (uint64_t)size;
        HRESULT hr = write_on(cli, address, writing->piece, (size_t)size, &done);
        snprintf(reason, reason_size, "%s", spacebridge_last_message(cli->sb));
        if (FAILED(hr) && (writing->written == 0 || spacebridge_is_lost(cli->sb)))
            return write_failed(writing, hr, reason);
        if (cached && SUCCEEDED(hr)) {
            HRESULT flushed = spacebridge_flush_cache(cli->sb, NULL);
            if (FAILED(flushed))
                return write_failed(writing, flushed, spacebridge_last_message(cli->sb));
        }
        writing->written += done;
        progress(writing);
        if (FAILED(hr) || done < (size_t)size || size == 0)
            return CLI_EXIT_DONE;
    }
}

enum cli_exit cli_write_memory(struct cli *cli)
{
    struct writing writing = {.cli = cli, .piece = malloc(PIECE_SIZE)};
    char reason[1024] = "", error[CLI_ERROR_SIZE];
    enum cli_exit code;

    if (!writing.piece)
        return cli_trouble(cli, "out of memory");
    if (cli->hello.big_endian < 0 && cli_data_has_numbers(&cli->options->data)) {
        free(writing.piece);
        return cli_trouble(cli, "the target's byte order is not known: give the bytes of a number");
    }
    if (!cli_data_open(&cli->options->data, cli->hello.big_endian > 0, error)) {
        free(writing.piece);
        return cli_trouble(cli, error);
    }
    count_rest(&writing);
    code = write_all(&writing, reason, sizeof reason);
    if (writing.shown)
        fputc('\n', stderr);
    if (code == CLI_EXIT_DONE) {
        count_rest(&writing);
        code = write_report(&writing, reason);
    }
    free(writing.piece);
    return code;
}

/* Reading */

struct reading {
    struct cli *cli;
    uint8_t *piece;
    uint64_t done;
    struct cli_dump dump;
    struct cli_file file;
};

static HRESULT read_piece(struct cli *cli, uint64_t address, uint8_t *bytes, size_t size,
                          size_t *done)
{
    const struct cli_options *options = cli->options;

    if (options->command == CLI_READ_PHYSICAL)
        return options->have_type
                   ? spacebridge_read_physical2(cli->sb, address, options->type, bytes, size, done)
                   : spacebridge_read_physical(cli->sb, address, bytes, size, done);
    if (options->uncached)
        return spacebridge_read_virtual_uncached(cli->sb, address, bytes, size, done);
    return spacebridge_read_virtual(cli->sb, address, bytes, size, done);
}

static bool put(struct reading *reading, const uint8_t *bytes, size_t size, char *error)
{
    struct cli *cli = reading->cli;

    if (cli->options->output)
        return cli_file_write(&reading->file, bytes, size, error);
    if (!cli->options->json) {
        cli_dump_add(&reading->dump, bytes, size);
        return true;
    }
    if (!cli->json.begun) {
        cli_json_member(&cli->json, "data");
        putchar('"');
    }
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    return true;
}

/* The end of what put has begun. */
static void put_end(struct reading *reading)
{
    struct cli *cli = reading->cli;

    if (!cli->options->output && cli->options->json && cli->json.begun)
        putchar('"');
    if (!cli->options->output && !cli->options->json)
        cli_dump_end(&reading->dump);
}

static enum cli_exit read_report(struct reading *reading, HRESULT hr, const char *reason)
{
    struct cli *cli = reading->cli;
    bool whole = reading->done == cli->options->size;

    if (cli->options->json)
        cli_json_number(&cli->json, "bytes_read", reading->done);
    if (FAILED(hr))
        return cli_failed(cli, hr, reason);
    if (cli->options->json) {
        if (!whole)
            cli_json_text(&cli->json, "message", reason);
        cli_json_hresult(&cli->json, hr);
        cli_json_finish(cli);
    } else if (!whole) {
        fflush(stdout);
        fprintf(stderr, "spacebridge: S_OK: %" PRIu64 " of %" PRIu64 " bytes read: ", reading->done,
                cli->options->size);
        cli_print_safe(stderr, reason);
        fputc('\n', stderr);
    }
    return whole ? CLI_EXIT_DONE : CLI_EXIT_PARTLY;
}

static enum cli_exit read_all(struct reading *reading)
{
    struct cli *cli = reading->cli;
    const struct cli_options *options = cli->options;
    char reason[1024] = "", error[CLI_ERROR_SIZE];
    HRESULT hr;

    do {
        uint64_t address = options->address + reading->done;
        uint64_t left = options->size - reading->done;
        if (reading->done > 0 && address < options->address) {
            snprintf(reason, sizeof reason, "the address space ends here");
            break;
        }
        size_t size = left < piece_at(address) ? (size_t)left : piece_at(address), done = 0;
        hr = read_piece(cli, address, reading->piece, size, &done);
        cli_heard(cli);
        snprintf(reason, sizeof reason, "%s", spacebridge_last_message(cli->sb));
        if (FAILED(hr) && (reading->done == 0 || spacebridge_is_lost(cli->sb))) {
            put_end(reading);
            return read_report(reading, hr, reason);
        }
        if (FAILED(hr))
            break;
        if (!put(reading, reading->piece, done, error))
            return cli_trouble(cli, error);
        reading->done += done;
        /* Short: go on behind it, where the refusal has its own address and reason. */
        if (done == 0 || ferror(stdout))
            break;
    } while (reading->done < options->size);
    put_end(reading);
    if (!cli_file_close(&reading->file, error))
        return cli_trouble(cli, error);
    return read_report(reading, S_OK, reason);
}

enum cli_exit cli_read_memory(struct cli *cli)
{
    struct reading reading = {.cli = cli,
                              .piece = malloc(PIECE_SIZE),
                              .dump = {.out = stdout, .address = cli->options->address},
                              .file = {.name = cli->options->output, .fd = -1}};
    char error[CLI_ERROR_SIZE];

    if (!reading.piece)
        return cli_trouble(cli, "out of memory");
    enum cli_exit code = read_all(&reading);
    cli_file_close(&reading.file, error);
    free(reading.piece);
    return code;
}
