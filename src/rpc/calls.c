#include "rpc/calls.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "base/log.h"
#include "rpc/answer.h"
#include "rpc/params.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* An HRESULT as it travels: the sign is part of it. */
#define HEX_HRESULT(hr) ((unsigned)(uint32_t)(hr))

/* A request that is being carried out. */
struct running {
    struct session *session;
    const char *name; /* the connection's */
    const char *call;
    union argument arguments[PARAMS_MOST];
    struct answer answer;
    char message[PARAMS_MESSAGE_SIZE]; /* why it failed, where the session was not asked */
};

struct call {
    const char *name;
    HRESULT (*handler)(struct running *);
    unsigned count;
    struct param params[PARAMS_MOST];
};

/* Results */

static HRESULT result_number(struct running *running, HRESULT hr, uint64_t number)
{
    if (SUCCEEDED(hr))
        answer_number(&running->answer, hr, number);
    return hr;
}

static HRESULT result_nothing(struct running *running, HRESULT hr)
{
    if (SUCCEEDED(hr))
        answer_result(&running->answer, hr, 0);
    return hr;
}

static uint8_t *bin_reserve(struct running *running, uint32_t size)
{
    uint8_t *at = answer_bin_reserve(&running->answer, size);

    if (!at)
        snprintf(running->message, sizeof running->message, "%s: no memory for %" PRIu32 " bytes",
                 running->call, size);
    return at;
}

static HRESULT result_bin(struct running *running, HRESULT hr, uint32_t done)
{
    if (SUCCEEDED(hr))
        answer_bin(&running->answer, hr, done);
    return hr;
}

/* A client's own text, cut and made printable, so that an answer that repeats it stays readable to
 * any client. */
static const char *quotable(char *quoted, size_t size, const msgpack_object_str *text)
{
    size_t length = text->size < size ? text->size : size - 1;

    for (size_t i = 0; i < length; i++)
        quoted[i] = text->ptr[i] >= 0x20 && text->ptr[i] < 0x7f ? text->ptr[i] : '?';
    quoted[length] = '\0';
    return quoted;
}

/* Handlers, in the table's order */

static HRESULT do_hello(struct running *running)
{
    const struct target_info *info = session_target_info(running->session);
    static const struct target_info nothing;

    if (running->arguments[1].number != WIRE_PROTOCOL_VERSION) {
        snprintf(running->message, sizeof running->message,
                 "Hello: protocol version %" PRIu64 " is not spoken here, only version %d",
                 running->arguments[1].number, WIRE_PROTOCOL_VERSION);
        return E_INVALIDARG;
    }
    char client[128];
    log_debug("rpc", "%s: this is %s", running->name,
              quotable(client, sizeof client, &running->arguments[0].text));
    if (!info)
        info = &nothing;
    msgpack_packer *packer = answer_result(&running->answer, S_OK, 2);
    answer_pack_text(packer, PACKAGE_VERSION);
    msgpack_pack_map(packer, 6);
    answer_pack_text(packer, "architecture");
    answer_pack_text(packer, info->architecture);
    answer_pack_text(packer, "pointer_size");
    msgpack_pack_unsigned_int(packer, info->pointer_size);
    answer_pack_text(packer, "big_endian");
    if (info->big_endian)
        msgpack_pack_true(packer);
    else
        msgpack_pack_false(packer);
    answer_pack_text(packer, "processors");
    msgpack_pack_unsigned_int(packer, info->processors);
    answer_pack_text(packer, "page_size");
    msgpack_pack_unsigned_int(packer, TARGET_PAGE_SIZE);
    answer_pack_text(packer, "upstream");
    answer_pack_text(packer, info->upstream);
    return S_OK;
}

typedef HRESULT read_fn(struct session *, uint64_t, void *, uint32_t, uint32_t *);
typedef HRESULT write_fn(struct session *, uint64_t, const void *, uint32_t, uint32_t *);

static HRESULT read_virtual(struct running *running, read_fn *read)
{
    uint32_t size = (uint32_t)running->arguments[1].number;
    uint32_t done = 0;
    uint8_t *bytes = bin_reserve(running, size);

    if (!bytes)
        return E_OUTOFMEMORY;
    HRESULT hr = read(running->session, running->arguments[0].number, bytes, size, &done);
    return result_bin(running, hr, done);
}

static HRESULT do_read_virtual(struct running *running)
{
    return read_virtual(running, session_read_virtual);
}

static HRESULT do_read_virtual_uncached(struct running *running)
{
    return read_virtual(running, session_read_virtual_uncached);
}

static HRESULT write_virtual(struct running *running, write_fn *write)
{
    const msgpack_object_bin *bin = &running->arguments[1].bin;
    uint32_t done = 0;

    HRESULT hr = write(running->session, running->arguments[0].number, bin->ptr, bin->size, &done);
    return result_number(running, hr, done);
}

