/* The log: lines to standard error, as text or as one JSON object a line. */
#ifndef SB_BASE_LOG_H
#define SB_BASE_LOG_H

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE
};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Before the first line; the defaults are info and text. Tests may log nothing by LOG_LEVEL_ERROR.
 */
void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
bool log_level_parse(enum log_level *level, const char *text);
bool log_format_parse(enum log_format *format, const char *text);

/* room: which part speaks ("target", "rpc", …). Text is made safe to print: control characters and
 * bytes that are not UTF-8 come out escaped, whoever sent them. A full or closed standard error is
 * survived silently: there is nobody to tell. */
void log_line(enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(room, ...)   log_line(LOG_LEVEL_ERROR, room, __VA_ARGS__)
#define log_warning(room, ...) log_line(LOG_LEVEL_WARNING, room, __VA_ARGS__)
#define log_info(room, ...)    log_line(LOG_LEVEL_INFO, room, __VA_ARGS__)
#define log_debug(room, ...)                                                                       \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                          \
            log_line(LOG_LEVEL_DEBUG, room, __VA_ARGS__);                                          \
    } while (0)
#define log_trace(room, ...)                                                                       \
    do {                                                                                           \
        if (log_enabled(LOG_LEVEL_TRACE))                                                          \
            log_line(LOG_LEVEL_TRACE, room, __VA_ARGS__);                                          \
    } while (0)

#endif
