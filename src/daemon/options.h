/* The daemon's options: the command line, and a file of the same names. */
#ifndef SB_DAEMON_OPTIONS_H
#define SB_DAEMON_OPTIONS_H

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

enum options_outcome { OPTIONS_RUN, OPTIONS_EXIT_OK, OPTIONS_EXIT_USAGE };

/* Fill options from argv and, where it names one, a configuration file; the command line wins. On
 * OPTIONS_EXIT_USAGE error (OPTIONS_ERROR_SIZE bytes) says what is wrong. --help and --version
 * print and give OPTIONS_EXIT_OK. */
enum options_outcome options_parse(struct options *options, int argc, char **argv, char *error);

#endif