static HRESULT do_write_virtual(struct running *running)
{
    return write_virtual(running, session_write_virtual);
}

static HRESULT do_write_virtual_uncached(struct running *running)
{
    return write_virtual(running, session_write_virtual_uncached);
}

/* count pointers, zero for a read's; NULL with the message set when there is no memory. */
static uint64_t *pointers_new(struct running *running, uint32_t count)
{
    uint64_t *pointers = calloc(count > 0 ? count : 1, sizeof *pointers);

    if (!pointers)
        snprintf(running->message, sizeof running->message,
                 "%s: no memory for %" PRIu32 " pointers", running->call, count);
    return pointers;
}

static HRESULT do_read_pointers_virtual(struct running *running)
{
    uint32_t count = (uint32_t)running->arguments[0].number;
    uint32_t done = 0;
    uint64_t *pointers = pointers_new(running, count);

    if (!pointers)
        return E_OUTOFMEMORY;
    HRESULT hr = session_read_pointers_virtual(running->session, count,
                                               running->arguments[1].number, pointers, &done);
    if (SUCCEEDED(hr)) {
        msgpack_packer *packer = answer_result(&running->answer, hr, 1);
        msgpack_pack_array(packer, count);
        for (uint32_t i = 0; i < count && !running->answer.no_memory; i++)
            msgpack_pack_uint64(packer, pointers[i]);
    }
    free(pointers);
    return hr;
}

static HRESULT do_write_pointers_virtual(struct running *running)
{
    const msgpack_object_array *array = &running->arguments[1].pointers;
    uint32_t done = 0;
    uint64_t *pointers = pointers_new(running, array->size);

    if (!pointers)
        return E_OUTOFMEMORY;
    for (uint32_t i = 0; i < array->size; i++)
        pointers[i] = array->ptr[i].via.u64;
    HRESULT hr = session_write_pointers_virtual(running->session, array->size,
                                                running->arguments[0].number, pointers, &done);
    free(pointers);
    return result_nothing(running, hr);
}

static HRESULT read_physical(struct running *running, uint32_t flags, uint32_t size)
{
    uint32_t done = 0;
    uint8_t *bytes = bin_reserve(running, size);

    if (!bytes)
        return E_OUTOFMEMORY;
    HRESULT hr = session_read_physical(running->session, running->call,
                                       running->arguments[0].number, flags, bytes, size, &done);
    return result_bin(running, hr, done);
}

static HRESULT do_read_physical(struct running *running)
{
    return read_physical(running, DEBUG_PHYSICAL_DEFAULT, (uint32_t)running->arguments[1].number);
}

static HRESULT do_read_physical2(struct running *running)
{
    return read_physical(running, (uint32_t)running->arguments[1].number,
                         (uint32_t)running->arguments[2].number);
}

static HRESULT write_physical(struct running *running, uint32_t flags,
                              const msgpack_object_bin *bin)
{
    uint32_t done = 0;

    HRESULT hr =
        session_write_physical(running->session, running->call, running->arguments[0].number, flags,
                               bin->ptr, bin->size, &done);
    return result_number(running, hr, done);
}

static HRESULT do_write_physical(struct running *running)
{
    return write_physical(running, DEBUG_PHYSICAL_DEFAULT, &running->arguments[1].bin);
}

static HRESULT do_write_physical2(struct running *running)
{
    return write_physical(running, (uint32_t)running->arguments[1].number,
                          &running->arguments[2].bin);
}

typedef HRESULT fill_fn(struct session *, uint64_t, uint32_t, const void *, uint32_t, uint32_t *);

static HRESULT fill(struct running *running, fill_fn *fill_range)
{
    const msgpack_object_bin *pattern = &running->arguments[2].bin;
    uint32_t filled = 0;

    HRESULT hr =
        fill_range(running->session, running->arguments[0].number,
                   (uint32_t)running->arguments[1].number, pattern->ptr, pattern->size, &filled);
    return result_number(running, hr, filled);
}

static HRESULT do_fill_virtual(struct running *running)
{
    return fill(running, session_fill_virtual);
}

static HRESULT do_fill_physical(struct running *running)
{
    return fill(running, session_fill_physical);
}

static HRESULT do_read_io(struct running *running)
{
    const union argument *arguments = running->arguments;
    uint32_t size = (uint32_t)arguments[4].number;
    uint32_t done = 0;
    uint8_t *bytes = bin_reserve(running, size);

    if (!bytes)
        return E_OUTOFMEMORY;
    HRESULT hr = session_read_io(running->session, arguments[0].interface_type,
                                 (uint32_t)arguments[1].number, (uint32_t)arguments[2].number,
                                 arguments[3].number, bytes, size, &done);
    return result_bin(running, hr, done);
}

