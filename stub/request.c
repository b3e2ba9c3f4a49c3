#include "stub/request.h"

#include "base/hex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool request_begins(const struct request *request, const char *word)
{
    size_t length = strlen(word);
    return request->length >= length && memcmp(request->text, word, length) == 0;
}

bool request_is(const struct request *request, const char *word)
{
    return request->length == strlen(word) && memcmp(request->text, word, request->length) == 0;
}

static const char *end_of(const struct request *request)
{
    return request->text + request->length;
}

static bool take(const char **at, const char *end, char character)
{
    if (*at == end || **at != character)
        return false;
    (*at)++;
    return true;
}

bool request_range(const struct request *request, size_t skip, uint64_t *address, uint64_t *length)
{
    const char *end = end_of(request), *at = request->text + skip;

    return skip <= request->length && hex_number(address, &at, end) && take(&at, end, ',') &&
           hex_number(length, &at, end) && at == end;
}

bool request_write(const struct request *request, struct request_write *write)
{
    const char *end = end_of(request), *at = request->text + 1;

    if (request->length < 1 || !hex_number(&write->address, &at, end) || !take(&at, end, ',') ||
        !hex_number(&write->length, &at, end) || !take(&at, end, ':'))
        return false;
    size_t given = (size_t)(end - at);
    write->data = at;
    if (request->text[0] == 'X')
        return given == write->length;
    if (given % 2 != 0 || given / 2 != write->length)
        return false;
    for (; at < end; at++) {
        if (hex_digit((unsigned char)*at) < 0)
            return false;
    }
    return true;
}

bool request_breakpoint(const struct request *request, struct request_breakpoint *breakpoint)
{
    const char *end = end_of(request), *at = request->text + 1;
    uint64_t type;

    if (request->length < 1 || !hex_number(&type, &at, end) || type > 4 || !take(&at, end, ',') ||
        !hex_number(&breakpoint->address, &at, end) || !take(&at, end, ',') ||
        !hex_number(&breakpoint->kind, &at, end) || (at < end && *at != ';'))
        return false;
    breakpoint->type = (unsigned)type;
    breakpoint->rest = at;
    return true;
}

bool request_thread_suffix(struct request *request, struct thread_id *thread)
{
    static const char word[] = ";thread:";
    const char *end = end_of(request), *suffix = NULL;

    *thread = (struct thread_id){THREAD_ANY, THREAD_ANY};
    for (const char *at = request->text; at < end; at++) {
        if ((size_t)(end - at) >= sizeof word - 1 && memcmp(at, word, sizeof word - 1) == 0) {
            suffix = at;
            break;
        }
    }
    if (!suffix)
        return true;
    const char *at = suffix + sizeof word - 1;
    if (!thread_parse(thread, &at, end))
        return false;
    if (at < end && *at == ';')
        at++;
    request->length = (size_t)(suffix - request->text);
    return at == end;
}

bool request_register(const struct request *request, uint64_t *number)
{
    const char *end = end_of(request), *at = request->text + 1;
    return request->length > 1 && hex_number(number, &at, end) && at == end;
}

bool request_register_write(const struct request *request, uint64_t *number, struct request *value)
{
    const char *end = end_of(request), *at = request->text + 1;

    if (request->length < 1 || !hex_number(number, &at, end) || !take(&at, end, '='))
        return false;
    *value = (struct request){at, (size_t)(end - at)};
    if (value->length < 2 || value->length % 2 != 0)
        return false;
    for (; at < end; at++) {
        if (hex_digit((unsigned char)*at) < 0)
            return false;
    }
    return true;
}

bool request_select(const struct request *request, char *what, struct thread_id *thread)
{
    const char *end = end_of(request), *at = request->text + 2;

    if (request->length < 3 || (request->text[1] != 'g' && request->text[1] != 'c'))
        return false;
    *what = request->text[1];
    return thread_parse(thread, &at, end) && at == end;
}

/* A word up to stop into out; false when it is too long or there is no stop. */
static bool take_word(char *out, size_t size, const char **at, const char *end, char stop)
{
    const char *found = memchr(*at, stop, (size_t)(end - *at));
    if (!found || (size_t)(found - *at) >= size)
        return false;
    size_t length = (size_t)(found - *at);
    if (memchr(*at, '\0', length))
        return false;
    memcpy(out, *at, length);
    out[length] = '\0';
    *at = found + 1;
    return true;
}

