#include "daemon/options.h"

#include "base/busy_poll.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX 86400.0

__attribute__((format(printf, 2, 3))) static bool refuse(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, OPTIONS_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

static bool parse_count(unsigned long long *number, const char *text, unsigned long long least,
                        unsigned long long most)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9')
        return false;
    *number = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && *number >= least && *number <= most;
}

static bool parse_bool(bool *value, const char *text)
{
    if (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "1") == 0)
        *value = true;
    else if (strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "0") == 0)
        *value = false;
    else
        return false;
    return true;
}

static bool set_endpoint(struct endpoint *endpoint, const char *value, char *error)
{
    char why[ENDPOINT_ERROR_SIZE];
    return endpoint_parse(endpoint, value, why) || refuse(error, "%s", why);
}

static bool add_endpoint(struct endpoint_list *list, const char *value, char *error)
{
    if (list->count == OPTIONS_LISTENERS_MAX)
        return refuse(error, "more than %d endpoints", OPTIONS_LISTENERS_MAX);
    if (!set_endpoint(&list->items[list->count], value, error))
        return false;
    list->count++;
    return true;
}

static bool set_gdb(struct options *options, const char *value, char *error)
{
    options->have_gdb = true;
    return set_endpoint(&options->gdb, value, error);
}

static bool set_qmp(struct options *options, const char *value, char *error)
{
    options->have_qmp = true;
    return set_endpoint(&options->qmp, value, error);
}

static bool set_listen(struct options *options, const char *value, char *error)
{
    return add_endpoint(&options->listen, value, error);
}

static bool set_stub(struct options *options, const char *value, char *error)
{
    return add_endpoint(&options->stub, value, error);
}

static bool set_attach(struct options *options, const char *value, char *error)
{
    options->attach_halt = strcmp(value, "halt") == 0;
    return options->attach_halt || strcmp(value, "keep") == 0 ||
           refuse(error, "'%s' is neither keep nor halt", value);
}

static bool set_stub_attach(struct options *options, const char *value, char *error)
{
    options->stub_attach_keep = strcmp(value, "keep") == 0;
    return options->stub_attach_keep || strcmp(value, "halt") == 0 ||
           refuse(error, "'%s' is neither halt nor keep", value);
}

static bool set_allow_kill(struct options *options, const char *value, char *error)
{
    return parse_bool(&options->allow_kill, value) ||
           refuse(error, "'%s' is neither true nor false", value);
}

static bool set_cache(struct options *options, const char *value, char *error)
{
    return cache_policy_parse(&options->cache, value) ||
           refuse(error, "'%s' is none of write-back, write-through, off", value);
}

static bool set_cache_size(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 0, 1ull << 40) || (number != 0 && number < TARGET_PAGE_SIZE))
        return refuse(error, "'%s' is not a number of bytes: 0 (off), or %u to 2^40", value,
                      TARGET_PAGE_SIZE);
    options->cache_size = number;
    return true;
}

static bool set_timeout(struct options *options, const char *value, char *error)
{
    char *end;
    options->timeout = strtod(value, &end);
    return (end != value && *end == '\0' && isfinite(options->timeout) &&
            options->timeout >= 0.01 && options->timeout <= TIMEOUT_MAX) ||
           refuse(error, "'%s' is not a number of seconds from 0.01 to %.0f", value, TIMEOUT_MAX);
}

static bool set_pipeline(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 1, 1024))
        return refuse(error, "'%s' is not a number from 1 to 1024", value);
    options->pipeline = (unsigned)number;
    return true;
}

static bool set_busy_poll(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 0, BUSY_POLL_MOST))
        return refuse(error, "'%s' is not a number of microseconds from 0 to %u", value,
                      BUSY_POLL_MOST);
    options->busy_poll = (unsigned)number;
    return true;
}

static bool set_choice(enum ways_choice *choice, const char *value, char *error)
{
    static const char *const names[] = {[WAYS_AUTO] = "auto", [WAYS_ON] = "on", [WAYS_OFF] = "off"};
    for (int i = WAYS_AUTO; i <= WAYS_OFF; i++) {
        if (strcmp(value, names[i]) == 0) {
            *choice = (enum ways_choice)i;
            return true;
        }
    }
    return refuse(error, "'%s' is none of auto, on, off", value);
}

static bool set_qtest(struct options *options, const char *value, char *error)
{
    return set_choice(&options->qtest, value, error);
}

static bool set_direct_ram(struct options *options, const char *value, char *error)
{
    return set_choice(&options->direct_ram, value, error);
}

static bool set_max_connections(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 1, 65536))
        return refuse(error, "'%s' is not a number from 1 to 65536", value);
    options->max_connections = (unsigned)number;
    return true;
}

