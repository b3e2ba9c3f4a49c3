/* How the processors see memory: between a caller and what is known of pages stands only whether
 * the target is there, and who may look. */
#include "upstream/upstream_processors.h"

#include "upstream/translate/translate.h"
#include "upstream/upstream.h"
#include "upstream/ways/ways.h"

static enum target_error translate(struct target *target, target_client client, unsigned cpu,
                                   const uint64_t *pages, size_t count,
                                   struct target_translation *out)
{
    struct upstream *upstream = upstream_of(target);
    ways_enter(upstream->ways);
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK)
        error = translate_pages(upstream->translate, client, cpu, pages, count, out);
    ways_leave(upstream->ways);
    return error;
}

static uint64_t translation_epoch(struct target *target)
{
    return translate_epoch(upstream_of(target)->translate);
}

static enum target_error pointer_size(struct target *target, target_client client, unsigned cpu,
                                      unsigned *size)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    return error != TARGET_OK ? error
                              : translate_pointer_size(upstream->translate, client, cpu, size);
}

const struct target_processors upstream_processors = {
    .translate = translate,
    .translation_epoch = translation_epoch,
    .pointer_size = pointer_size,
};
