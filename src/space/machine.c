/* What the target tells of itself, in the words of the fronts. */
#include "space/machine.h"

#include "space/convert.h"
#include "space/core.h"
#include "space/session.h"

#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(((struct space_page *)0)->name) == sizeof(((struct target_region *)0)->name),
               "names are copied whole");
_Static_assert(sizeof(((struct space_transport *)0)->note) ==
                   sizeof(((struct target_transport *)0)->note),
               "notes are copied whole");

struct machine_info session_machine(const struct session *session)
{
    struct target *target = session->space->target;
    const struct target_info *info = target->about->info(target);

    return (struct machine_info){
        .architecture = info->architecture,
        .upstream = info->upstream,
        .pointer_size = info->pointer_size,
        .big_endian = info->big_endian,
        .order_unknown = info->order_unknown,
        .processors = info->processors,
        .physical = info->physical,
        .ports = info->ports,
        .qemu = info->qemu,
        .live_physical = info->live_physical,
        .live_virtual = info->live_virtual,
        .features = info->features,
        .description = info->description,
    };
}

static struct space_page page_of(const struct target_translation *found)
{
    struct space_page page = {.error = space_error_of(found->error)};

    if (found->error)
        return page;
    page.physical = found->physical;
    page.region = space_region_of(found->region.kind);
    snprintf(page.name, sizeof(page.name), "%s", found->region.name);
    return page;
}

HRESULT session_translate(struct session *session, const uint64_t *pages, size_t count,
                          struct space_page *found)
{
    struct target *target = session->space->target;
    struct target_translation *told = calloc(count ? count : 1, sizeof(*told));
    enum target_error error = TARGET_NO_MEMORY;

    session->message[0] = '\0';
    if (told)
        error = target->processors->translate(target, session->client, session->cpu, pages, count,
                                              told);
    for (size_t i = 0; i < count && !error; i++)
        found[i] = page_of(&told[i]);
    free(told);
    if (error)
        return session_fail(session, space_hresult(error, SB_ERROR_READ_FAULT), "Translate: %s",
                            target_error_text(error));
    return S_OK;
}

static enum target_error monitor(struct session *session, unsigned processor, const char *command,
                                 struct buffer *text)
{
    struct target *target = session->space->target;

    if (!target->packets)
        return TARGET_UNSUPPORTED;
    return target->packets->monitor(target, session->client, processor, command, text);
}

HRESULT session_monitor(struct session *session, const char *command, struct buffer *text)
{
    struct target *target = session->space->target;

    session->message[0] = '\0';
    /* The command may look at what this connection has written, or change what it sees. */
    if (target->run->state(target) == TARGET_STATE_HALTED) {
        HRESULT hr = session_flush(session, NULL);
        if (FAILED(hr))
            return hr;
    }
    enum target_error error = monitor(session, session->cpu, command, text);
    if (error)
        return session_fail(session, space_hresult(error, E_FAIL), "monitor: %s",
                            target_error_text(error));
    return S_OK;
}

enum space_error session_ask_monitor(struct session *session, unsigned processor,
                                     const char *command, struct buffer *text)
{
    return space_error_of(monitor(session, processor, command, text));
}

_Static_assert(SPACE_TRANSPORTS_MOST == TARGET_TRANSPORTS_MOST, "every way can be told of");

size_t session_get_transport_status(struct session *session, struct space_transport *ways,
                                    size_t most)
{
    struct target *target = session->space->target;
    struct target_transport told[TARGET_TRANSPORTS_MOST];
    size_t count = 0;

    session->message[0] = '\0';
    if (most > TARGET_TRANSPORTS_MOST)
        most = TARGET_TRANSPORTS_MOST;
    if (target->about->transports)
        count = target->about->transports(target, told, most);
    for (size_t i = 0; i < count; i++) {
        ways[i] = (struct space_transport){.name = told[i].name,
                                           .open = told[i].open,
                                           .calls = told[i].calls,
                                           .bytes_read = told[i].bytes_read,
                                           .bytes_written = told[i].bytes_written};
        snprintf(ways[i].note, sizeof(ways[i].note), "%s", told[i].note);
    }
    return count;
}
