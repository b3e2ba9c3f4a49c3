/* Requests that the front need not understand: a gdbserver upstream gets them as they came. QEMU
 * gets none, and has none that is not listed in the table of requests. */
#include "stub/passthrough.h"

#include "space/packets.h"

#include <string.h>

/* What would change the conversation with the upstream for everybody, or is the front's own. */
static bool refused(const struct request *request)
{
    static const char *const words[] = {
        "QNonStop", "QAgent",      "QThreadEvents",
        "QTFrame",  "QTStart",     "QTStop",
        "QTinit",   "QTro",        "QTDP",
        "QTDV",     "vStopped",    "vCtrlC",
        "vRun",     "vAttach",     "vFlash",
        "qqemu",    "Qqemu",       "R",
        "r",        "A",           "B",
        "b",        "d",           "F",
        "i",        "I",           "t",
        "v=",       "QStartNoAck", "qSupported",
        "qRcmd",    "jT",          "QSaveRegisterState",
    };

    if (request->length == 0)
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (request_begins(request, words[i]))
            return true;
    }
    return false;
}

void passthrough_do(struct client *client, const struct request *request)
{
    struct buffer reply = {0};

    if (front_is_qemu(client->front) || refused(request))
        return;
    if (!client_needs_halt(client, "this request"))
        return;
    enum space_error error = session_packet(client->session, client_thread(client, NULL),
                                            request->text, request->length, &reply);
    switch (error) {
    case SPACE_OK:
        reply_bytes(client, buffer_bytes(&reply), reply.length);
        break;
    case SPACE_INVALID: /* nothing that may be passed on: not known */
        break;
    default:
        reply_space_error(client, error, NULL);
    }
    buffer_free(&reply);
}
