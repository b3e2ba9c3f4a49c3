/* What can be set, and what each setting takes: one table for the command line, the file and
 * --help. */
#ifndef SB_DAEMON_OPTIONS_SETTINGS_H
#define SB_DAEMON_OPTIONS_SETTINGS_H

#include "base/endpoint.h"
#include "base/log.h"
#include "space/session.h"
#include "upstream/found.h"
#include "upstream/ways/ways.h"

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_LISTENERS_MAX 16
#define OPTIONS_ERROR_SIZE    1024

struct endpoint_list {
    struct endpoint items[OPTIONS_LISTENERS_MAX];
    size_t count;
};

struct options {
    bool have_gdb, have_qmp;
    struct endpoint gdb, qmp;
    struct endpoint_list listen; /* empty: the default */
    struct endpoint_list stub;   /* empty: the default */
    enum found found;            /* what a guest did before of which nothing tells */
    bool attach_halt;
    bool stub_attach_keep; /* GDB clients leave the target running */
    bool allow_kill;       /* GDB clients may end the target */
    enum cache_policy cache;
    size_t cache_size;  /* bytes */
    double timeout;     /* seconds */
    unsigned pipeline;  /* 0: by the kind of stub */
    unsigned busy_poll; /* microseconds */
    enum ways_choice qtest, direct_ram;
    unsigned max_connections;
    bool allow_remote;
    enum log_level log_level;
    enum log_format log_format;
    char **guest; /* argv of the guest to start, NULL-terminated; NULL: attach to one that runs */
};

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

/* Put what is wrong into error (OPTIONS_ERROR_SIZE bytes). Always false. */
__attribute__((format(printf, 2, 3))) bool options_refuse(char *error, const char *format, ...);

#endif
