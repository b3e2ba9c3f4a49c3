/* The commands that move little: pointers, ports, translation, run control. */
#include "client/cli_calls.h"

#include <inttypes.h>
#include <stdlib.h>

/* Milliseconds in which a target that was asked to halt, or to step, has to be halted. */
#define HALT_MS 10000u
/* Ways to the target that are shown: many more than any daemon has. */
#define TRANSPORTS_MOST 64

enum cli_exit cli_write_pointers(struct cli *cli)
{
    const struct cli_options *options = cli->options;

    HRESULT hr = spacebridge_write_pointers_virtual(cli->sb, (uint32_t)options->size,
                                                    options->address, options->pointers);
    cli_heard(cli);
    if (SUCCEEDED(hr))
        hr = spacebridge_flush_cache(cli->sb, NULL);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (options->json)
        cli_json_number(&cli->json, "pointers_written", options->size);
    cli_done(cli, "%" PRIu64 " of %" PRIu64 " pointers written", options->size, options->size);
    return CLI_EXIT_DONE;
}

enum cli_exit cli_read_pointers(struct cli *cli)
{
    const struct cli_options *options = cli->options;
    uint32_t count = (uint32_t)options->size;
    uint64_t *pointers = calloc(count > 0 ? count : 1, sizeof *pointers);

    if (!pointers)
        return cli_trouble(cli, "out of memory");
    HRESULT hr = spacebridge_read_pointers_virtual(cli->sb, count, options->address, pointers);
    cli_heard(cli);
    if (FAILED(hr)) {
        free(pointers);
        return cli_call_failed(cli, hr);
    }
    if (options->json)
        cli_json_member(&cli->json, "pointers");
    for (uint32_t i = 0; i < count; i++) {
        if (options->json)
            printf("%s\"0x%" PRIx64 "\"", i == 0 ? "[" : ",", pointers[i]);
        else
            printf("0x%016" PRIx64 "\n", pointers[i]);
    }
    if (options->json) {
        fputs(count == 0 ? "[]" : "]", stdout);
        cli_done(cli, " ");
    }
    free(pointers);
    return CLI_EXIT_DONE;
}

enum cli_exit cli_write_io(struct cli *cli)
{
    const struct cli_options *options = cli->options;
    uint8_t bytes[4];
    uint32_t done = 0;

    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(options->value >> (8 * i));
    HRESULT hr = spacebridge_write_io(cli->sb, options->interface_type, options->bus, 1,
                                      options->address, bytes, options->io_size, &done);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (options->json)
        cli_json_number(&cli->json, "bytes_written", done);
    cli_done(cli, "%" PRIu32 " of %" PRIu32 " bytes written", done, options->io_size);
    return done == options->io_size ? CLI_EXIT_DONE : CLI_EXIT_PARTLY;
}

enum cli_exit cli_read_io(struct cli *cli)
{
    const struct cli_options *options = cli->options;
    uint8_t bytes[4] = {0};
    uint32_t done = 0, value = 0;

    HRESULT hr = spacebridge_read_io(cli->sb, options->interface_type, options->bus, 1,
                                     options->address, bytes, options->io_size, &done);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    for (unsigned i = 0; i < done; i++)
        value |= (uint32_t)bytes[i] << (8 * i);
    if (options->json) {
        cli_json_member(&cli->json, "data");
        putchar('"');
        for (unsigned i = 0; i < done; i++)
            printf("%02x", bytes[i]);
        putchar('"');
        cli_json_hex(&cli->json, "value", value);
        cli_json_number(&cli->json, "bytes_read", done);
        cli_done(cli, " ");
    } else {
        printf("0x%0*" PRIx32 "\n", (int)done * 2, value);
    }
    return done == options->io_size ? CLI_EXIT_DONE : CLI_EXIT_PARTLY;
}

enum cli_exit cli_translate(struct cli *cli)
{
    uint64_t physical;

    HRESULT hr = spacebridge_virtual_to_physical(cli->sb, cli->options->address, &physical);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (!cli->options->json) {
        printf("0x%016" PRIx64 "\n", physical);
        return CLI_EXIT_DONE;
    }
    cli_json_hex(&cli->json, "virtual", cli->options->address);
    cli_json_hex(&cli->json, "physical", physical);
    cli_done(cli, " ");
    return CLI_EXIT_DONE;
}

enum cli_exit cli_status(struct cli *cli)
{
    const struct spacebridge_hello *hello = &cli->hello;
    uint32_t status;

