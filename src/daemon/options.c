/* Reads the command line: hides getopt, and checks that what was given belongs together. */
#include "daemon/options.h"

#include "base/busy_poll.h"
#include "daemon/options_file.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { LONG_FIRST = 1000, LONG_CONFIG = 2000, LONG_HELP, LONG_VERSION };

static void print_help(void)
{
    printf("usage: spacebridged --gdb ENDPOINT [--qmp ENDPOINT] [options]\n"
           "       spacebridged [options] -- qemu-system-x86_64 ARGS...\n\n"
           "One daemon between a QEMU guest and every tool that wants at its memory.\n"
           "An ENDPOINT is unix:PATH, tcp:HOST:PORT or tcp:[IPV6]:PORT.\n\n");
    for (size_t i = 0; i < options_settings_count; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", options_settings[i].name,
                 options_settings[i].value ? options_settings[i].value : "");
        printf("  %-26s %s\n", left, options_settings[i].help);
    }
    printf("  %-26s %s\n  %-26s %s\n  %-26s %s\n", "--config FILE",
           "the same options, one 'name = value' a line; the command line wins", "--help",
           "this text", "--version", "the program's version");
    printf("\nEverything after -- is a guest to start: it is wired up through private sockets and\n"
           "ends with the daemon. See spacebridged(8).\n");
}

static void set_defaults(struct options *options)
{
    memset(options, 0, sizeof *options);
    options->cache = CACHE_WRITE_BACK;
    options->busy_poll = BUSY_POLL_DEFAULT;
    options->cache_size = SPACE_CACHE_SIZE_DEFAULT;
    options->timeout = 10;
    options->max_connections = 1024;
    options->qtest = WAYS_AUTO;
    options->direct_ram = WAYS_OFF;
    options->log_level = LOG_LEVEL_INFO;
    options->log_format = LOG_FORMAT_TEXT;
}

static bool check_remote(const struct options *options, const struct endpoint_list *list,
                         char *error)
{
    char text[ENDPOINT_TEXT_SIZE];
    for (size_t i = 0; i < list->count && !options->allow_remote; i++) {
        if (!endpoint_is_local(&list->items[i]))
            return options_refuse(error,
                                  "%s is not a loopback address: whoever reaches it owns the guest "
                                  "(--allow-remote permits it)",
                                  endpoint_format(&list->items[i], text));
    }
    return true;
}

static bool check_whole(const struct options *options, char *error)
{
    if (options->guest && (options->have_gdb || options->have_qmp))
        return options_refuse(error,
                              "--gdb and --qmp name a target that runs, so no guest can be given "
                              "after -- as well");
    if (!options->guest && !options->have_gdb)
        return options_refuse(error, "no target: --gdb ENDPOINT is needed, or a guest after --");
    return check_remote(options, &options->listen, error) &&
           check_remote(options, &options->stub, error);
}

/* getopt's table of settings and of the three that are none; zeroed at its end. */
static void fill_table(struct option *table)
{
    const size_t count = options_settings_count;

    for (size_t i = 0; i < count; i++)
        table[i] = (struct option){options_settings[i].name,
                                   options_settings[i].value ? required_argument : no_argument,
                                   NULL, LONG_FIRST + (int)i};
    table[count] = (struct option){"config", required_argument, NULL, LONG_CONFIG};
    table[count + 1] = (struct option){"help", no_argument, NULL, LONG_HELP};
    table[count + 2] = (struct option){"version", no_argument, NULL, LONG_VERSION};
}

/* seen: settings that the command line has set before. */
static bool apply_setting(struct options *options, size_t which, bool *seen, char *error)
{
    const struct options_setting *setting = &options_settings[which];
    struct endpoint_list *list = options_setting_list(options, setting);
    char why[OPTIONS_ERROR_SIZE] = "";

    /* A list on the command line takes the place of the file's. */
    if (list && !seen[which])
        list->count = 0;
    seen[which] = true;
    return setting->set(options, setting->value ? optarg : "true", why) ||
           options_refuse(error, "--%s: %.900s", setting->name, why);
}

/* What comes after the options. */
static bool take_guest(struct options *options, int argc, char **argv, char *error)
{
    bool dashes = strcmp(argv[optind - 1], "--") == 0;

    if (optind < argc && !dashes)
        return options_refuse(error, "'%s' is no option (a guest to start comes after --)",
                              argv[optind]);
    if (optind < argc)
        options->guest = &argv[optind];
    else if (dashes)
        return options_refuse(error, "nothing after --: the guest's command is missing");
    return true;
}

/* One walk over the command line: with apply false it only looks for --config and checks the names.
 */
static enum options_outcome walk(struct options *options, int argc, char **argv, bool apply,
                                 const char **config, char *error)
{
    struct option table[OPTIONS_SETTINGS_MOST + 4] = {{0}};
    bool seen[OPTIONS_SETTINGS_MOST] = {false};
    int found;

    fill_table(table);
    optind = 0; /* GNU: start over, also after an earlier walk */
    opterr = 0;
    while ((found = getopt_long(argc, argv, "+:h", table, NULL)) != -1) {
        if (found == LONG_HELP || found == 'h') {
            print_help();
            return OPTIONS_EXIT_OK;
        }
        if (found == LONG_VERSION) {
            printf("spacebridged %s\n", PACKAGE_VERSION);
            return OPTIONS_EXIT_OK;
        }
        if (found == '?' || found == ':') {
            options_refuse(error, "%s%s",
                           found == ':' ? "a value is missing after " : "there is no option ",
                           argv[optind - 1]);
            return OPTIONS_EXIT_USAGE;
        }
        if (found == LONG_CONFIG)
            *config = optarg;
        else if (apply && !apply_setting(options, (size_t)(found - LONG_FIRST), seen, error))
            return OPTIONS_EXIT_USAGE;
    }
    return take_guest(options, argc, argv, error) ? OPTIONS_RUN : OPTIONS_EXIT_USAGE;
}

enum options_outcome options_parse(struct options *options, int argc, char **argv, char *error)
{
    const char *config = NULL;
    enum options_outcome outcome;

    set_defaults(options);
    outcome = walk(options, argc, argv, false, &config, error);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (config && !options_file_read(options, config, error))
        return OPTIONS_EXIT_USAGE;
    outcome = walk(options, argc, argv, true, &config, error);
    if (outcome == OPTIONS_RUN && !check_whole(options, error))
        return OPTIONS_EXIT_USAGE;
    return outcome;
}
