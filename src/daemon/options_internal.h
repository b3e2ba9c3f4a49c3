/* The parts of options share this: options.c reads the command line and checks the whole,
 * options_settings.c has the table of what can be set, options_file.c reads the file. */
#ifndef SB_DAEMON_OPTIONS_INTERNAL_H
#define SB_DAEMON_OPTIONS_INTERNAL_H

#include "daemon/options.h"

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_SETTINGS_MOST 32

/* One option of the command line, the file and --help. */
struct options_setting {
    const char *name;
    const char *value; /* what --help calls it; NULL: a switch, set to "true" */
    /* False: error (OPTIONS_ERROR_SIZE bytes) says what is wrong with the value. */
    bool (*set)(struct options *options, const char *value, char *error);
    const char *help;
};

extern const struct options_setting options_settings[];
extern const size_t options_settings_count; /* at most OPTIONS_SETTINGS_MOST */

/* NULL: there is no such option. */
const struct options_setting *options_setting_find(const char *name);

/* What a setting that may be repeated adds to; NULL: it may not. */
struct endpoint_list *options_setting_list(struct options *options,
                                           const struct options_setting *setting);

/* Set what the file says. False: error (OPTIONS_ERROR_SIZE bytes) names the file, the line and what
 * is wrong there; options may be set in part. */
bool options_file_read(struct options *options, const char *path, char *error);

/* Put what is wrong into error (OPTIONS_ERROR_SIZE bytes). Always false. */
__attribute__((format(printf, 2, 3))) bool options_refuse(char *error, const char *format, ...);

#endif
