/* spacebridge: one call from the command line. */
#include "client/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Seconds for connecting and greeting. */
#define CONNECT_TIMEOUT 10

void cli_heard(struct cli *cli)
{
    if (cli->warning[0] == '\0')
        snprintf(cli->warning, sizeof cli->warning, "%s", spacebridge_last_warning(cli->sb));
}

void cli_json_finish(struct cli *cli)
{
    if (cli->warning[0] != '\0')
        cli_json_text(&cli->json, "warning", cli->warning);
    cli_json_end(&cli->json);
}

static void show_warning(const struct cli *cli)
{
    if (cli->options->json || cli->warning[0] == '\0')
        return;
    fflush(stdout);
    fputs("spacebridge: warning: ", stderr);
    cli_print_safe(stderr, cli->warning);
    fputc('\n', stderr);
}

enum cli_exit cli_failed(struct cli *cli, HRESULT hr, const char *message)
{
    bool lost = !cli->sb || spacebridge_is_lost(cli->sb);

    if (cli->options->json) {
        cli_json_hresult(&cli->json, hr);
        cli_json_text(&cli->json, "message", message);
        cli_json_finish(cli);
    } else {
        fflush(stdout);
        fputs("spacebridge: ", stderr);
        if (!lost && FAILED(hr))
            fprintf(stderr, "%s (0x%08X): ", spacebridge_hresult_name(hr), (unsigned)(uint32_t)hr);
        cli_print_safe(stderr, message);
        fputc('\n', stderr);
    }
    return lost ? CLI_EXIT_NO_CONNECTION : CLI_EXIT_FAILED;
}

enum cli_exit cli_trouble(struct cli *cli, const char *message)
{
    if (cli->options->json) {
        cli_json_hresult(&cli->json, E_FAIL);
        cli_json_text(&cli->json, "message", message);
        cli_json_finish(cli);
    } else {
        fflush(stdout);
        fprintf(stderr, "spacebridge: %s\n", message);
    }
    return CLI_EXIT_FAILED;
}

enum cli_exit cli_call_failed(struct cli *cli, HRESULT hr)
{
    return cli_failed(cli, hr, spacebridge_last_message(cli->sb));
}

void cli_done(struct cli *cli, const char *format, ...)
{
    va_list arguments;

    if (cli->options->json) {
        cli_json_hresult(&cli->json, S_OK);
        cli_json_finish(cli);
        return;
    }
    fputs("S_OK: ", stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static enum cli_exit run(struct cli *cli)
{
    const struct cli_options *options = cli->options;
    char error[2048];

    cli->sb = spacebridge_open(options->endpoint, CONNECT_TIMEOUT, error, sizeof error);
    if (!cli->sb)
        return cli_failed(cli, E_UNEXPECTED, error);
    HRESULT hr = spacebridge_get_hello(cli->sb, &cli->hello);
    if (SUCCEEDED(hr) && options->have_cpu)
        hr = spacebridge_set_current_processor(cli->sb, options->cpu);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    switch (options->command) {
    case CLI_WRITE_VIRTUAL:
    case CLI_WRITE_PHYSICAL:
        return cli_write_memory(cli);
    case CLI_READ_VIRTUAL:
    case CLI_READ_PHYSICAL:
        return cli_read_memory(cli);
    default:
        return cli_other(cli);
    }
}

/* What is printed counts only when it has arrived. */
static int finish(int code)
{
    const char *reason = ferror(stdout) ? "could not be written" : NULL;

    if (fflush(stdout) != 0 && !reason)
        reason = strerror(errno);
    if (!reason)
        return code;
    fprintf(stderr, "spacebridge: standard output: %s\n", reason);
    return code == CLI_EXIT_DONE || code == CLI_EXIT_PARTLY ? CLI_EXIT_FAILED : code;
}

/* A file that we open must not become a standard one because that was closed. What is opened
 * instead fails when it is used, as the closed one would. */
static void keep_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            _exit(CLI_EXIT_FAILED);
}

int main(int argc, char **argv)
{
    struct cli_options options;
    struct cli cli = {.options = &options};
    char error[CLI_ERROR_SIZE];

    signal(SIGPIPE, SIG_IGN); /* a reader that has gone is a write that fails */
    signal(SIGXFSZ, SIG_IGN); /* so is a file that may not grow */
    keep_standard_files();
    switch (cli_options_parse(&options, argc, argv, error)) {
    case CLI_EXIT_OK:
        return finish(CLI_EXIT_DONE);
    case CLI_EXIT_USAGE:
        fprintf(stderr, "spacebridge: %s\nTry 'spacebridge --help'.\n", error);
        return CLI_EXIT_BAD_USAGE;
    case CLI_RUN:
        break;
    }
    int code = (int)run(&cli);
    show_warning(&cli);
    spacebridge_close(cli.sb);
    cli_options_free(&options);
    return finish(code);
}
