/* Any call of the protocol, by its row of wire/calls.def: what it takes is packed, what comes back
 * is checked, as the row says. */
#ifndef SB_CLIENT_CALL_H
#define SB_CLIENT_CALL_H

#include "client/result.h"
#include "wire/calls.h"

#include <stddef.h>
#include <stdint.h>

/* An argument; the row's type says which member counts. */
union call_argument {
    uint64_t number;
    int32_t interface_type;
    struct call_bytes {
        const void *at; /* not looked at where size is 0 */
        size_t size;
    } bin; /* always the last argument */
    struct call_pointers {
        const uint64_t *at;
        uint32_t count;
    } pointers;
    const char *text;
};

/* What may be asked of a call besides. */
struct call_terms {
    void *into; /* a bin that is its result may be received right there; NULL: nowhere */
    size_t into_most;
    double longer; /* seconds that the daemon may be silent beyond what is allowed, < 0: for ever */
};

/* Make a call (arguments: as many as its row has; terms may be NULL) and wait for its answer. On
 * success result has the values of the row, of the types of the row, valid until the next call. An
 * answer of other types loses the connection, E_UNEXPECTED. */
HRESULT call_make(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                  const struct call_terms *terms, struct link_result *result);
/* The same where the result does not matter, or there is none. */
HRESULT call_plain(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments);
/* The same where it is a number, which goes to number (0 on failure) unless that is NULL. */
HRESULT call_number(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                    uint64_t *number);
HRESULT call_number32(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                      uint32_t *number);

/* Queue a call. most: the largest number, or the most bytes (which go to into), that its result may
 * be. */
HRESULT call_queue(spacebridge_t *sb, enum wire_call call, const union call_argument *arguments,
                   void *into, uint64_t most, uint64_t *ticket);

#endif
