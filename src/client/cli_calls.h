/* The commands that move little: pointers, ports, translation, run control. Each reports its
 * outcome, and returns the exit code. */
#ifndef SB_CLIENT_CLI_CALLS_H
#define SB_CLIENT_CLI_CALLS_H

#include "client/cli.h"

enum cli_exit cli_write_pointers(struct cli *cli);
enum cli_exit cli_read_pointers(struct cli *cli);
enum cli_exit cli_write_io(struct cli *cli);
enum cli_exit cli_read_io(struct cli *cli);
enum cli_exit cli_translate(struct cli *cli);
enum cli_exit cli_status(struct cli *cli);
enum cli_exit cli_transports(struct cli *cli);
enum cli_exit cli_halt(struct cli *cli);
enum cli_exit cli_step(struct cli *cli);
enum cli_exit cli_go(struct cli *cli);
enum cli_exit cli_flush(struct cli *cli);
enum cli_exit cli_wait(struct cli *cli);

#endif
