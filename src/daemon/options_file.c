/* How the configuration file is read: hides inih and its limits. */
#include "daemon/options_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

struct file_reading {
    struct options *options;
    char *error; /* of the first bad line; "" while there is none */
};

static int file_line(void *context, const char *section, const char *name, const char *value)
{
    struct file_reading *reading = context;
    const struct options_setting *setting;
    char why[OPTIONS_ERROR_SIZE] = "";

    if (reading->error[0])
        return 0;
    if (section[0] != '\0') {
        options_refuse(reading->error, "sections such as [%s] are not known", section);
        return 0;
    }
    setting = options_setting_find(name);
    if (!setting) {
        options_refuse(reading->error, "there is no option '%.200s'", name);
        return 0;
    }
    if (setting->set(reading->options, value, why))
        return 1;
    options_refuse(reading->error, "%s: %.900s", name, why);
    return 0;
}

/* inih cuts longer lines into two without a word, and stops at a NUL byte. */
static bool check_lines(FILE *file, const char *path, char *error)
{
    int character, line = 1, length = 0;
    while ((character = getc(file)) != EOF) {
        if (character == '\0')
            return options_refuse(error, "%s:%d: a NUL byte", path, line);
        if (character == '\n') {
            line++;
            length = 0;
        } else if (++length > 198) {
            return options_refuse(error, "%s:%d: the line is longer than 198 bytes", path, line);
        }
    }
    if (ferror(file))
        return options_refuse(error, "%s: %s", path, strerror(errno));
    rewind(file);
    return true;
}

bool options_file_read(struct options *options, const char *path, char *error)
{
    char why[OPTIONS_ERROR_SIZE] = "";
    struct file_reading reading = {.options = options, .error = why};
    FILE *file = fopen(path, "re");
    if (!file)
        return options_refuse(error, "%s: %s", path, strerror(errno));
    if (!check_lines(file, path, error)) {
        fclose(file);
        return false;
    }
    int line = ini_parse_file(file, file_line, &reading);
    fclose(file);
    if (line == 0 && !why[0])
        return true;
    return options_refuse(error, "%s:%d: %.900s", path, line, why[0] ? why : "not 'name = value'");
}