    HRESULT hr = spacebridge_get_execution_status(cli->sb, &status);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    const char *state = status == DEBUG_STATUS_BREAK ? "halted" : "running";
    if (cli->options->json) {
        cli_json_text(&cli->json, "state", state);
        cli_json_text(&cli->json, "architecture", hello->architecture);
        cli_json_number(&cli->json, "pointer_size", hello->pointer_size);
        if (hello->big_endian >= 0)
            cli_json_boolean(&cli->json, "big_endian", hello->big_endian);
        cli_json_number(&cli->json, "processors", hello->processors);
        cli_json_text(&cli->json, "upstream", hello->upstream);
        cli_json_text(&cli->json, "server_version", hello->server_version);
        cli_done(cli, " ");
        return CLI_EXIT_DONE;
    }
    printf("%s\n", state);
    fputs("architecture ", stdout);
    cli_print_safe(stdout, hello->architecture[0] != '\0' ? hello->architecture : "unknown");
    printf(", %s, pointers of %" PRIu32 " bytes, %" PRIu32 " processor%s\nupstream ",
           hello->big_endian < 0 ? "unknown byte order"
           : hello->big_endian   ? "big-endian"
                                 : "little-endian",
           hello->pointer_size, hello->processors, hello->processors == 1 ? "" : "s");
    cli_print_safe(stdout, hello->upstream);
    putchar('\n');
    return CLI_EXIT_DONE;
}

static void transport_json(struct cli_json *json, const struct spacebridge_transport *transport)
{
    struct cli_json inner = {0};

    cli_json_member(json, transport->name);
    cli_json_boolean(&inner, "open", transport->open);
    cli_json_number(&inner, "calls", transport->calls);
    cli_json_number(&inner, "bytes_read", transport->bytes_read);
    cli_json_number(&inner, "bytes_written", transport->bytes_written);
    cli_json_text(&inner, "note", transport->note);
    cli_json_end_inner(&inner);
}

static void transport_text(const struct spacebridge_transport *transport)
{
    cli_print_safe(stdout, transport->name);
    printf(" %s: %" PRIu64 " calls, %" PRIu64 " bytes read, %" PRIu64 " bytes written",
           transport->open ? "open" : "closed", transport->calls, transport->bytes_read,
           transport->bytes_written);
    if (transport->note[0] != '\0') {
        fputs(": ", stdout);
        cli_print_safe(stdout, transport->note);
    }
    putchar('\n');
}

enum cli_exit cli_transports(struct cli *cli)
{
    struct spacebridge_transport transports[TRANSPORTS_MOST];
    struct cli_json inner = {0};
    size_t count;

    HRESULT hr = spacebridge_get_transport_status(cli->sb, transports, TRANSPORTS_MOST, &count);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (!cli->options->json) {
        for (size_t i = 0; i < count; i++)
            transport_text(&transports[i]);
        return CLI_EXIT_DONE;
    }
    cli_json_member(&cli->json, "transports");
    for (size_t i = 0; i < count; i++)
        transport_json(&inner, &transports[i]);
    cli_json_end_inner(&inner);
    cli_done(cli, " ");
    return CLI_EXIT_DONE;
}

static enum cli_exit halted(struct cli *cli, uint32_t timeout_ms)
{
    char text[512], message[128];

    HRESULT hr = spacebridge_wait_for_event(cli->sb, timeout_ms, text, sizeof text);
    if (hr == S_FALSE) {
        snprintf(message, sizeof message, "the target still runs after %g seconds",
                 timeout_ms / 1000.0);
        return cli_failed(cli, hr, message);
    }
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (cli->options->json) {
        cli_json_text(&cli->json, "state", "halted");
        cli_json_text(&cli->json, "event", text);
        cli_done(cli, " ");
        return CLI_EXIT_DONE;
    }
    fputs("S_OK: halted", stdout);
    fputs(text[0] != '\0' ? ": " : "", stdout);
    cli_print_safe(stdout, text);
    putchar('\n');
    return CLI_EXIT_DONE;
}

enum cli_exit cli_halt(struct cli *cli)
{
    HRESULT hr = spacebridge_set_interrupt(cli->sb);
    return FAILED(hr) ? cli_call_failed(cli, hr) : halted(cli, HALT_MS);
}

enum cli_exit cli_step(struct cli *cli)
{
    HRESULT hr = spacebridge_set_execution_status(cli->sb, DEBUG_STATUS_STEP_INTO);
    return FAILED(hr) ? cli_call_failed(cli, hr) : halted(cli, HALT_MS);
}

enum cli_exit cli_go(struct cli *cli)
{
    HRESULT hr = spacebridge_set_execution_status(cli->sb, DEBUG_STATUS_GO);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (cli->options->json)
        cli_json_text(&cli->json, "state", "running");
    cli_done(cli, "running");
    return CLI_EXIT_DONE;
}

enum cli_exit cli_flush(struct cli *cli)
{
    uint64_t flushed;

    HRESULT hr = spacebridge_flush_cache(cli->sb, &flushed);
    if (FAILED(hr))
        return cli_call_failed(cli, hr);
    if (cli->options->json)
        cli_json_number(&cli->json, "bytes_flushed", flushed);
    cli_done(cli, "%" PRIu64 " bytes flushed", flushed);
    return CLI_EXIT_DONE;
}

enum cli_exit cli_wait(struct cli *cli)
{
    return halted(cli, cli->options->wait_ms);
}
