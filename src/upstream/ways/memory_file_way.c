/* Bulk reads through files in memory: what is worth it, and two files in turns. */
#include "upstream/ways/memory_file_way.h"

#include "base/task.h"
#include "upstream/link/qmp.h"
#include "upstream/ways/memory_file.h"

#include <stdlib.h>

/* By measurement, on QEMU 7.2: from here on a read is quicker through a file than by qtest or the
 * stub. */
#define MEMORY_FILE_LEAST ((size_t)64 * 1024)

struct file_way {
    struct way way;
    struct memory_file *file;
};

static struct file_way *of(struct way *way)
{
    return (struct file_way *)way;
}

static struct way *make(const struct way_context *context)
{
    struct file_way *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    way_init(&made->way, &memory_file_way, context);
    made->file = memory_file_new(context->stub);
    if (made->file)
        return &made->way;
    free(made);
    return NULL;
}

static void end(struct way *way)
{
    memory_file_free(of(way)->file);
    free(way);
}

/* May it be used, by the monitor that is there? */
static bool usable(const struct way *way)
{
    const struct qmp *qmp = way->context->stub->monitor.qmp;
    return memory_file_open(((const struct file_way *)way)->file) && qmp && qmp_connected(qmp);
}

static bool is_open(const struct way *way)
{
    const struct stub *stub = way->context->stub;
    return rsp_client_connected(stub->rsp) && stub->qemu && usable(way);
}

static void reset(struct way *way)
{
    memory_file_reset(of(way)->file);
    if (!memory_file_open(of(way)->file))
        way_note(way, "no QEMU of this system at the other end of a unix socket");
}

static bool worth_translating(const struct way *way, size_t count, size_t total, bool write)
{
    (void)count;
    return !write && usable(way) && total >= MEMORY_FILE_LEAST;
}

static bool wants_spans(const struct way *way, bool write)
{
    return !write && usable(way);
}

/* A read through the files. Each file brings every second piece: while we take in the one, QEMU
 * fills the other. */
struct file_read {
    struct file_way *way;
    target_client client;
    uint64_t physical;
    uint8_t *bytes;
    size_t length;
    enum target_error error; /* the first; the others stop */
    unsigned under_way;
    struct task_cond ended;
};

static void read_pieces(struct file_read *all, unsigned which)
{
    for (size_t at = which * MEMORY_FILE_MOST; at < all->length && all->error == TARGET_OK;
         at += MEMORY_FILES * MEMORY_FILE_MOST) {
        size_t piece = all->length - at < MEMORY_FILE_MOST ? all->length - at : MEMORY_FILE_MOST;
        enum target_error error = memory_file_read(all->way->file, which, all->client,
                                                   all->physical + at, all->bytes + at, piece);
        if (error == TARGET_OK)
            way_count(&all->way->way, false, piece);
        else
            all->error = error;
    }
    if (--all->under_way == 0)
        task_cond_broadcast(&all->ended);
}

static void read_second(void *context)
{
    read_pieces(context, 1);
}

static enum target_error span(struct way *way, target_client client,
                              const struct target_region *region, const struct target_span *span,
                              bool write)
{
    struct file_read all = {.way = of(way),
                            .client = client,
                            .physical = span->address,
                            .bytes = span->bytes,
                            .length = span->length,
                            .under_way = MEMORY_FILES};
    if (!wants_spans(way, write) || span->length < MEMORY_FILE_LEAST || region->flash ||
        (region->kind != REGION_RAM && region->kind != REGION_ROM))
        return TARGET_UNSUPPORTED;
    if (span->length <= MEMORY_FILE_MOST ||
        !task_spawn(task_loop(task_self()), "read", read_second, &all))
        read_second(&all);
    read_pieces(&all, 0);
    while (all.under_way > 0)
        task_cond_wait(&all.ended, -1);
    return all.error;
}

const struct way_ops memory_file_way = {.name = "memory-file",
                                        .make = make,
                                        .free = end,
                                        .is_open = is_open,
                                        .reset = reset,
                                        .worth_translating = worth_translating,
                                        .wants_spans = wants_spans,
                                        .span = span};
