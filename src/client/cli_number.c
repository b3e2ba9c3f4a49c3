/* Hides how numbers and names of the command line are read. */
#include "client/cli_number.h"

#include "spacebridge/names.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool wrong(char *error, const char *text, const char *what, const char *why)
{
    snprintf(error, CLI_ERROR_SIZE, "%s '%.100s' %s", what, text, why);
    return false;
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return 16;
}

bool cli_number(const char *text, const char *what, uint64_t most, uint64_t *number, char *error)
{
    unsigned base = 10;
    const char *digits = text;
    uint64_t value = 0;

    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        digits = text + 2;
    }
    if (*digits == '\0')
        return wrong(error, text, what, "is not a number");
    for (; *digits != '\0'; digits++) {
        unsigned digit = (unsigned)digit_value(*digits);
        if (digit >= base)
            return wrong(error, text, what,
                         base == 10 && isxdigit((unsigned char)*digits)
                             ? "is not a decimal number (hexadecimal ones begin with 0x)"
                             : "is not a number");
        if (value > (UINT64_MAX - digit) / base)
            return wrong(error, text, what, "does not fit 64 bits");
        value = value * base + digit;
    }
    if (value > most) {
        snprintf(error, CLI_ERROR_SIZE, "%s '%.100s' is over %" PRIu64, what, text, most);
        return false;
    }
    *number = value;
    return true;
}

bool cli_seconds(const char *text, uint32_t *milliseconds, char *error)
{
    const uint64_t most = (UINT32_MAX - 1) / 1000;
    uint64_t whole = 0, thousandths = 0, weight = 100;
    const char *point = strchr(text, '.');
    char integer[32];

    size_t length = point ? (size_t)(point - text) : strlen(text);
    if (length >= sizeof integer)
        return wrong(error, text, "SECONDS", "is not a number of seconds");
    memcpy(integer, text, length);
    integer[length] = '\0';
    if (point && (point[1] == '\0' || strspn(point + 1, "0123456789") != strlen(point + 1) ||
                  strncasecmp(text, "0x", 2) == 0))
        return wrong(error, text, "SECONDS", "is not a number of seconds");
    if (!cli_number(integer, "SECONDS", most, &whole, error))
        return false;
    for (const char *digit = point ? point + 1 : ""; *digit != '\0' && weight > 0; weight /= 10)
        thousandths += (uint64_t)(*digit++ - '0') * weight;
    uint64_t total = whole * 1000 + thousandths;
    *milliseconds = total < UINT32_MAX ? (uint32_t)total : UINT32_MAX - 1;
    return true;
}

bool cli_physical_type(const char *text, uint32_t *flags, char *error)
{
    for (uint32_t i = 0; physical_flags_name(i); i++) {
        if (strcmp(text, physical_flags_name(i)) == 0) {
            *flags = i;
            return true;
        }
    }
    return wrong(error, text, "--type", "is none of default cached uncached write-combined");
}

bool cli_interface(const char *text, int32_t *type, char *error)
{
    uint64_t number;

    for (int32_t i = 0; interface_type_name(i); i++) {
        if (strcasecmp(text, interface_type_name(i)) == 0) {
            *type = i;
            return true;
        }
    }
    if (!isdigit((unsigned char)text[0]))
        return wrong(error, text, "--interface",
                     "is no interface type (isa, pcibus, internal, ... or a number)");
    /* Which numbers are types is for the daemon to say. */
    if (!cli_number(text, "--interface", INT32_MAX, &number, error))
        return false;
    *type = (int32_t)number;
    return true;
}
