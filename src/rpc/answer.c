/* Knows the shape of responses and notifications. */
#include "rpc/answer.h"

#include "base/bytes.h"
#include "wire/message.h"
#include "wire/protocol.h"

#include <string.h>

void answer_init(struct answer *answer, struct buffer *frame, uint32_t id)
{
    *answer = (struct answer){.frame = frame, .id = id, .pack = {.out = frame}};
}

static void pack_response(struct answer *answer)
{
    pack_array(&answer->pack, 4);
    pack_unsigned(&answer->pack, MESSAGE_RESPONSE);
    pack_unsigned(&answer->pack, answer->id);
    answer->packed = true;
}

struct pack *answer_result(struct answer *answer, HRESULT hr, uint32_t outs)
{
    pack_response(answer);
    pack_nil(&answer->pack);
    pack_array(&answer->pack, outs + 1);
    pack_signed(&answer->pack, hr);
    return &answer->pack;
}

/* By hand: it is the answer to every write. */
void answer_number(struct answer *answer, HRESULT hr, uint64_t number)
{
    uint8_t *head = buffer_reserve(answer->frame, 4 + 3 * PACK_NUMBER_MOST), *at = head;

    if (!head) {
        answer->pack.no_memory = true;
        return;
    }
    *at++ = 0x94; /* array of 4 */
    *at++ = MESSAGE_RESPONSE;
    at = pack_put_unsigned(at, answer->id);
    *at++ = 0xc0; /* no error */
    *at++ = 0x92; /* array of 2 */
    at = pack_put_unsigned(at, (uint32_t)hr);
    at = pack_put_unsigned(at, number);
    buffer_commit(answer->frame, (size_t)(at - head));
    answer->packed = true;
}

/* What stands before the bytes of a bin result, in forms of fixed width. */
#define BIN_HEAD 15u

uint8_t *answer_bin_reserve(struct answer *answer, uint32_t size)
{
    uint8_t *at = buffer_reserve(answer->frame, BIN_HEAD + (size_t)size);

    return at ? at + BIN_HEAD : NULL;
}

void answer_bin(struct answer *answer, HRESULT hr, uint32_t done)
{
    uint8_t *head = buffer_reserve(answer->frame, BIN_HEAD); /* the room that is there already */

    head[0] = 0x94; /* array of 4 */
    head[1] = MESSAGE_RESPONSE;
    head[2] = 0xce; /* uint 32 */
    bytes_store(head + 3, answer->id, 4, true);
    head[7] = 0xc0;                        /* no error */
    head[8] = 0x92;                        /* array of 2 */
    head[9] = hr == S_FALSE ? 0x01 : 0x00; /* the only successes there are */
    head[10] = 0xc6;                       /* bin 32 */
    bytes_store(head + 11, done, 4, true);
    buffer_commit(answer->frame, BIN_HEAD + (size_t)done);
    answer->packed = true;
}

void answer_error(struct answer *answer, HRESULT hr, const char *message)
{
    buffer_clear(answer->frame);
    answer->pack.no_memory = false;
    pack_response(answer);
    pack_array(&answer->pack, 2);
    pack_signed(&answer->pack, hr);
    pack_text(&answer->pack, message);
    pack_nil(&answer->pack);
}

/* Begin a notification of that many params on a frame of its own. */
static struct pack *notify_begin(struct answer *answer, struct buffer *frame, const char *method,
                                 size_t params)
{
    answer_init(answer, frame, 0);
    pack_array(&answer->pack, 3);
    pack_unsigned(&answer->pack, MESSAGE_NOTIFICATION);
    pack_text(&answer->pack, method);
    pack_array(&answer->pack, params);
    return &answer->pack;
}

static bool notify_end(struct answer *answer, struct buffer *frame, struct buffer *out)
{
    bool whole = !answer->pack.no_memory && buffer_append(out, buffer_bytes(frame), frame->length);
    buffer_free(frame);
    return whole;
}

bool answer_notify(struct buffer *out, const char *method, HRESULT hr, const char *message)
{
    struct buffer frame = {0};
    struct answer answer;
    struct pack *pack = notify_begin(&answer, &frame, method, 2);

    pack_signed(pack, hr);
    pack_text(pack, message);
    return notify_end(&answer, &frame, out);
}

bool answer_notify_warning(struct buffer *out, const struct value_bytes *call, const char *text)
{
    struct buffer frame = {0};
    struct answer answer;
    struct pack *pack = notify_begin(&answer, &frame, WIRE_NOTIFY_WARNING, 2);

    pack_text_bytes(pack, call->at, call->size);
    pack_text(pack, text);
    return notify_end(&answer, &frame, out);
}

bool answer_notify_change(struct buffer *out, const char *method, uint32_t flags, uint64_t argument,
                          const char *text)
{
    struct buffer frame = {0};
    struct answer answer;
    struct pack *pack = notify_begin(&answer, &frame, method, 3);

    pack_unsigned(pack, flags);
    pack_unsigned(pack, argument);
    pack_text(pack, text);
    return notify_end(&answer, &frame, out);
}
