/* What the handlers answer with: hides how a result becomes an answer. */
#include "rpc/handler.h"

#include <inttypes.h>
#include <stdio.h>

HRESULT call_result_number(struct running *running, HRESULT hr, uint64_t number)
{
    if (SUCCEEDED(hr))
        answer_number(&running->answer, hr, number);
    return hr;
}

HRESULT call_result_nothing(struct running *running, HRESULT hr)
{
    if (SUCCEEDED(hr))
        answer_result(&running->answer, hr, 0);
    return hr;
}

uint8_t *call_bin_reserve(struct running *running, uint32_t size)
{
    uint8_t *at = answer_bin_reserve(&running->answer, size);

    if (!at)
        snprintf(running->message, sizeof running->message, "%s: no memory for %" PRIu32 " bytes",
                 running->call, size);
    return at;
}

HRESULT call_result_bin(struct running *running, HRESULT hr, uint32_t done)
{
    if (SUCCEEDED(hr))
        answer_bin(&running->answer, hr, done);
    return hr;
}

const char *call_quotable(char *quoted, size_t size, const struct value_bytes *text)
{
    size_t length = text->size < size ? text->size : size - 1;

    for (size_t i = 0; i < length; i++)
        quoted[i] = text->at[i] >= 0x20 && text->at[i] < 0x7f ? (char)text->at[i] : '?';
    quoted[length] = '\0';
    return quoted;
}
