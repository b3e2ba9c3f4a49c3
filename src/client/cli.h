/* One run of the command line client. */
#ifndef SB_CLIENT_CLI_H
#define SB_CLIENT_CLI_H

#include "client/cli_options.h"
#include "client/cli_output.h"
#include "spacebridge/spacebridge.h"

enum cli_exit {
    CLI_EXIT_DONE = 0,
    CLI_EXIT_FAILED = 1,
    CLI_EXIT_BAD_USAGE = 2,
    CLI_EXIT_PARTLY = 3,
    CLI_EXIT_NO_CONNECTION = 4,
};

struct cli {
    struct cli_options *options;
    spacebridge_t *sb;
    struct spacebridge_hello hello;
    struct cli_json json;
    char warning[1024]; /* the first that a call had; "": none */
};

/* After a call that may have had a warning: keep it. */
void cli_heard(struct cli *cli);
/* The end of the object: the warning, if there is one, is its last member. */
void cli_json_finish(struct cli *cli);

/* Say that a call failed, with the message that goes with it. A JSON object that has been begun is
 * ended. The exit code. */
enum cli_exit cli_failed(struct cli *cli, HRESULT hr, const char *message);
/* The same for what is not a call's fault: a file, memory. */
enum cli_exit cli_trouble(struct cli *cli, const char *message);
/* cli_failed for the last call that was made. */
enum cli_exit cli_call_failed(struct cli *cli, HRESULT hr);
/* "S_OK: text" or an object with the HRESULT and whatever was put in before. */
void cli_done(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