static HRESULT do_write_io(struct running *running)
{
    const union argument *arguments = running->arguments;
    const msgpack_object_bin *bin = &arguments[4].bin;
    uint32_t done = 0;

    HRESULT hr = session_write_io(running->session, arguments[0].interface_type,
                                  (uint32_t)arguments[1].number, (uint32_t)arguments[2].number,
                                  arguments[3].number, bin->ptr, bin->size, &done);
    return result_number(running, hr, done);
}

static HRESULT do_virtual_to_physical(struct running *running)
{
    uint64_t physical = 0;
    HRESULT hr =
        session_virtual_to_physical(running->session, running->arguments[0].number, &physical);
    return result_number(running, hr, physical);
}

static HRESULT do_get_execution_status(struct running *running)
{
    uint32_t status = 0;
    HRESULT hr = session_get_execution_status(running->session, &status);
    return result_number(running, hr, status);
}

static HRESULT do_set_execution_status(struct running *running)
{
    uint32_t status = (uint32_t)running->arguments[0].number;
    return result_nothing(running, session_set_execution_status(running->session, status));
}

static HRESULT do_set_interrupt(struct running *running)
{
    return result_nothing(running, session_interrupt(running->session));
}

static HRESULT do_wait_for_event(struct running *running)
{
    char text[512] = "";
    HRESULT hr = session_wait_for_event(running->session, (uint32_t)running->arguments[0].number,
                                        text, sizeof text);
    if (SUCCEEDED(hr))
        answer_pack_text(answer_result(&running->answer, hr, 1), hr == S_OK ? text : "");
    return hr;
}

static HRESULT do_get_number_processors(struct running *running)
{
    uint32_t number = 0;
    HRESULT hr = session_get_number_processors(running->session, &number);
    return result_number(running, hr, number);
}

static HRESULT do_get_current_processor(struct running *running)
{
    uint32_t processor = 0;
    HRESULT hr = session_get_current_processor(running->session, &processor);
    return result_number(running, hr, processor);
}

static HRESULT do_set_current_processor(struct running *running)
{
    uint32_t processor = (uint32_t)running->arguments[0].number;
    return result_nothing(running, session_set_current_processor(running->session, processor));
}

static HRESULT do_set_event_callbacks(struct running *running)
{
    uint32_t mask = (uint32_t)running->arguments[0].number;
    return result_nothing(running, session_set_event_mask(running->session, mask));
}

static HRESULT do_flush_cache(struct running *running)
{
    uint64_t flushed = 0;
    HRESULT hr = session_flush(running->session, &flushed);
    return result_number(running, hr, flushed);
}

static HRESULT do_discard_cache(struct running *running)
{
    uint64_t dropped = 0;
    HRESULT hr = session_discard(running->session, &dropped);
    return result_number(running, hr, dropped);
}

static HRESULT do_invalidate_cache(struct running *running)
{
    return result_nothing(running, session_invalidate(running->session));
}

static HRESULT do_get_cache_status(struct running *running)
{
    struct session_cache_status status = {0};
    HRESULT hr = session_get_cache_status(running->session, &status);
    const struct {
        const char *name;
        uint64_t number;
    } numbers[] = {
        {"size", status.size},
        {"used", status.used},
        {"valid_bytes", status.valid_bytes},
        {"dirty_bytes", status.dirty_bytes},
        {"lines", status.lines},
        {"dirty_lines", status.dirty_lines},
        {"hits", status.hits},
        {"misses", status.misses},
        {"flushes", status.flushes},
        {"flushed_bytes", status.flushed_bytes},
        {"lost_bytes", status.lost_bytes},
        {"evictions", status.evictions},
    };
    const uint32_t count = sizeof numbers / sizeof numbers[0];

    if (FAILED(hr))
        return hr;
    msgpack_packer *packer = answer_result(&running->answer, hr, 1);
    msgpack_pack_map(packer, count + 1);
    answer_pack_text(packer, "policy");
    answer_pack_text(packer, cache_policy_text(status.policy));
    for (uint32_t i = 0; i < count; i++) {
        answer_pack_text(packer, numbers[i].name);
        msgpack_pack_uint64(packer, numbers[i].number);
    }
    return hr;
}

static HRESULT do_get_transport_status(struct running *running)
{
    struct target_transport ways[TARGET_TRANSPORTS_MOST];
    size_t count = session_get_transport_status(running->session, ways, TARGET_TRANSPORTS_MOST);
    msgpack_packer *packer = answer_result(&running->answer, S_OK, 1);

    msgpack_pack_map(packer, count);
    for (size_t i = 0; i < count; i++) {
        answer_pack_text(packer, ways[i].name);
        msgpack_pack_map(packer, 5);
        answer_pack_text(packer, "open");
        if (ways[i].open)
            msgpack_pack_true(packer);
        else
            msgpack_pack_false(packer);
        answer_pack_text(packer, "calls");
        msgpack_pack_uint64(packer, ways[i].calls);
        answer_pack_text(packer, "bytes_read");
        msgpack_pack_uint64(packer, ways[i].bytes_read);
        answer_pack_text(packer, "bytes_written");
        msgpack_pack_uint64(packer, ways[i].bytes_written);
        answer_pack_text(packer, "note");
        answer_pack_text(packer, ways[i].note);
    }
    return S_OK;
}

