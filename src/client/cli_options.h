/* The command line of `spacebridge`: options in any place, a command, its operands. */
#ifndef SB_CLIENT_CLI_OPTIONS_H
#define SB_CLIENT_CLI_OPTIONS_H

#include "client/cli_data.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_command {
    CLI_WRITE_VIRTUAL,
    CLI_READ_VIRTUAL,
    CLI_WRITE_PHYSICAL,
    CLI_READ_PHYSICAL,
    CLI_WRITE_POINTERS,
    CLI_READ_POINTERS,
    CLI_WRITE_IO,
    CLI_READ_IO,
    CLI_TRANSLATE,
    CLI_STATUS,
    CLI_TRANSPORTS,
    CLI_GO,
    CLI_HALT,
    CLI_STEP,
    CLI_WAIT,
    CLI_FLUSH,
};

struct cli_options {
    const char *endpoint; /* NULL: the default */
    bool have_cpu;
    uint32_t cpu;
    bool json;
    enum cli_command command;
    const char *command_name;
    bool uncached;
    bool have_type;
    uint32_t type;      /* DEBUG_PHYSICAL_* */
    const char *output; /* -o; NULL: a hex dump */
    uint32_t io_size;
    int32_t interface_type;
    uint32_t bus;
    uint64_t address; /* or port */
    uint64_t size;    /* bytes, or pointers */
    uint32_t value;   /* of write-io */
    uint32_t wait_ms; /* UINT32_MAX: for ever */
    struct cli_data data;
    uint64_t *pointers;
};

enum cli_parsed { CLI_RUN, CLI_EXIT_OK, CLI_EXIT_USAGE };

/* CLI_EXIT_OK: --help or --version has been printed. CLI_EXIT_USAGE: error (CLI_ERROR_SIZE bytes)
 * says what is wrong. Otherwise options must be freed. argv is permuted. */
enum cli_parsed cli_options_parse(struct cli_options *options, int argc, char **argv, char *error);
void cli_options_free(struct cli_options *options);

#endif