bool request_xfer(const struct request *request, struct request_xfer *xfer)
{
    const char *end = end_of(request), *at = request->text + strlen("qXfer:");
    char operation[8];

    return request_begins(request, "qXfer:") &&
           take_word(xfer->object, sizeof xfer->object, &at, end, ':') &&
           take_word(operation, sizeof operation, &at, end, ':') &&
           strcmp(operation, "read") == 0 &&
           take_word(xfer->annex, sizeof xfer->annex, &at, end, ':') &&
           hex_number(&xfer->offset, &at, end) && take(&at, end, ',') &&
           hex_number(&xfer->length, &at, end) && at == end;
}

bool request_search(const struct request *request, struct request_search *search)
{
    const char *end = end_of(request), *at = request->text + strlen("qSearch:memory:");

    if (!request_begins(request, "qSearch:memory:") || !hex_number(&search->address, &at, end) ||
        !take(&at, end, ';') || !hex_number(&search->length, &at, end) || !take(&at, end, ';'))
        return false;
    search->pattern = at;
    search->pattern_length = (size_t)(end - at);
    return search->pattern_length > 0;
}

/* Two hex digits. */
static bool take_signal(struct request_action *action, const char **at, const char *end)
{
    int high, low;
    if (end - *at < 2 || (high = hex_digit((unsigned char)(*at)[0])) < 0 ||
        (low = hex_digit((unsigned char)(*at)[1])) < 0)
        return false;
    action->have_signal = true;
    action->signal = (unsigned)(high * 16 + low);
    *at += 2;
    return true;
}

static bool take_action(struct request_action *action, const char **at, const char *end)
{
    *action = (struct request_action){0};
    if (*at == end)
        return false;
    action->action = *(*at)++;
    switch (action->action) {
    case 'c':
    case 's':
    case 't':
        break;
    case 'C':
    case 'S':
        if (!take_signal(action, at, end))
            return false;
        break;
    case 'r':
        if (!hex_number(&action->first, at, end) || !take(at, end, ',') ||
            !hex_number(&action->last, at, end))
            return false;
        break;
    default:
        return false;
    }
    if (take(at, end, ':')) {
        action->have_thread = true;
        return thread_parse(&action->thread, at, end);
    }
    return true;
}

static bool vcont_parse(const struct request *request, struct request_resume *resume)
{
    const char *end = end_of(request), *at = request->text + strlen("vCont");

    while (at < end) {
        if (resume->count == REQUEST_ACTIONS_MAX || !take(&at, end, ';') ||
            !take_action(&resume->actions[resume->count], &at, end))
            return false;
        resume->count++;
    }
    resume->vcont = true;
    return resume->count > 0;
}

bool request_resume(const struct request *request, struct request_resume *resume)
{
    const char *end = end_of(request), *at = request->text;

    resume->count = 0;
    resume->have_address = resume->vcont = false;
    resume->address = 0;
    if (request_begins(request, "vCont"))
        return vcont_parse(request, resume);
    if (at == end)
        return false;
    struct request_action *action = &resume->actions[0];
    *action = (struct request_action){.action = *at++};
    resume->count = 1;
    switch (action->action) {
    case 'c':
    case 's':
        break;
    case 'C':
    case 'S':
        if (!take_signal(action, &at, end))
            return false;
        if (at == end)
            return true;
        if (!take(&at, end, ';'))
            return false;
        break;
    default:
        return false;
    }
    if (at == end && !action->have_signal)
        return true;
    resume->have_address = true;
    return hex_number(&resume->address, &at, end) && at == end;
}

bool request_number(const char *word, uint64_t *number)
{
    char *end;

    if (word[0] < '0' || word[0] > '9')
        return false;
    bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
    if (hex && hex_digit((unsigned char)word[2]) < 0)
        return false;
    errno = 0;
    *number = strtoull(word, &end, hex ? 16 : 10);
    return errno == 0 && *end == '\0';
}
