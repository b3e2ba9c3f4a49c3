/* Device accesses that nobody tells the outcome of: what the client and the log are told. */
#include "space/doubt.h"

#include "base/log.h"
#include "space/message.h"

#include <inttypes.h>
#include <stdlib.h>

struct doubts {
    struct {
        uint64_t first;
        bool write;
    } said[DOUBTS_MOST];
    unsigned count;
};

struct doubts *doubts_new(void)
{
    return calloc(1, sizeof(struct doubts));
}

void doubts_free(struct doubts *doubts)
{
    free(doubts);
}

/* Once for each region and direction. */
static bool said_before(struct doubts *doubts, uint64_t first, bool write)
{
    for (unsigned i = 0; i < doubts->count; i++)
        if (doubts->said[i].first == first && doubts->said[i].write == write)
            return true;
    if (doubts->count == DOUBTS_MOST)
        return true;
    doubts->said[doubts->count].first = first;
    doubts->said[doubts->count++].write = write;
    return false;
}

void doubt_note(struct session *session, const struct target_region *region, uint64_t physical,
                bool write, const char *why)
{
    const char *name = region->name[0] ? region->name : region_kind_text(region->kind);

    if (!said_before(session->space->doubts, region->first, write))
        log_warning("space",
                    "%s at 0x%" PRIx64 ": %s whether it refuses a %s by its width; said once for "
                    "this region",
                    name, region->first, why, write ? "write" : "read");
    if (write)
        session_warn(session,
                     "%s at physical 0x%" PRIx64 ": %s whether the device took what was written "
                     "(it may refuse that width); the count is of what was sent",
                     name, physical, why);
    else
        session_warn(session,
                     "%s at physical 0x%" PRIx64 ": %s whether the device was read (it may refuse "
                     "that width): zeros may stand for a refusal",
                     name, physical, why);
}
