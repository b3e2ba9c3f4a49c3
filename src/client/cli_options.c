/* Hides getopt, and which options and operands belong to which command. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "client/cli_options.h"

#include "spacebridge/hresult.h"
#include "wire/calls.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static const char usage[] =
    "usage: spacebridge [--connect ENDPOINT] [--cpu N] [--json] COMMAND\n"
    "\n"
    "  write-virtual  [--uncached] ADDRESS DATA...\n"
    "  read-virtual   [--uncached] ADDRESS SIZE [-o FILE]\n"
    "  write-physical [--type TYPE] ADDRESS DATA...\n"
    "  read-physical  [--type TYPE] ADDRESS SIZE [-o FILE]\n"
    "  write-pointers ADDRESS POINTER...\n"
    "  read-pointers  ADDRESS COUNT\n"
    "  write-io --size 1|2|4 [--interface NAME] [--bus N] PORT VALUE\n"
    "  read-io  --size 1|2|4 [--interface NAME] [--bus N] PORT\n"
    "  translate ADDRESS     physical address behind a virtual one\n"
    "  status                does the target run, and what is it\n"
    "  transports            the ways to the target, and what went by each\n"
    "  go | halt | step      run control\n"
    "  wait [SECONDS]        until the target is halted\n"
    "  flush                 write back what is dirty\n"
    "\n"
    "Numbers are decimal, or hexadecimal with 0x. DATA, joined in order: hex digits (90 90c3),\n"
    "text:hello, u16:N u32:N u64:N in the target's byte order, @FILE, @- (standard input).\n"
    "TYPE: default cached uncached write-combined. NAME: isa, pcibus, internal, ... or a number.\n"
    "ENDPOINT: unix:PATH or tcp:HOST:PORT; else $SPACEBRIDGE, else the daemon's default.\n"
    "-o - writes raw bytes to standard output; --json prints one JSON object.\n"
    "Exit codes: 0 done, 1 the call failed, 2 usage, 3 partly done, 4 no connection.\n";

/* Options that belong to some commands only. */
enum {
    TAKES_UNCACHED = 1 << 0,
    TAKES_TYPE = 1 << 1,
    TAKES_OUTPUT = 1 << 2,
    TAKES_SIZE = 1 << 3, /* and needs it */
    TAKES_BUS = 1 << 4,
};

#define MANY SIZE_MAX

static const struct command {
    enum wire_call call; /* the one that it makes */
    const char *name;    /* NULL: as that call's row has it */
    enum cli_command command;
    unsigned takes;
    size_t least, most;
    const char *operands;
} commands[] = {
    {WIRE_CALL_WriteVirtual, NULL, CLI_WRITE_VIRTUAL, TAKES_UNCACHED, 2, MANY, "ADDRESS DATA..."},
    {WIRE_CALL_ReadVirtual, NULL, CLI_READ_VIRTUAL, TAKES_UNCACHED | TAKES_OUTPUT, 2, 2,
     "ADDRESS SIZE"},
    {WIRE_CALL_WritePhysical, NULL, CLI_WRITE_PHYSICAL, TAKES_TYPE, 2, MANY, "ADDRESS DATA..."},
    {WIRE_CALL_ReadPhysical, NULL, CLI_READ_PHYSICAL, TAKES_TYPE | TAKES_OUTPUT, 2, 2,
     "ADDRESS SIZE"},
    {WIRE_CALL_WritePointersVirtual, NULL, CLI_WRITE_POINTERS, 0, 2, MANY, "ADDRESS POINTER..."},
    {WIRE_CALL_ReadPointersVirtual, NULL, CLI_READ_POINTERS, 0, 2, 2, "ADDRESS COUNT"},
    {WIRE_CALL_WriteIo, NULL, CLI_WRITE_IO, TAKES_SIZE | TAKES_BUS, 2, 2,
     "--size 1|2|4 PORT VALUE"},
    {WIRE_CALL_ReadIo, NULL, CLI_READ_IO, TAKES_SIZE | TAKES_BUS, 1, 1, "--size 1|2|4 PORT"},
    {WIRE_CALL_VirtualToPhysical, NULL, CLI_TRANSLATE, 0, 1, 1, "ADDRESS"},
    {WIRE_CALL_GetExecutionStatus, NULL, CLI_STATUS, 0, 0, 0, "no operands"},
    {WIRE_CALL_GetTransportStatus, NULL, CLI_TRANSPORTS, 0, 0, 0, "no operands"},
    {WIRE_CALL_SetExecutionStatus, NULL, CLI_GO, 0, 0, 0, "no operands"},
    {WIRE_CALL_SetInterrupt, NULL, CLI_HALT, 0, 0, 0, "no operands"},
    {WIRE_CALL_SetExecutionStatus, "step", CLI_STEP, 0, 0, 0, "no operands"},
    {WIRE_CALL_WaitForEvent, NULL, CLI_WAIT, 0, 0, 1, "[SECONDS]"},
    {WIRE_CALL_FlushCache, NULL, CLI_FLUSH, 0, 0, 0, "no operands"},
};

