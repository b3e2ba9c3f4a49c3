/* Which handler carries out a request, and the response that is made of what it says. */
#include "rpc/calls.h"

#include "base/log.h"
#include "rpc/handler.h"

#include <stdio.h>

/* An HRESULT as it travels: the sign is part of it. */
#define HEX_HRESULT(hr) ((unsigned)(uint32_t)(hr))

static call_handler *const handlers[] = {
#define CALL(name, function, ...) [WIRE_CALL_##name] = call_##function,
#include "wire/calls.def"
};

/* WIRE_CALLS: there is no such call. */
static enum wire_call call_find(const struct value *method)
{
    unsigned call = 0;

    while (call < WIRE_CALLS && !value_text_is(method, wire_call_info(call)->name))
        call++;
    return call;
}

static bool arguments_take(enum wire_call call, const struct value *params,
                           union argument *arguments, char *message)
{
    const struct wire_call_info *info = wire_call_info(call);

    return params_check(info->name, info->params, wire_params_count(info->params), params,
                        arguments, message);
}

/* Carrying out */

/* The session's sentence, where it has one. */
static const char *reason(struct running *running, HRESULT hr)
{
    const char *message = session_message(running->session);

    if (running->message[0] != '\0')
        return running->message;
    if (message && message[0] != '\0')
        return message;
    snprintf(running->message, sizeof running->message, "%s: failed with 0x%08x", running->call,
             HEX_HRESULT(hr));
    return running->message;
}

static HRESULT carry_out(struct running *running, const struct message *request)
{
    enum wire_call call = call_find(&request->method);
    char quoted[64];

    if (request->method.kind != VALUE_TEXT) {
        snprintf(running->message, sizeof running->message,
                 "the method's name must be a str, not %s", value_kind_text(&request->method));
        return E_INVALIDARG;
    }
    if (call == WIRE_CALLS) {
        snprintf(running->message, sizeof running->message, "there is no method \"%s\"",
                 call_quotable(quoted, sizeof quoted, &request->method.bytes));
        return E_NOTIMPL;
    }
    running->call = wire_call_info(call)->name;
    if (!arguments_take(call, &request->params, running->arguments, running->message))
        return E_INVALIDARG;
    log_trace("rpc", "%s: %s", running->name, running->call);
    return handlers[call](running);
}

/* Make the response whole. False: no memory even for an error. */
static bool finish(struct running *running, HRESULT hr)
{
    struct answer *answer = &running->answer;

    if (FAILED(hr)) {
        const char *message = reason(running, hr);
        log_debug("rpc", "%s: 0x%08x %s", running->name, HEX_HRESULT(hr), message);
        answer_error(answer, hr, message);
    } else if (answer->pack.no_memory || !answer->packed) {
        answer_error(answer, E_OUTOFMEMORY, "no memory for the answer; the call was carried out");
    }
    if (answer->pack.no_memory)
        buffer_clear(answer->frame);
    return !answer->pack.no_memory;
}

bool call_carry_out(struct session *session, const char *name, const struct message *request,
                    struct buffer *reply)
{
    struct running running = {.session = session, .name = name, .call = "(unknown)"};

    answer_init(&running.answer, reply, request->id);
    return finish(&running, carry_out(&running, request));
}

bool call_answer_number(struct session *session, const char *name, const char *call, uint32_t id,
                        HRESULT hr, const char *message, uint64_t number, struct buffer *reply)
{
    struct running running = {.session = session, .name = name, .call = call};

    snprintf(running.message, sizeof running.message, "%s", message);
    answer_init(&running.answer, reply, id);
    return finish(&running, call_result_number(&running, hr, number));
}

bool call_is(const struct message *request, enum wire_call call, union argument *arguments)
{
    char why[PARAMS_MESSAGE_SIZE];

    return request->type == MESSAGE_REQUEST &&
           value_text_is(&request->method, wire_call_info(call)->name) &&
           arguments_take(call, &request->params, arguments, why);
}

bool call_overtakes(const struct message *request)
{
    return request->type == MESSAGE_REQUEST &&
           value_text_is(&request->method, wire_call_info(WIRE_CALL_SetInterrupt)->name);
}
