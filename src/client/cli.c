/* What a run of the command line client has to report, as text or as JSON. */
#include "client/cli.h"

#include <stdarg.h>
#include <stdio.h>

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