static const char *command_name(const struct command *command)
{
    return command->name ? command->name : wire_call_info(command->call)->command;
}

enum {
    OPTION_CONNECT = 256,
    OPTION_CPU,
    OPTION_JSON,
    OPTION_UNCACHED,
    OPTION_TYPE,
    OPTION_SIZE,
    OPTION_INTERFACE,
    OPTION_BUS,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option long_options[] = {
    {"connect", required_argument, NULL, OPTION_CONNECT},
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"json", no_argument, NULL, OPTION_JSON},
    {"uncached", no_argument, NULL, OPTION_UNCACHED},
    {"type", required_argument, NULL, OPTION_TYPE},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"interface", required_argument, NULL, OPTION_INTERFACE},
    {"bus", required_argument, NULL, OPTION_BUS},
    {"output", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

struct parser {
    struct cli_options *options;
    unsigned given; /* TAKES_* of the options that were */
    char *error;
};

static bool option_number(struct parser *parser, const char *what, uint32_t *number)
{
    uint64_t value;

    if (!cli_number(optarg, what, UINT32_MAX, &value, parser->error))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool option_size(struct parser *parser)
{
    parser->given |= TAKES_SIZE;
    if (!option_number(parser, "--size", &parser->options->io_size))
        return false;
    if (parser->options->io_size == 1 || parser->options->io_size == 2 ||
        parser->options->io_size == 4)
        return true;
    snprintf(parser->error, CLI_ERROR_SIZE, "--size '%.100s' is none of 1 2 4", optarg);
    return false;
}

/* One option that getopt_long has found. */
static bool option_take(struct parser *parser, int option, const char *word)
{
    struct cli_options *options = parser->options;

    switch (option) {
    case OPTION_CONNECT:
        options->endpoint = optarg;
        return true;
    case OPTION_CPU:
        options->have_cpu = true;
        return option_number(parser, "--cpu", &options->cpu);
    case OPTION_JSON:
        options->json = true;
        return true;
    case OPTION_UNCACHED:
        parser->given |= TAKES_UNCACHED;
        options->uncached = true;
        return true;
    case OPTION_TYPE:
        parser->given |= TAKES_TYPE;
        options->have_type = true;
        return cli_physical_type(optarg, &options->type, parser->error);
    case OPTION_SIZE:
        return option_size(parser);
    case OPTION_INTERFACE:
        parser->given |= TAKES_BUS;
        return cli_interface(optarg, &options->interface_type, parser->error);
    case OPTION_BUS:
        parser->given |= TAKES_BUS;
        return option_number(parser, "--bus", &options->bus);
    case 'o':
        parser->given |= TAKES_OUTPUT;
        options->output = optarg;
        return true;
    case ':':
        snprintf(parser->error, CLI_ERROR_SIZE, "option '%.100s' needs a value", word);
        return false;
    default:
        snprintf(parser->error, CLI_ERROR_SIZE, "option '%.100s' is unknown", word);
        return false;
    }
}

static bool pointers_parse(struct cli_options *options, char **words, size_t count, char *error)
{
    options->pointers = calloc(count, sizeof *options->pointers);
    options->size = count;
    if (!options->pointers) {
        snprintf(error, CLI_ERROR_SIZE, "out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!cli_number(words[i], "POINTER", UINT64_MAX, &options->pointers[i], error))
            return false;
    return true;
}

static bool io_value_parse(struct cli_options *options, const char *word, char *error)
{
    uint64_t most = UINT32_MAX >> (32 - 8 * options->io_size), value;

    if (!cli_number(word, "VALUE", most, &value, error))
        return false;
    options->value = (uint32_t)value;
    return true;
}

static bool operands_parse(struct cli_options *options, char **words, size_t count, char *error)
{
    switch (options->command) {
    case CLI_WRITE_VIRTUAL:
    case CLI_WRITE_PHYSICAL:
        return cli_number(words[0], "ADDRESS", UINT64_MAX, &options->address, error) &&
               cli_data_parse(&options->data, words + 1, count - 1, error);
    case CLI_READ_VIRTUAL:
    case CLI_READ_PHYSICAL:
        return cli_number(words[0], "ADDRESS", UINT64_MAX, &options->address, error) &&
               cli_number(words[1], "SIZE", UINT64_MAX, &options->size, error);
    case CLI_WRITE_POINTERS:
        return cli_number(words[0], "ADDRESS", UINT64_MAX, &options->address, error) &&
               pointers_parse(options, words + 1, count - 1, error);
    case CLI_READ_POINTERS:
        return cli_number(words[0], "ADDRESS", UINT64_MAX, &options->address, error) &&
               cli_number(words[1], "COUNT", UINT32_MAX, &options->size, error);
    case CLI_WRITE_IO:
        return cli_number(words[0], "PORT", UINT64_MAX, &options->address, error) &&
               io_value_parse(options, words[1], error);
    case CLI_READ_IO:
        return cli_number(words[0], "PORT", UINT64_MAX, &options->address, error);
    case CLI_TRANSLATE:
        return cli_number(words[0], "ADDRESS", UINT64_MAX, &options->address, error);
    case CLI_WAIT:
        return count == 0 || cli_seconds(words[0], &options->wait_ms, error);
    default:
        return true;
    }
}

/* Does what was given belong together? */
static bool command_check(const struct parser *parser, const struct command *command, size_t count)
{
    static const struct {
        unsigned takes;
        const char *name;
    } names[] = {{TAKES_UNCACHED, "--uncached"},
                 {TAKES_TYPE, "--type"},
                 {TAKES_OUTPUT, "-o"},
                 {TAKES_SIZE, "--size"},
                 {TAKES_BUS, "--interface and --bus"}};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!(parser->given & names[i].takes & ~command->takes))
            continue;
        snprintf(parser->error, CLI_ERROR_SIZE, "%s: %s does not belong to this command",
                 command_name(command), names[i].name);
        return false;
    }
    if (count < command->least || count > command->most ||
        (command->takes & TAKES_SIZE & ~parser->given)) {
        snprintf(parser->error, CLI_ERROR_SIZE, "%s takes %s", command_name(command),
                 command->operands);
        return false;
    }
    if (parser->options->json && parser->options->output &&
        strcmp(parser->options->output, "-") == 0) {
        snprintf(parser->error, CLI_ERROR_SIZE, "--json and -o - would both use standard output");
        return false;
    }
    return true;
}

enum cli_parsed cli_options_parse(struct cli_options *options, int argc, char **argv, char *error)
{
    struct parser parser = {.options = options, .error = error};
    int option;

    *options = (struct cli_options){.interface_type = SB_INTERFACE_ISA, .wait_ms = UINT32_MAX};
    opterr = 0;
    optind = 0; /* begin anew, also in a process that has parsed before */
    while ((option = getopt_long(argc, argv, ":o:", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return CLI_EXIT_OK;
        }
        if (option == OPTION_VERSION) {
            puts("spacebridge " PACKAGE_VERSION);
            return CLI_EXIT_OK;
        }
        if (!option_take(&parser, option, argv[optind - 1]))
            return CLI_EXIT_USAGE;
    }
    if (optind == argc) {
        snprintf(error, CLI_ERROR_SIZE, "a command is needed");
        return CLI_EXIT_USAGE;
    }
    const char *name = argv[optind++];
    size_t count = (size_t)(argc - optind);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, command_name(&commands[i])) != 0)
            continue;
        options->command = commands[i].command;
        options->command_name = command_name(&commands[i]);
        if (command_check(&parser, &commands[i], count) &&
            operands_parse(options, argv + optind, count, error))
            return CLI_RUN;
        cli_options_free(options);
        return CLI_EXIT_USAGE;
    }
    snprintf(error, CLI_ERROR_SIZE, "command '%.100s' is unknown", name);
    return CLI_EXIT_USAGE;
}

void cli_options_free(struct cli_options *options)
{
    cli_data_free(&options->data);
    free(options->pointers);
    options->pointers = NULL;
}
