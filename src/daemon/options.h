/* The daemon's options: the command line, and a file of the same names. */
#ifndef SB_DAEMON_OPTIONS_H
#define SB_DAEMON_OPTIONS_H

#include "daemon/options_settings.h"

enum options_outcome { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_USAGE };

/* Fill options from argv and, where it names one, a configuration file; the command line wins. On
 * OPTIONS_EXIT_USAGE error (OPTIONS_ERROR_SIZE bytes) says what is wrong. --help and --version
 * print and give OPTIONS_EXIT_OK. */
enum options_outcome options_parse(struct options *options, int argc, char **argv, char *error);

#endif
