/* spacebridge: one call from the command line. Connects, picks what carries out the command, and
 * sees to it that what was printed has arrived. */
#include "client/cli.h"
#include "client/cli_calls.h"
#include "client/cli_transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Seconds for connecting and greeting. */
#define CONNECT_TIMEOUT 10

/* What carries out each command. */
static enum cli_exit (*const handlers[])(struct cli *cli) = {
    [CLI_WRITE_VIRTUAL] = cli_write_memory,
    [CLI_READ_VIRTUAL] = cli_read_memory,
    [CLI_WRITE_PHYSICAL] = cli_write_memory,
    [CLI_READ_PHYSICAL] = cli_read_memory,
    [CLI_WRITE_POINTERS] = cli_write_pointers,
    [CLI_READ_POINTERS] = cli_read_pointers,
    [CLI_WRITE_IO] = cli_write_io,
    [CLI_READ_IO] = cli_read_io,
    [CLI_TRANSLATE] = cli_translate,
    [CLI_STATUS] = cli_status,
    [CLI_TRANSPORTS] = cli_transports,
    [CLI_GO] = cli_go,
    [CLI_HALT] = cli_halt,
    [CLI_STEP] = cli_step,
    [CLI_WAIT] = cli_wait,
    [CLI_FLUSH] = cli_flush,
};

static void show_warning(const struct cli *cli)
{
    if (cli->options->json || cli->warning[0] == '\0')
        return;
    fflush(stdout);
    fputs("spacebridge: warning: ", stderr);
    cli_print_safe(stderr, cli->warning);
    fputc('\n', stderr);
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
    return handlers[options->command](cli);
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
