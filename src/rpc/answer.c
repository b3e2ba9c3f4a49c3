#include "rpc/answer.h"

#include "wire/message.h"
#include "wire/protocol.h"

#include <string.h>

static int pack_write(void *data, const char *bytes, size_t length)
{
    struct answer *answer = data;

    if (buffer_append(answer->frame, bytes, length))
        return 0;
    answer->no_memory = true;
    return -1;
}

void answer_init(struct answer *answer, struct buffer *frame, uint32_t id)
{
    *answer = (struct answer){.frame = frame, .id = id};
    msgpack_packer_init(&answer->packer, answer, pack_write);
}

void answer_pack_text(msgpack_packer *packer, const char *text)
{
    size_t length = strlen(text);

    msgpack_pack_str(packer, length);
    msgpack_pack_str_body(packer, text, length);
}

static void pack_response(struct answer *answer)
{
    msgpack_pack_array(&answer->packer, 4);
    msgpack_pack_int(&answer->packer, MESSAGE_RESPONSE);
    msgpack_pack_uint32(&answer->packer, answer->id);
    answer->packed = true;
}

msgpack_packer *answer_result(struct answer *answer, HRESULT hr, uint32_t outs)
{
    pack_response(answer);
    msgpack_pack_nil(&answer->packer);
    msgpack_pack_array(&answer->packer, outs + 1);
    msgpack_pack_int32(&answer->packer, hr);
    return &answer->packer;
}

/* A number in the shortest form there is. */
static uint8_t *put_number(uint8_t *at, uint64_t number)
{
    unsigned form = number <= UINT8_MAX    ? 0
                    : number <= UINT16_MAX ? 1
                    : number <= UINT32_MAX ? 2
                                           : 3;
    if (number > 0x7f)
        *at++ = (uint8_t)(0xcc + form); /* uint 8, 16, 32, 64 */
    for (unsigned left = 1u << form; left-- > 0;)
        *at++ = (uint8_t)(number >> 8 * left);
    return at;
}

/* By hand: it is the answer to every write. */
void answer_number(struct answer *answer, HRESULT hr, uint64_t number)
{
    uint8_t *head = buffer_reserve(answer->frame, 2 + 5 + 2 + 5 + 9), *at = head;

    if (!head) {
        answer->no_memory = true;
        return;
    }
    *at++ = 0x94; /* array of 4 */
    *at++ = MESSAGE_RESPONSE;
    at = put_number(at, answer->id);
    *at++ = 0xc0; /* no error */
    *at++ = 0x92; /* array of 2 */
    at = put_number(at, (uint32_t)hr);
    at = put_number(at, number);
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

static void put_u32(uint8_t *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(number >> (24 - 8 * i));
}

void answer_bin(struct answer *answer, HRESULT hr, uint32_t done)
{
    uint8_t *head = buffer_reserve(answer->frame, BIN_HEAD); /* the room that is there already */

    head[0] = 0x94; /* array of 4 */
    head[1] = MESSAGE_RESPONSE;
    head[2] = 0xce; /* uint 32 */
    put_u32(head + 3, answer->id);
    head[7] = 0xc0;                        /* no error */
    head[8] = 0x92;                        /* array of 2 */
    head[9] = hr == S_FALSE ? 0x01 : 0x00; /* the only successes there are */
    head[10] = 0xc6;                       /* bin 32 */
    put_u32(head + 11, done);
    buffer_commit(answer->frame, BIN_HEAD + (size_t)done);
    answer->packed = true;
}

void answer_error(struct answer *answer, HRESULT hr, const char *message)
{
    buffer_clear(answer->frame);
    answer->no_memory = false;
    pack_response(answer);
    msgpack_pack_array(&answer->packer, 2);
    msgpack_pack_int32(&answer->packer, hr);
    answer_pack_text(&answer->packer, message);
    msgpack_pack_nil(&answer->packer);
}

/* Begin a notification of that many params on a frame of its own. */
static msgpack_packer *notify_begin(struct answer *answer, struct buffer *frame, const char *method,
                                    size_t params)
{
    answer_init(answer, frame, 0);
    msgpack_pack_array(&answer->packer, 3);
    msgpack_pack_int(&answer->packer, MESSAGE_NOTIFICATION);
    answer_pack_text(&answer->packer, method);
    msgpack_pack_array(&answer->packer, params);
    return &answer->packer;
}

static bool notify_end(struct answer *answer, struct buffer *frame, struct buffer *out)
{
    bool whole = !answer->no_memory && buffer_append(out, buffer_bytes(frame), frame->length);
    buffer_free(frame);
    return whole;
}

bool answer_notify(struct buffer *out, const char *method, HRESULT hr, const char *message)
{
    struct buffer frame = {0};
    struct answer answer;
    msgpack_packer *packer = notify_begin(&answer, &frame, method, 2);

    msgpack_pack_int32(packer, hr);
    answer_pack_text(packer, message);
    return notify_end(&answer, &frame, out);
}

bool answer_notify_warning(struct buffer *out, const msgpack_object_str *call, const char *text)
{
    struct buffer frame = {0};
    struct answer answer;
    msgpack_packer *packer = notify_begin(&answer, &frame, WIRE_NOTIFY_WARNING, 2);

    msgpack_pack_str(packer, call->size);
    msgpack_pack_str_body(packer, call->ptr, call->size);
    answer_pack_text(packer, text);
    return notify_end(&answer, &frame, out);
}

bool answer_notify_change(struct buffer *out, const char *method, uint32_t flags, uint64_t argument,
                          const char *text)
{
    struct buffer frame = {0};
    struct answer answer;
    msgpack_packer *packer = notify_begin(&answer, &frame, method, 3);

    msgpack_pack_uint32(packer, flags);
    msgpack_pack_uint64(packer, argument);
    answer_pack_text(packer, text);
    return notify_end(&answer, &frame, out);
}
