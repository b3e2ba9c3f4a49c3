/* MessagePack values, read where they stand: nothing is copied, nothing is allocated, and an array
 * of any length costs no more than its head until its values are asked for, one after the other.
 * Untrusted bytes: nothing beyond their end is looked at, whatever they say. How deep and how
 * many they may be is wire/frame's concern, which has passed them before. */
#ifndef SB_WIRE_VALUE_H
#define SB_WIRE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_kind {
    VALUE_NIL,
    VALUE_BOOLEAN,
    VALUE_UNSIGNED, /* an integer from 0 to 2^64 - 1 */
    VALUE_NEGATIVE, /* an integer from -2^63 to -1 */
    VALUE_FLOAT,    /* which one is not told */
    VALUE_TEXT,
    VALUE_BIN,
    VALUE_ARRAY,
    VALUE_MAP,
};

/* The bytes of a str or a bin, in the message; there is no NUL behind them. */
struct value_bytes {
    const uint8_t *at;
    uint32_t size;
};

/* Where the next value begins, and where the message ends. */
struct value_reader {
    const uint8_t *at, *end;
};

/* The values of an array, or the pairs (key, value) of a map. */
struct value_list {
    struct value_reader first;
    uint32_t count; /* of values, or of pairs */
};

struct value {
    enum value_kind kind;
    union { /* by kind */
        bool boolean;
        uint64_t number;
        int64_t negative;
        struct value_bytes bytes;
        struct value_list list;
    };
};

/* Read the next value and pass over it, an array or map with all that is in it. False: no whole
 * value is there. */
bool value_read(struct value_reader *reader, struct value *value);
/* Read the next value, and of an array or map pass over its head alone: its own values come next.
 */
bool value_enter(struct value_reader *reader, struct value *value);
/* The value of that index of an array, or of a map: 2 * pair for a key, one more for what it has.
 * False: there is none. Its time grows with index. */
bool value_at(const struct value *list, uint32_t index, struct value *value);
/* Whose key is that str; false: there is none, or this is no map. */
bool value_of_key(const struct value *map, const char *key, struct value *value);

/* Is value the str text, byte for byte? */
bool value_text_is(const struct value *value, const char *text);
/* Copy a str, cut to size - 1 bytes (size at least 1), with a NUL after it. */
void value_text_copy(char *to, size_t size, const struct value *text);
/* "an integer", "a str": what a value is, for messages. */
const char *value_kind_text(const struct value *value);

#endif
