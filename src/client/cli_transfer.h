/* The commands that read and write memory. Each reports its outcome, and returns the exit code. */
#ifndef SB_CLIENT_CLI_TRANSFER_H
#define SB_CLIENT_CLI_TRANSFER_H

#include "client/cli.h"

enum cli_exit cli_write_memory(struct cli *cli);
enum cli_exit cli_read_memory(struct cli *cli);

#endif
