/* Hides who is told when all that is known of memory becomes worthless. */
#include "upstream/upstream.h"

#include "upstream/translate/translate.h"

enum target_error upstream_ready(const struct upstream *upstream)
{
    return run_state_attached(&upstream->state) ? TARGET_OK : TARGET_GONE;
}

void upstream_memory_changed(struct upstream *upstream)
{
    translate_all_changed(upstream->translate);
    if (upstream->listener.memory_changed)
        upstream->listener.memory_changed(upstream->listener.context);
}
