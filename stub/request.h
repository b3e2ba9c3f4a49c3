/* The grammar of the requests that a debugger sends: pure parsing, each request checked whole
 * before anything is done about it. Requests are what stands between $ and #, escapes taken off; a
 * NUL follows. Every function returns false for anything that is not exactly its grammar. Source:
 * the GDB manual, "Packets" and "General Query Packets". */
#ifndef SB_STUB_REQUEST_H
#define SB_STUB_REQUEST_H

#include "stub/threads.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Actions in one vCont. */
#define REQUEST_ACTIONS_MAX 64

struct request {
    const char *text;
    size_t length;
};

/* Does the request begin with that word? */
bool request_begins(const struct request *request, const char *word);
/* Is it that word, and nothing more? */
bool request_is(const struct request *request, const char *word);

/* ADDR,LENGTH after skip characters, and nothing behind it: m, x, qCRC:. */
bool request_range(const struct request *request, size_t skip, uint64_t *address, uint64_t *length);
/* M ADDR,LENGTH:hex and X ADDR,LENGTH:binary. data, data_length: what stands behind the colon. The
 * number of bytes given must be the length said. */
struct request_write {
    uint64_t address, length;
    const char *data;
};
bool request_write(const struct request *request, struct request_write *write);

/* Z or z TYPE,ADDR,KIND[;…]; type 0 to 4. *rest: what stands behind the kind (conditions). */
struct request_breakpoint {
    unsigned type;
    uint64_t address, kind;
    const char *rest;
};
bool request_breakpoint(const struct request *request, struct request_breakpoint *breakpoint);

/* lldb's ";thread:ID;" at the end of g, G, p, P. Cuts it off the request. Without one thread is
 * THREAD_ANY. False where there is one that is malformed. */
bool request_thread_suffix(struct request *request, struct thread_id *thread);
/* p N. */
bool request_register(const struct request *request, uint64_t *number);
/* P N=hex: value as it stands, an even number of hex digits, at least two. */
bool request_register_write(const struct request *request, uint64_t *number, struct request *value);
/* H g or c ID. */
bool request_select(const struct request *request, char *what, struct thread_id *thread);

/* qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH. */
struct request_xfer {
    char object[32];
    char annex[128];
    uint64_t offset, length;
};
bool request_xfer(const struct request *request, struct request_xfer *xfer);

/* qSearch:memory:ADDR;LENGTH;pattern, at least one byte of pattern. */
struct request_search {
    uint64_t address, length;
    const char *pattern;
    size_t pattern_length;
};
bool request_search(const struct request *request, struct request_search *search);

/* What a resume asks for: vCont;ACTION[:ID]…, c[ADDR], s[ADDR], C SIG[;ADDR], S SIG[;ADDR]. */
struct request_action {
    char action; /* c or s; C, S and r, t come out as they stand */
    bool have_signal;
    unsigned signal;
    bool have_thread;
    struct thread_id thread;
    uint64_t first, last; /* r */
};
struct request_resume {
    struct request_action actions[REQUEST_ACTIONS_MAX];
    size_t count;
    bool have_address;
    uint64_t address; /* c, s, C, S */
    bool vcont;
};
bool request_resume(const struct request *request, struct request_resume *resume);

/* An unsigned number as a person writes it in a monitor command: decimal, or hexadecimal with 0x.
 */
bool request_number(const char *word, uint64_t *number);

#endif
