/* The answer to one request, put together as one frame: [1, msgid, nil, [HRESULT, out...]] or
 * [1, msgid, [HRESULT, message], nil]; and notifications, [2, method, [params...]]. */
#ifndef SB_RPC_ANSWER_H
#define SB_RPC_ANSWER_H

#include "base/buffer.h"
#include "spacebridge/hresult.h"
#include "wire/pack.h"
#include "wire/value.h"

#include <stdbool.h>
#include <stdint.h>

struct answer {
    struct buffer *frame;
    uint32_t id;
    struct pack pack; /* onto frame; its no_memory: frame is not whole */
    bool packed;      /* there is a result or an error in frame */
};

/* frame must be empty. */
void answer_init(struct answer *answer, struct buffer *frame, uint32_t id);

/* Begin a result of outs values after its HRESULT; they are packed onto what is returned. */
struct pack *answer_result(struct answer *answer, HRESULT hr, uint32_t outs);

/* A whole result that is one number. */
void answer_number(struct answer *answer, HRESULT hr, uint64_t number);

/* A result that is one bin: reserve room for size bytes (NULL: no memory), read right into it, so
 * that 64 MiB are not copied once more, then say how many there are. */
uint8_t *answer_bin_reserve(struct answer *answer, uint32_t size);
void answer_bin(struct answer *answer, HRESULT hr, uint32_t done);

/* Instead of whatever was packed before. */
void answer_error(struct answer *answer, HRESULT hr, const char *message);

/* Append [2, method, [hr, message]] to out. False when out of memory; out is then as it was. */
bool answer_notify(struct buffer *out, const char *method, HRESULT hr, const char *message);
/* Append [2, "Warning", [call, text]] to out; as answer_notify. */
bool answer_notify_warning(struct buffer *out, const struct value_bytes *call, const char *text);
/* Append [2, method, [flags, argument, text]] to out; as answer_notify. */
bool answer_notify_change(struct buffer *out, const char *method, uint32_t flags, uint64_t argument,
                          const char *text);

#endif
