/* What dbgeng has no call for: the greeting, the cache, the ways to the target. */
#include "rpc/handler.h"

#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "base/log.h"
#include "space/machine.h"
#include "wire/protocol.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

/* Whoever speaks the first version means other events by the same bits: better none than those. */
static bool take_version(struct running *running, uint64_t version)
{
    static const char old[] =
        "the bits of events are dbgeng's since protocol version 2, others than "
        "in version 1, which this client has greeted with";

    if (version < WIRE_PROTOCOL_OLD_EVENTS || version > WIRE_PROTOCOL_VERSION) {
        snprintf(running->message, sizeof running->message,
                 "Hello: protocol version %" PRIu64 " is not spoken here, only version %d (and %d, "
                 "without events)",
                 version, WIRE_PROTOCOL_VERSION, WIRE_PROTOCOL_OLD_EVENTS);
        return false;
    }
    session_forbid_events(running->session, version == WIRE_PROTOCOL_OLD_EVENTS ? old : NULL);
    if (version == WIRE_PROTOCOL_OLD_EVENTS)
        session_warn(running->session, "SetEventCallbacks will be refused: %s", old);
    return true;
}

HRESULT call_get_hello(struct running *running)
{
    const struct machine_info info = session_machine(running->session);

    if (!take_version(running, running->arguments[1].number))
        return E_INVALIDARG;
    char client[128];
    log_debug("rpc", "%s: this is %s", running->name,
              call_quotable(client, sizeof client, &running->arguments[0].text));
    struct pack *pack = answer_result(&running->answer, S_OK, 2);
    pack_text(pack, PACKAGE_VERSION);
    pack_map(pack, 6);
    pack_text(pack, "architecture");
    pack_text(pack, info.architecture);
    pack_text(pack, "pointer_size");
    pack_unsigned(pack, info.pointer_size);
    pack_text(pack, "big_endian");
    if (info.order_unknown)
        pack_nil(pack);
    else
        pack_boolean(pack, info.big_endian);
    pack_text(pack, "processors");
    pack_unsigned(pack, info.processors);
    pack_text(pack, "page_size");
    pack_unsigned(pack, SPACE_PAGE_SIZE);
    pack_text(pack, "upstream");
    pack_text(pack, info.upstream);
    return S_OK;
}

HRESULT call_flush_cache(struct running *running)
{
    uint64_t flushed = 0;
    HRESULT hr = session_flush(running->session, &flushed);
    return call_result_number(running, hr, flushed);
}

HRESULT call_discard_cache(struct running *running)
{
    uint64_t dropped = 0;
    HRESULT hr = session_discard(running->session, &dropped);
    return call_result_number(running, hr, dropped);
}

HRESULT call_invalidate_cache(struct running *running)
{
    return call_result_nothing(running, session_invalidate(running->session));
}

HRESULT call_get_cache_status(struct running *running)
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
    struct pack *pack = answer_result(&running->answer, hr, 1);
    pack_map(pack, count + 1);
    pack_text(pack, "policy");
    pack_text(pack, cache_policy_text(status.policy));
    for (uint32_t i = 0; i < count; i++) {
        pack_text(pack, numbers[i].name);
        pack_unsigned(pack, numbers[i].number);
    }
    return hr;
}

HRESULT call_get_transport_status(struct running *running)
{
    struct space_transport ways[SPACE_TRANSPORTS_MOST];
    size_t count = session_get_transport_status(running->session, ways, SPACE_TRANSPORTS_MOST);
    struct pack *pack = answer_result(&running->answer, S_OK, 1);

    pack_map(pack, count);
    for (size_t i = 0; i < count; i++) {
        pack_text(pack, ways[i].name);
        pack_map(pack, 5);
        pack_text(pack, "open");
        pack_boolean(pack, ways[i].open);
        pack_text(pack, "calls");
        pack_unsigned(pack, ways[i].calls);
        pack_text(pack, "bytes_read");
        pack_unsigned(pack, ways[i].bytes_read);
        pack_text(pack, "bytes_written");
        pack_unsigned(pack, ways[i].bytes_written);
        pack_text(pack, "note");
        pack_text(pack, ways[i].note);
    }
    return S_OK;
}

HRESULT call_set_cache_policy(struct running *running)
{
    const struct value_bytes *text = &running->arguments[0].text;
    enum cache_policy policy;
    char name[32], quoted[64];

    if (text->size > 0 && text->size < sizeof name) {
        memcpy(name, text->at, text->size);
        name[text->size] = '\0';
        if (cache_policy_parse(&policy, name))
            return call_result_nothing(running, session_set_cache_policy(running->session, policy));
    }
    snprintf(running->message, sizeof running->message,
             "SetCachePolicy: \"%s\" is no policy: write-back, write-through or off",
             call_quotable(quoted, sizeof quoted, text));
    return E_INVALIDARG;
}
