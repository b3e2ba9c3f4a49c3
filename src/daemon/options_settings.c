/* The one table of what can be set, and what each setting takes. */
#include "daemon/options_settings.h"

#include "base/busy_poll.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX 86400.0

bool options_refuse(char *error, const char *format, ...)
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
    return endpoint_parse(endpoint, value, why) || options_refuse(error, "%s", why);
}

static bool add_endpoint(struct endpoint_list *list, const char *value, char *error)
{
    if (list->count == OPTIONS_LISTENERS_MAX)
        return options_refuse(error, "more than %d endpoints", OPTIONS_LISTENERS_MAX);
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
           options_refuse(error, "'%s' is neither keep nor halt", value);
}

static bool set_found(struct options *options, const char *value, char *error)
{
    options->found = strcmp(value, "running") == 0  ? FOUND_RUNNING
                     : strcmp(value, "halted") == 0 ? FOUND_HALTED
                                                    : FOUND_UNKNOWN;
    return options->found != FOUND_UNKNOWN ||
           options_refuse(error, "'%s' is neither running nor halted", value);
}

static bool set_stub_attach(struct options *options, const char *value, char *error)
{
    options->stub_attach_keep = strcmp(value, "keep") == 0;
    return options->stub_attach_keep || strcmp(value, "halt") == 0 ||
           options_refuse(error, "'%s' is neither halt nor keep", value);
}

static bool set_allow_kill(struct options *options, const char *value, char *error)
{
    return parse_bool(&options->allow_kill, value) ||
           options_refuse(error, "'%s' is neither true nor false", value);
}

static bool set_cache(struct options *options, const char *value, char *error)
{
    return cache_policy_parse(&options->cache, value) ||
           options_refuse(error, "'%s' is none of write-back, write-through, off", value);
}

static bool set_cache_size(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 0, 1ull << 40) || (number != 0 && number < TARGET_PAGE_SIZE))
        return options_refuse(error, "'%s' is not a number of bytes: 0 (off), or %u to 2^40", value,
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
           options_refuse(error, "'%s' is not a number of seconds from 0.01 to %.0f", value,
                          TIMEOUT_MAX);
}

static bool set_pipeline(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 1, 1024))
        return options_refuse(error, "'%s' is not a number from 1 to 1024", value);
    options->pipeline = (unsigned)number;
    return true;
}

static bool set_busy_poll(struct options *options, const char *value, char *error)
{
    unsigned long long number;
    if (!parse_count(&number, value, 0, BUSY_POLL_MOST))
        return options_refuse(error, "'%s' is not a number of microseconds from 0 to %u", value,
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
    return options_refuse(error, "'%s' is none of auto, on, off", value);
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
        return options_refuse(error, "'%s' is not a number from 1 to 65536", value);
    options->max_connections = (unsigned)number;
    return true;
}

static bool set_log_level(struct options *options, const char *value, char *error)
{
    return log_level_parse(&options->log_level, value) ||
           options_refuse(error, "'%s' is none of error, warning, info, debug, trace", value);
}

static bool set_log_format(struct options *options, const char *value, char *error)
{
    return log_format_parse(&options->log_format, value) ||
           options_refuse(error, "'%s' is neither text nor json", value);
}

static bool set_allow_remote(struct options *options, const char *value, char *error)
{
    return parse_bool(&options->allow_remote, value) ||
           options_refuse(error, "'%s' is neither true nor false", value);
}

const struct options_setting options_settings[] = {
    {"gdb", "ENDPOINT", set_gdb, "the target's GDB stub"},
    {"qmp", "ENDPOINT", set_qmp, "the target's QMP monitor (without it: by qRcmd, while halted)"},
    {"listen", "ENDPOINT", set_listen, "serve dbgeng-style calls here; may be repeated"},
    {"stub", "ENDPOINT", set_stub, "serve gdb, IDA and lldb here; may be repeated"},
    {"attach", "keep|halt", set_attach, "what to do to a running target on attach (keep)"},
    {"found", "running|halted", set_found,
     "what the guest did before, where nothing tells (else no attach)"},
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

const size_t options_settings_count = sizeof options_settings / sizeof options_settings[0];
_Static_assert(sizeof options_settings / sizeof options_settings[0] <= OPTIONS_SETTINGS_MOST,
               "OPTIONS_SETTINGS_MOST is too small");

const struct options_setting *options_setting_find(const char *name)
{
    for (size_t i = 0; i < options_settings_count; i++)
        if (strcmp(options_settings[i].name, name) == 0)
            return &options_settings[i];
    return NULL;
}

struct endpoint_list *options_setting_list(struct options *options,
                                           const struct options_setting *setting)
{
    if (setting->set == set_listen)
        return &options->listen;
    return setting->set == set_stub ? &options->stub : NULL;
}
