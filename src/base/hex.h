/* Hexadecimal. */
#ifndef SB_BASE_HEX_H
#define SB_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value of a hex digit of either case, -1 for any other character. */
int hex_digit(int character);
/* size bytes as 2*size lower-case digits, no terminator. */
void hex_encode(char *text, const uint8_t *bytes, size_t size);
/* length digits (even) into length/2 bytes; false when one is not a digit or length is odd. */
bool hex_decode(uint8_t *bytes, const char *text, size_t length);
/* An unsigned number of 1 to 16 digits at *text, before end; advances *text past it. False, with
 * *text where it was, where there is none or it does not fit 64 bits. */
bool hex_number(uint64_t *number, const char **text, const char *end);

#endif
