/* What the command line client prints: hex dumps, one JSON object, raw bytes. */
#ifndef SB_CLIENT_CLI_OUTPUT_H
#define SB_CLIENT_CLI_OUTPUT_H

#include "client/cli_number.h"
#include "spacebridge/spacebridge.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Rows of 16 bytes: address, hexadecimal, characters. Zero-initialise, set address and out. */
struct cli_dump {
    FILE *out;
    uint64_t address;
    uint8_t row[16];
    size_t filled;
};
void cli_dump_add(struct cli_dump *dump, const uint8_t *bytes, size_t size);
void cli_dump_end(struct cli_dump *dump);

/* Untrusted text, made safe for a terminal: what is not printable ASCII comes out as \xNN. */
void cli_print_safe(FILE *out, const char *text);

/* One JSON object on standard output, member by member. */
struct cli_json {
    bool begun;
};
void cli_json_text(struct cli_json *json, const char *name, const char *text);
void cli_json_number(struct cli_json *json, const char *name, uint64_t number);
void cli_json_boolean(struct cli_json *json, const char *name, bool value);
/* As a string, "0x…". */
void cli_json_hex(struct cli_json *json, const char *name, uint64_t number);
/* A member whose value the caller prints. */
void cli_json_member(struct cli_json *json, const char *name);
void cli_json_hresult(struct cli_json *json, HRESULT hr);
void cli_json_end(struct cli_json *json);
/* The end of an object that is a member's value: the line goes on. */
void cli_json_end_inner(struct cli_json *json);

/* Raw bytes to a file, made or emptied by the first write, or to standard output ("-"). False:
 * error (CLI_ERROR_SIZE bytes) says what went wrong with which file. */
struct cli_file {
    const char *name;
    int fd; /* -1 before the first write */
};
bool cli_file_write(struct cli_file *file, const uint8_t *bytes, size_t size, char *error);
bool cli_file_close(struct cli_file *file, char *error);

#endif
