/* Numbers as the command line writes them: decimal, or hexadecimal after 0x. */
#ifndef SB_CLIENT_CLI_NUMBER_H
#define SB_CLIENT_CLI_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_ERROR_SIZE 512

/* False: error (CLI_ERROR_SIZE bytes) names what and says why text is no number from 0 to most. */
bool cli_number(const char *text, const char *what, uint64_t most, uint64_t *number, char *error);

/* Seconds, with a fraction if you like ("0.5"), as milliseconds below UINT32_MAX, which means for
 * ever in WaitForEvent. */
bool cli_seconds(const char *text, uint32_t *milliseconds, char *error);

/* TYPE of the physical commands: a DEBUG_PHYSICAL_* flag. */
bool cli_physical_type(const char *text, uint32_t *flags, char *error);

/* NAME of the port commands: an INTERFACE_TYPE's name without regard to case, or its number. */
bool cli_interface(const char *text, int32_t *type, char *error);

#endif
