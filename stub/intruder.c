/* The words by which a client that does not speak RSP gives itself away. */
#include "stub/intruder.h"

#include <string.h>
#include <strings.h>

/* Seconds between two lines about attacks. */
#define INTERVAL 60.0

static const char *const words[] = {
    "GET ",   "POST ",  "PUT ",  "HEAD ",   "OPTIONS ", "DELETE ", "CONNECT ", "TRACE ",
    "PATCH ", "PRI * ", "Host:", "Origin:", "Referer:", "Cookie:", "Content-", "User-Agent:"};

bool intruder_http(const uint8_t *bytes, size_t size)
{
    while (size > 0 && (*bytes == '\r' || *bytes == '\n')) {
        bytes++;
        size--;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if (size >= length && strncasecmp((const char *)bytes, words[i], length) == 0)
            return true;
    }
    return false;
}

enum intruder intruder_first(const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return INTRUDER_NONE;
    switch (bytes[0]) {
    case '+':
    case '-':
    case '$':
    case '%':
    case 0x03:
        return INTRUDER_NONE;
    default:
        return intruder_http(bytes, size) ? INTRUDER_HTTP : INTRUDER_STRANGER;
    }
}

bool intruder_tell(struct intruder_log *log, double now, unsigned long *suppressed)
{
    if (log->any && now - log->last < INTERVAL && now >= log->last) {
        log->suppressed++;
        return false;
    }
    *suppressed = log->suppressed;
    log->any = true;
    log->last = now;
    log->suppressed = 0;
    return true;
}