static bool set_log_level(struct options *options, const char *value, char *error)
{
    return log_level_parse(&options->log_level, value) ||
           refuse(error, "'%s' is none of error, warning, info, debug, trace", value);
}

static bool set_log_format(struct options *options, const char *value, char *error)
{
    return log_format_parse(&options->log_format, value) ||
           refuse(error, "'%s' is neither text nor json", value);
}

static bool set_allow_remote(struct options *options, const char *value, char *error)
{
    return parse_bool(&options->allow_remote, value) ||
           refuse(error, "'%s' is neither true nor false", value);
}

/* One table for the command line, the file and --help. */
static const struct setting {
    const char *name;
    const char *value; /* NULL: a switch */
    bool (*set)(struct options *options, const char *value, char *error);
    const char *help;
} settings[] = {
    {"gdb", "ENDPOINT", set_gdb, "the target's GDB stub"},
    {"qmp", "ENDPOINT", set_qmp, "the target's QMP monitor (without it: by qRcmd, while halted)"},
    {"listen", "ENDPOINT", set_listen, "serve dbgeng-style calls here; may be repeated"},
    {"stub", "ENDPOINT", set_stub, "serve gdb, IDA and lldb here; may be repeated"},
    {"attach", "keep|halt", set_attach, "what to do to a running target on attach (keep)"},
    {"stub-attach", "halt|keep", set_stub_attach,
     "what a GDB client that attaches does to a running target (halt)"},
    {"allow-kill", NULL, set_allow_kill, "let GDB clients end the target (k, vKill)"},
    {"cache", "POLICY", set_cache, "of a new view: write-back (default), write-through, off"},
    {"cache-size", "BYTES", set_cache_size, "what a view may hold (1024000)"},
    {"timeout", "SECONDS", set_timeout, "silence after which the target counts as lost (10)"},
    {"pipeline", "N", set_pipeline, "requests in flight upstream (16 on QEMU, else 1)"},
    {"busy-poll", "USEC", set_busy_poll, "stay awake that long for the next answer or call (100)"},
    {"qtest", "auto|on|off", set_qtest,
     "memory and ports beside the stub, also while running (auto: for guests started here)"},
    {"direct-ram", "auto|on|off", set_direct_ram, "the guest's RAM in QEMU's own memory (off)"},
    {"max-connections", "N", set_max_connections, "connections served at once (1024)"},
    {"allow-remote", NULL, set_allow_remote, "permit listening TCP addresses beyond loopback"},
    {"log-level", "LEVEL", set_log_level, "error, warning, info (default), debug, trace"},
    {"log-format", "FORMAT", set_log_format, "text (default) or json, to standard error"},
};
#define SETTINGS (sizeof settings / sizeof settings[0])

enum { LONG_FIRST = 1000, LONG_CONFIG = 2000, LONG_HELP, LONG_VERSION };

static void print_help(void)
{
    printf("usage: spacebridged --gdb ENDPOINT [--qmp ENDPOINT] [options]\n"
           "       spacebridged [options] -- qemu-system-x86_64 ARGS...\n\n"
           "One daemon between a QEMU guest and every tool that wants at its memory.\n"
           "An ENDPOINT is unix:PATH, tcp:HOST:PORT or tcp:[IPV6]:PORT.\n\n");
    for (size_t i = 0; i < SETTINGS; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", settings[i].name,
                 settings[i].value ? settings[i].value : "");
        printf("  %-26s %s\n", left, settings[i].help);
    }
    printf("  %-26s %s\n  %-26s %s\n  %-26s %s\n", "--config FILE",
           "the same options, one 'name = value' a line; the command line wins", "--help",
           "this text", "--version", "the program's version");
    printf("\nEverything after -- is a guest to start: it is wired up through private sockets and\n"
           "ends with the daemon. See spacebridged(8).\n");
}

struct file_reading {
    struct options *options;
    const char *path;
    char *error; /* of the first bad line; "" while there is none */
};

static int file_line(void *context, const char *section, const char *name, const char *value)
{
    struct file_reading *reading = context;
    char why[OPTIONS_ERROR_SIZE] = "";

    if (reading->error[0])
        return 0;
    if (section[0] != '\0') {
        refuse(reading->error, "sections such as [%s] are not known", section);
        return 0;
    }
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        if (settings[i].set(reading->options, value, why))
            return 1;
        refuse(reading->error, "%s: %.900s", name, why);
        return 0;
    }
    refuse(reading->error, "there is no option '%.200s'", name);
    return 0;
}

