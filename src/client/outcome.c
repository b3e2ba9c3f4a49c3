/* Knows the shapes of responses and notifications, and the widths in which the daemon writes. */
#include "client/outcome.h"

#include "base/bytes.h"

#include <string.h>

bool outcome_failure_read(const struct value *object, HRESULT *hr, struct value *text)
{
    struct value number;

    if (object->kind != VALUE_ARRAY || !value_at(object, 0, &number) || !value_at(object, 1, text))
        return false;
    if (number.kind != VALUE_NEGATIVE || number.negative < INT32_MIN || text->kind != VALUE_TEXT)
        return false;
    *hr = (HRESULT)number.negative;
    return true;
}

bool outcome_read(const struct message *response, uint32_t outs, HRESULT *hr,
                  struct link_result *values, struct value *text)
{
    const struct value *result = &response->result;
    struct value_reader reader;
    struct value number;

    if (response->error.kind != VALUE_NIL)
        return outcome_failure_read(&response->error, hr, text);
    text->kind = VALUE_NIL;
    if (result->kind != VALUE_ARRAY || result->list.count < outs + 1)
        return false;
    reader = result->list.first;
    if (!value_read(&reader, &number) || number.kind != VALUE_UNSIGNED || number.number > INT32_MAX)
        return false;
    *hr = (HRESULT)number.number;
    for (values->count = 0; values->count < outs; values->count++)
        if (!value_read(&reader, &values->values[values->count]))
            return false;
    return true;
}

/* What the daemon writes before the bytes of a large bin result: array, response, id, no error,
 * array, HRESULT, bin 32. Anything else goes the ordinary way. */
#define BULK_HEAD 15u

bool outcome_bulk_begins(struct outcome_bulk *bulk, const uint8_t *bytes, size_t length,
                         const struct frame_scanner *scanner)
{
    static const uint8_t before[] = {0x94, MESSAGE_RESPONSE, 0xce}, after[] = {0xc0, 0x92};

    if (length < BULK_HEAD || memcmp(bytes, before, sizeof before) != 0 ||
        memcmp(bytes + 7, after, sizeof after) != 0 || bytes[9] > 0x7f || bytes[10] != 0xc6)
        return false;
    *bulk = (struct outcome_bulk){.id = (uint32_t)bytes_load(bytes + 3, 4, true),
                                  .hr = bytes[9],
                                  .head = BULK_HEAD,
                                  .size = (uint32_t)bytes_load(bytes + 11, 4, true)};
    return scanner->owed == 0 && scanner->scanned + scanner->payload == BULK_HEAD + bulk->size;
}
