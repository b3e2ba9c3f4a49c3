/* What a stop reply says, for both ends. Pure text. Source: the GDB manual, "Stop Reply Packets".
 */
#ifndef SB_RSP_STOP_REPLY_H
#define SB_RSP_STOP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stop {
    char kind;       /* T, S, W or X; 0: it is none of these */
    unsigned signal; /* or exit code */
    int64_t thread;  /* THREAD_ANY: it names none */
    bool watch;      /* a watchpoint: address */
    uint64_t address;
    bool swbreak, hwbreak; /* it says so itself */
};
/* False: it is no stop reply. */
bool stop_parse(struct stop *stop, const char *reply);

/* A NAME:VALUE of a T reply; pointers into it. */
struct stop_field {
    const char *name, *value, *end; /* end: of the value */
    size_t name_length;
};
/* The next one at *at, which stands behind "T05" at first; advances it. False: there is none. */
bool stop_field_next(struct stop_field *field, const char **at);
bool stop_field_is(const struct stop_field *field, const char *name);
/* Does it tell of a watchpoint of any kind? */
bool stop_field_is_watch(const struct stop_field *field);

#endif
