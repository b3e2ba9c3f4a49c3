/* Connections of libspacebridge. */
#include "spacebridge/spacebridge.h"

#include "base/endpoint.h"
#include "client/call.h"
#include "spacebridge/names.h"
#include "wire/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENT_NAME "libspacebridge"

static HRESULT hello(spacebridge_t *sb, struct spacebridge_hello *hello)
{
    struct link_result result;
    uint64_t pointer_size, processors, page_size;

    memset(hello, 0, sizeof *hello);
    const union call_argument arguments[] = {{.text = CLIENT_NAME},
                                             {.number = WIRE_PROTOCOL_VERSION}};
    HRESULT hr = call_make(sb, WIRE_CALL_Hello, arguments, NULL, &result);
    if (FAILED(hr))
        return hr;
    const struct value *map = &result.values[1];
    struct value big_endian;
    if (!result_text(&result.values[0], hello->server_version, sizeof hello->server_version) ||
        !result_map_text(map, "architecture", hello->architecture, sizeof hello->architecture) ||
        !result_map_text(map, "upstream", hello->upstream, sizeof hello->upstream) ||
        !value_of_key(map, "big_endian", &big_endian) ||
        (big_endian.kind != VALUE_BOOLEAN && big_endian.kind != VALUE_NIL) ||
        !result_map_number(map, "pointer_size", UINT32_MAX, &pointer_size) ||
        !result_map_number(map, "processors", UINT32_MAX, &processors) ||
        !result_map_number(map, "page_size", UINT32_MAX, &page_size))
        return result_nonsense(sb);
    hello->big_endian = big_endian.kind == VALUE_NIL ? -1 : big_endian.boolean;
    hello->pointer_size = (uint32_t)pointer_size;
    hello->processors = (uint32_t)processors;
    hello->page_size = (uint32_t)page_size;
    return hr;
}

/* The endpoint that text, the environment or the default says. */
static bool endpoint_choose(struct endpoint *endpoint, const char *text, char *error)
{
    if (!text)
        text = getenv("SPACEBRIDGE");
    if (text && text[0] != '\0')
        return endpoint_parse(endpoint, text, error);
    return endpoint_default(endpoint, "rpc.sock", error);
}

spacebridge_t *spacebridge_open(const char *endpoint, double timeout, char *error, size_t size)
{
    struct endpoint where;
    char reason[ENDPOINT_ERROR_SIZE + CLIENT_MESSAGE_SIZE], text[ENDPOINT_TEXT_SIZE];
    struct spacebridge_hello greeting;
    spacebridge_t *sb = NULL;
    int fd = -1;

    if (!endpoint_choose(&where, endpoint, reason))
        goto fail;
    /* The longest that both can wait for; nobody lives to see the difference. */
    fd = endpoint_connect(&where, timeout < 0 ? 1e6 : timeout, true, reason);
    if (fd < 0)
        goto fail;
    sb = calloc(1, sizeof *sb);
    if (!sb) {
        snprintf(reason, sizeof reason, "out of memory");
        close(fd);
        goto fail;
    }
    link_init(&sb->link, fd);
    double silence = sb->link.silence;
    sb->link.silence = timeout;
    if (FAILED(hello(sb, &greeting))) {
        snprintf(reason, sizeof reason, "%s: %s", endpoint_format(&where, text), sb->link.message);
        goto fail;
    }
    sb->link.silence = silence;
    return sb;
fail:
    spacebridge_close(sb);
    if (error && size > 0)
        snprintf(error, size, "%s", reason);
    return NULL;
}

void spacebridge_close(spacebridge_t *sb)
{
    if (!sb)
        return;
    link_free(&sb->link);
    free(sb);
}

void spacebridge_set_timeout(spacebridge_t *sb, double timeout)
{
    sb->link.silence = timeout;
}

const char *spacebridge_last_message(const spacebridge_t *sb)
{
    return sb->link.message;
}

const char *spacebridge_last_warning(const spacebridge_t *sb)
{
    return sb->link.warning;
}

int spacebridge_is_lost(const spacebridge_t *sb)
{
    return link_is_lost(&sb->link);
}

const char *spacebridge_hresult_name(HRESULT hr)
{
    const char *name = hresult_name(hr);

    return name ? name : "HRESULT";
}

HRESULT spacebridge_get_hello(spacebridge_t *sb, struct spacebridge_hello *greeting)
{
    return hello(sb, greeting);
}

HRESULT spacebridge_next_notification(spacebridge_t *sb, double timeout,
                                      struct spacebridge_notification *notification)
{
    if (link_notification(&sb->link, timeout, notification))
        return S_OK;
    return link_is_lost(&sb->link) ? E_UNEXPECTED : S_FALSE;
}
