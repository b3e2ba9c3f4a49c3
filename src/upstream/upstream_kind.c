/* Hides which requests are harmless to any stub. */
#include "upstream/upstream_kind.h"

#include <string.h>

bool upstream_is_command(const char *command, const char *word)
{
    command += strspn(command, " \t");
    size_t length = strcspn(command, " \t");
    return length == strlen(word) && strncmp(command, word, length) == 0;
}

bool upstream_starts_with(const char *payload, size_t length, const char *start)
{
    return length >= strlen(start) && memcmp(payload, start, strlen(start)) == 0;
}

static bool is_whole(const char *payload, size_t length, const char *request)
{
    return length == strlen(request) && memcmp(payload, request, length) == 0;
}

bool upstream_resume_common(const char *features, const char *payload, size_t length)
{
    /* A QEMU that does not record aborts on these. */
    if (is_whole(payload, length, "bc"))
        return strstr(features, "ReverseContinue+") != NULL;
    if (is_whole(payload, length, "bs"))
        return strstr(features, "ReverseStep+") != NULL;
    return upstream_starts_with(payload, length, "vCont;") ||
           (length > 0 && memchr("cCsS", payload[0], 4) != NULL);
}

bool upstream_packet_common(const char *payload, size_t length)
{
    static const char *const refused[] = {"qRcmd",    "qSupported",       "QStartNoAckMode",
                                          "QNonStop", "Qqemu.PhyMemMode", "QThreadSuffixSupported"};
    if (length == 0)
        return false;
    switch (payload[0]) {
    case 'g':
    case 'p':
    case 'P':
    case 'm':
    case 'M':
    case 'X':
    case 'x':
    case 'Z':
    case 'z':
    case 'G':
    case 'T': /* is that thread alive? */
        return true;
    case 'q':
    case 'Q':
        for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
            if (upstream_starts_with(payload, length, refused[i]))
                return false;
        return true;
    case 'v':
        return upstream_starts_with(payload, length, "vFile:") ||
               is_whole(payload, length, "vCont?") || is_whole(payload, length, "vMustReplyEmpty");
    default:
        return false;
    }
}