/* inih cuts longer lines into two without a word, and stops at a NUL byte. */
static bool check_lines(FILE *file, const char *path, char *error)
{
    int character, line = 1, length = 0;
    while ((character = getc(file)) != EOF) {
        if (character == '\0')
            return refuse(error, "%s:%d: a NUL byte", path, line);
        if (character == '\n') {
            line++;
            length = 0;
        } else if (++length > 198) {
            return refuse(error, "%s:%d: the line is longer than 198 bytes", path, line);
        }
    }
    if (ferror(file))
        return refuse(error, "%s: %s", path, strerror(errno));
    rewind(file);
    return true;
}

static bool read_file(struct options *options, const char *path, char *error)
{
    char why[OPTIONS_ERROR_SIZE] = "";
    struct file_reading reading = {.options = options, .path = path, .error = why};
    FILE *file = fopen(path, "re");
    if (!file)
        return refuse(error, "%s: %s", path, strerror(errno));
    if (!check_lines(file, path, error)) {
        fclose(file);
        return false;
    }
    int line = ini_parse_file(file, file_line, &reading);
    fclose(file);
    if (line == 0 && !why[0])
        return true;
    return refuse(error, "%s:%d: %.900s", path, line, why[0] ? why : "not 'name = value'");
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
            return refuse(error,
                          "%s is not a loopback address: whoever reaches it owns the guest "
                          "(--allow-remote permits it)",
                          endpoint_format(&list->items[i], text));
    }
    return true;
}

static bool check_whole(const struct options *options, char *error)
{
    if (options->guest && (options->have_gdb || options->have_qmp))
        return refuse(error, "--gdb and --qmp name a target that runs, so no guest can be given "
                             "after -- as well");
    if (!options->guest && !options->have_gdb)
        return refuse(error, "no target: --gdb ENDPOINT is needed, or a guest after --");
    return check_remote(options, &options->listen, error) &&
           check_remote(options, &options->stub, error);
}

/* One walk over the command line: with apply false it only looks for --config and checks the names.
 */
static enum options_outcome walk(struct options *options, int argc, char **argv, bool apply,
                                 const char **config, char *error)
{
    struct option table[SETTINGS + 4] = {{0}};
    bool listen_seen = false, stub_seen = false;
    int found;

    for (size_t i = 0; i < SETTINGS; i++)
        table[i] =
            (struct option){settings[i].name, settings[i].value ? required_argument : no_argument,
                            NULL, LONG_FIRST + (int)i};
    table[SETTINGS] = (struct option){"config", required_argument, NULL, LONG_CONFIG};
    table[SETTINGS + 1] = (struct option){"help", no_argument, NULL, LONG_HELP};
    table[SETTINGS + 2] = (struct option){"version", no_argument, NULL, LONG_VERSION};

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
            refuse(error, "%s%s",
                   found == ':' ? "a value is missing after " : "there is no option ",
                   argv[optind - 1]);
            return OPTIONS_EXIT_USAGE;
        }
        if (found == LONG_CONFIG) {
            *config = optarg;
            continue;
        }
        if (!apply)
            continue;
        const struct setting *setting = &settings[found - LONG_FIRST];
        /* A list on the command line takes the place of the file's. */
        if (setting->set == set_listen && !listen_seen) {
            options->listen.count = 0;
            listen_seen = true;
        }
        if (setting->set == set_stub && !stub_seen) {
            options->stub.count = 0;
            stub_seen = true;
        }
        char why[OPTIONS_ERROR_SIZE] = "";
        if (!setting->set(options, setting->value ? optarg : "true", why)) {
            refuse(error, "--%s: %.900s", setting->name, why);
            return OPTIONS_EXIT_USAGE;
        }
    }
    if (optind < argc && strcmp(argv[optind - 1], "--") != 0) {
        refuse(error, "'%s' is no option (a guest to start comes after --)", argv[optind]);
        return OPTIONS_EXIT_USAGE;
    }
    if (optind < argc)
        options->guest = &argv[optind];
    else if (strcmp(argv[optind - 1], "--") == 0) {
        refuse(error, "nothing after --: the guest's command is missing");
        return OPTIONS_EXIT_USAGE;
    }
    return OPTIONS_RUN;
}

enum options_outcome options_parse(struct options *options, int argc, char **argv, char *error)
{
    const char *config = NULL;
    enum options_outcome outcome;

    set_defaults(options);
    outcome = walk(options, argc, argv, false, &config, error);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (config && !read_file(options, config, error))
        return OPTIONS_EXIT_USAGE;
    outcome = walk(options, argc, argv, true, &config, error);
    if (outcome == OPTIONS_RUN && !check_whole(options, error))
        return OPTIONS_EXIT_USAGE;
    return outcome;
}
