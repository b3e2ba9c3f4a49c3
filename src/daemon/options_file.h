/* The configuration file: one 'name = value' a line, by the names of the command line. */
#ifndef SB_DAEMON_OPTIONS_FILE_H
#define SB_DAEMON_OPTIONS_FILE_H

#include "daemon/options_settings.h"

/* Set what the file says. False: error (OPTIONS_ERROR_SIZE bytes) names the file, the line and what
 * is wrong there; options may be set in part. */
bool options_file_read(struct options *options, const char *path, char *error);

#endif
