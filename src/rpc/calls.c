#include "rpc/calls.h"

#include "base/log.h"
#include "rpc/calls_internal.h"

#include <stdio.h>

/* An HRESULT as it travels: the sign is part of it. */
#define HEX_HRESULT(hr) ((unsigned)(uint32_t)(hr))

struct call {
    const char *name;
    call_handler *handler;
    unsigned count;
    struct param params[PARAMS_MOST];
};

#define OFFSET "Offset", PARAM_ULONG64
#define SIZE   "BufferSize", PARAM_SIZE
#define BUFFER "Buffer", PARAM_BIN
#define FLAGS  "Flags", PARAM_ULONG
#define PORT                                                                                       \
    {"InterfaceType", PARAM_INTERFACE}, {"BusNumber", PARAM_ULONG}, {"AddressSpace", PARAM_ULONG}, \
    {                                                                                              \
        OFFSET                                                                                     \
    }

static const struct call calls[] = {
    {"Hello", call_hello, 2, {{"ClientName", PARAM_TEXT}, {"ProtocolVersion", PARAM_ULONG64}}},
    {"ReadVirtual", call_read_virtual, 2, {{OFFSET}, {SIZE}}},
    {"ReadVirtualUncached", call_read_virtual_uncached, 2, {{OFFSET}, {SIZE}}},
    {"WriteVirtual", call_write_virtual, 2, {{OFFSET}, {BUFFER}}},
    {"WriteVirtualUncached", call_write_virtual_uncached, 2, {{OFFSET}, {BUFFER}}},
    {"ReadPointersVirtual", call_read_pointers_virtual, 2, {{"Count", PARAM_COUNT}, {OFFSET}}},
    {"WritePointersVirtual", call_write_pointers_virtual, 2, {{OFFSET}, {"Ptrs", PARAM_POINTERS}}},
    {"ReadPhysical", call_read_physical, 2, {{OFFSET}, {SIZE}}},
    {"ReadPhysical2", call_read_physical2, 3, {{OFFSET}, {FLAGS}, {SIZE}}},
    {"WritePhysical", call_write_physical, 2, {{OFFSET}, {BUFFER}}},
    {"WritePhysical2", call_write_physical2, 3, {{OFFSET}, {FLAGS}, {BUFFER}}},
    {"ReadIo", call_read_io, 5, {PORT, {SIZE}}},
    {"WriteIo", call_write_io, 5, {PORT, {BUFFER}}},
    {"FillVirtual",
     call_fill_virtual,
     3,
     {{"Start", PARAM_ULONG64}, {"Size", PARAM_ULONG}, {"Pattern", PARAM_BIN}}},
    {"FillPhysical",
     call_fill_physical,
     3,
     {{"Start", PARAM_ULONG64}, {"Size", PARAM_ULONG}, {"Pattern", PARAM_BIN}}},
    {"VirtualToPhysical", call_virtual_to_physical, 1, {{"Virtual", PARAM_ULONG64}}},
    {"GetExecutionStatus", call_get_execution_status, 0, {{0}}},
    {"SetExecutionStatus", call_set_execution_status, 1, {{"Status", PARAM_ULONG}}},
    {"SetInterrupt", call_set_interrupt, 0, {{0}}},
    {"WaitForEvent", call_wait_for_event, 1, {{"Timeout", PARAM_ULONG}}},
    {"GetNumberProcessors", call_get_number_processors, 0, {{0}}},
    {"GetCurrentProcessor", call_get_current_processor, 0, {{0}}},
    {"SetCurrentProcessor", call_set_current_processor, 1, {{"Processor", PARAM_ULONG}}},
    {"SetEventCallbacks", call_set_event_callbacks, 1, {{"Mask", PARAM_ULONG}}},
    {"FlushCache", call_flush_cache, 0, {{0}}},
    {"DiscardCache", call_discard_cache, 0, {{0}}},
    {"InvalidateCache", call_invalidate_cache, 0, {{0}}},
    {"GetCacheStatus", call_get_cache_status, 0, {{0}}},
    {"GetTransportStatus", call_get_transport_status, 0, {{0}}},
    {"SetCachePolicy", call_set_cache_policy, 1, {{"Policy", PARAM_TEXT}}},
};

static const struct call *call_find(const msgpack_object *method)
{
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (message_text_is(method, calls[i].name))
            return &calls[i];
    return NULL;
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
    const struct call *call = call_find(&request->method);
    char quoted[64];

    if (request->method.type != MSGPACK_OBJECT_STR) {
        snprintf(running->message, sizeof running->message,
                 "the method's name must be a str, not %s", message_kind(&request->method));
        return E_INVALIDARG;
    }
    if (!call) {
        snprintf(running->message, sizeof running->message, "there is no method \"%s\"",
                 call_quotable(quoted, sizeof quoted, &request->method.via.str));
        return E_NOTIMPL;
    }
    running->call = call->name;
    if (!params_check(call->name, call->params, call->count, &request->params, running->arguments,
                      running->message))
        return E_INVALIDARG;
    log_trace("rpc", "%s: %s", running->name, call->name);
    return call->handler(running);
}

/* Make the response whole. False: no memory even for an error. */
static bool finish(struct running *running, HRESULT hr)
{
    struct answer *answer = &running->answer;

    if (FAILED(hr)) {
        const char *message = reason(running, hr);
        log_debug("rpc", "%s: 0x%08x %s", running->name, HEX_HRESULT(hr), message);
        answer_error(answer, hr, message);
    } else if (answer->no_memory || !answer->packed) {
        answer_error(answer, E_OUTOFMEMORY, "no memory for the answer; the call was carried out");
    }
    if (answer->no_memory)
        buffer_clear(answer->frame);
    return !answer->no_memory;
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

bool call_is(const struct message *request, const char *name, union argument *arguments)
{
    const struct call *call;
    char why[PARAMS_MESSAGE_SIZE];

    return request->type == MESSAGE_REQUEST && message_text_is(&request->method, name) &&
           (call = call_find(&request->method)) != NULL &&
           params_check(name, call->params, call->count, &request->params, arguments, why);
}

bool call_overtakes(const struct message *request)
{
    return request->type == MESSAGE_REQUEST && message_text_is(&request->method, "SetInterrupt");
}
