/* Which request is which: one table. */
#include "stub/dispatch.h"

#include "base/log.h"
#include "stub/attach.h"
#include "stub/lldb.h"
#include "stub/memory.h"
#include "stub/monitor.h"
#include "stub/passthrough.h"
#include "stub/points.h"
#include "stub/query.h"
#include "stub/registers.h"
#include "stub/report.h"
#include "stub/run.h"
#include "stub/select.h"

#include <string.h>

enum match {
    WHOLE,  /* the word and nothing else */
    PREFIX, /* the word and whatever follows */
};

/* What a request is good for before the target is attached to, and after D. */
enum meaning {
    ABOUT_TARGET, /* attaches a new client; an error after D */
    ABOUT_TALK,   /* about the conversation only: attaches nobody, and is answered after D too */
};

static const struct command {
    const char *word;
    enum match match;
    enum meaning meaning;
    handler_fn *handler;
} commands[] = {
    /* longer words before those that they begin with */
    {"qSupported", PREFIX, ABOUT_TALK, query_do_supported},
    {"QStartNoAckMode", WHOLE, ABOUT_TALK, query_do_no_ack},
    {"vMustReplyEmpty", PREFIX, ABOUT_TALK, query_do_nothing},
    {"!", WHOLE, ABOUT_TALK, query_do_extended},
    {"QThreadSuffixSupported", WHOLE, ABOUT_TALK, lldb_do_suffix},
    {"QListThreadsInStopReply", WHOLE, ABOUT_TALK, lldb_do_list},
    {"QEnableErrorStrings", WHOLE, ABOUT_TALK, lldb_do_errors},
    {"qHostInfo", WHOLE, ABOUT_TALK, lldb_do_host},
    {"qProcessInfo", WHOLE, ABOUT_TALK, lldb_do_process},
    {"qqemu.", PREFIX, ABOUT_TALK, query_do_qemu},
    {"Qqemu.", PREFIX, ABOUT_TALK, query_do_qemu},
    {"k", WHOLE, ABOUT_TALK, attach_do_kill},
    {"vKill", PREFIX, ABOUT_TALK, attach_do_kill_named},
    {"D", PREFIX, ABOUT_TALK, attach_do_detach},
    {"vAttach", PREFIX, ABOUT_TALK, attach_do_attach},

    {"?", WHOLE, ABOUT_TARGET, report_do_status},
    {"vCont?", WHOLE, ABOUT_TARGET, run_do_offer},
    {"vCont;", PREFIX, ABOUT_TARGET, run_do_resume},
    {"vRun", PREFIX, ABOUT_TARGET, run_do_start},
    {"bc", WHOLE, ABOUT_TARGET, run_do_reverse},
    {"bs", WHOLE, ABOUT_TARGET, run_do_reverse},
    {"c", PREFIX, ABOUT_TARGET, run_do_resume},
    {"C", PREFIX, ABOUT_TARGET, run_do_resume},
    {"s", PREFIX, ABOUT_TARGET, run_do_resume},
    {"S", PREFIX, ABOUT_TARGET, run_do_resume},
    {"g", PREFIX, ABOUT_TARGET, registers_do_read_all},
    {"G", PREFIX, ABOUT_TARGET, registers_do_write_all},
    {"p", PREFIX, ABOUT_TARGET, registers_do_read},
    {"P", PREFIX, ABOUT_TARGET, registers_do_write},
    {"m", PREFIX, ABOUT_TARGET, memory_do_read},
    {"x", PREFIX, ABOUT_TARGET, memory_do_read_binary},
    {"M", PREFIX, ABOUT_TARGET, memory_do_write},
    {"X", PREFIX, ABOUT_TARGET, memory_do_write},
    {"Z", PREFIX, ABOUT_TARGET, points_do_insert},
    {"z", PREFIX, ABOUT_TARGET, points_do_remove},
    {"H", PREFIX, ABOUT_TARGET, select_do_select},
    {"T", PREFIX, ABOUT_TARGET, select_do_alive},
    {"qC", WHOLE, ABOUT_TARGET, select_do_current},
    {"qfThreadInfo", WHOLE, ABOUT_TARGET, select_do_first},
    {"qsThreadInfo", WHOLE, ABOUT_TARGET, select_do_next},
    {"qThreadExtraInfo,", PREFIX, ABOUT_TARGET, select_do_extra},
    {"qAttached", PREFIX, ABOUT_TARGET, select_do_attached},
    {"qXfer:", PREFIX, ABOUT_TARGET, query_do_xfer},
    {"qSearch:memory:", PREFIX, ABOUT_TARGET, memory_do_search},
    {"qCRC:", PREFIX, ABOUT_TARGET, memory_do_crc},
    {"qMemoryRegionInfo:", PREFIX, ABOUT_TARGET, lldb_do_region},
    {"qThreadStopInfo", PREFIX, ABOUT_TARGET, lldb_do_stop_info},
    {"jThreadsInfo", WHOLE, ABOUT_TARGET, lldb_do_threads},
    {"qRcmd,", PREFIX, ABOUT_TARGET, monitor_do_command},
};

static const struct command *find(const struct request *request)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (commands[i].match == WHOLE ? request_is(request, commands[i].word)
                                       : request_begins(request, commands[i].word))
            return &commands[i];
    }
    return NULL;
}

static void carry_out(struct client *client, const struct request *request)
{
    const struct command *command = find(request);

    if (command && command->meaning == ABOUT_TALK) {
        command->handler(client, request);
        return;
    }
    if (client->detached) {
        reply_error(client, ERROR_GENERAL, "this client has detached; vAttach attaches it again");
        return;
    }
    client_attach(client);
    if (client->gone)
        return;
    if (command)
        command->handler(client, request);
    else
        passthrough_do(client, request);
}

void dispatch(struct client *client, const void *payload, size_t length)
{
    const struct request request = {.text = payload, .length = length};

    reply_begin(client);
    carry_out(client, &request);
    reply_finish(client);
}