static HRESULT do_set_cache_policy(struct running *running)
{
    const msgpack_object_str *text = &running->arguments[0].text;
    enum cache_policy policy;
    char name[32], quoted[64];

    if (text->size > 0 && text->size < sizeof name) {
        memcpy(name, text->ptr, text->size);
        name[text->size] = '\0';
        if (cache_policy_parse(&policy, name))
            return result_nothing(running, session_set_cache_policy(running->session, policy));
    }
    snprintf(running->message, sizeof running->message,
             "SetCachePolicy: \"%s\" is no policy: write-back, write-through or off",
             quotable(quoted, sizeof quoted, text));
    return E_INVALIDARG;
}

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
    {"Hello", do_hello, 2, {{"ClientName", PARAM_TEXT}, {"ProtocolVersion", PARAM_ULONG64}}},
    {"ReadVirtual", do_read_virtual, 2, {{OFFSET}, {SIZE}}},
    {"ReadVirtualUncached", do_read_virtual_uncached, 2, {{OFFSET}, {SIZE}}},
    {"WriteVirtual", do_write_virtual, 2, {{OFFSET}, {BUFFER}}},
    {"WriteVirtualUncached", do_write_virtual_uncached, 2, {{OFFSET}, {BUFFER}}},
    {"ReadPointersVirtual", do_read_pointers_virtual, 2, {{"Count", PARAM_COUNT}, {OFFSET}}},
    {"WritePointersVirtual", do_write_pointers_virtual, 2, {{OFFSET}, {"Ptrs", PARAM_POINTERS}}},
    {"ReadPhysical", do_read_physical, 2, {{OFFSET}, {SIZE}}},
    {"ReadPhysical2", do_read_physical2, 3, {{OFFSET}, {FLAGS}, {SIZE}}},
    {"WritePhysical", do_write_physical, 2, {{OFFSET}, {BUFFER}}},
    {"WritePhysical2", do_write_physical2, 3, {{OFFSET}, {FLAGS}, {BUFFER}}},
    {"ReadIo", do_read_io, 5, {PORT, {SIZE}}},
    {"WriteIo", do_write_io, 5, {PORT, {BUFFER}}},
    {"FillVirtual",
     do_fill_virtual,
     3,
     {{"Start", PARAM_ULONG64}, {"Size", PARAM_ULONG}, {"Pattern", PARAM_BIN}}},
    {"FillPhysical",
     do_fill_physical,
     3,
     {{"Start", PARAM_ULONG64}, {"Size", PARAM_ULONG}, {"Pattern", PARAM_BIN}}},
    {"VirtualToPhysical", do_virtual_to_physical, 1, {{"Virtual", PARAM_ULONG64}}},
    {"GetExecutionStatus", do_get_execution_status, 0, {{0}}},
    {"SetExecutionStatus", do_set_execution_status, 1, {{"Status", PARAM_ULONG}}},
    {"SetInterrupt", do_set_interrupt, 0, {{0}}},
    {"WaitForEvent", do_wait_for_event, 1, {{"Timeout", PARAM_ULONG}}},
    {"GetNumberProcessors", do_get_number_processors, 0, {{0}}},
    {"GetCurrentProcessor", do_get_current_processor, 0, {{0}}},
    {"SetCurrentProcessor", do_set_current_processor, 1, {{"Processor", PARAM_ULONG}}},
    {"SetEventCallbacks", do_set_event_callbacks, 1, {{"Mask", PARAM_ULONG}}},
    {"FlushCache", do_flush_cache, 0, {{0}}},
    {"DiscardCache", do_discard_cache, 0, {{0}}},
    {"InvalidateCache", do_invalidate_cache, 0, {{0}}},
    {"GetCacheStatus", do_get_cache_status, 0, {{0}}},
    {"GetTransportStatus", do_get_transport_status, 0, {{0}}},
    {"SetCachePolicy", do_set_cache_policy, 1, {{"Policy", PARAM_TEXT}}},
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
                 quotable(quoted, sizeof quoted, &request->method.via.str));
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
                        HRESULT hr, uint64_t number, struct buffer *reply)
{
    struct running running = {.session = session, .name = name, .call = call};

    answer_init(&running.answer, reply, id);
    return finish(&running, result_number(&running, hr, number));
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
