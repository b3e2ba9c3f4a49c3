/* What it takes to add a way: one of a few lines, put into the table, is taken for its range and
 * counted. */
#include "upstream/upstream_target.h"

#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "fake_machine.h"
#include "upstream/ways/way.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT 7
#define PAGE   UINT64_C(4096)
/* What the way has: one page of RAM, in which every byte is that. */
#define SHELF      UINT64_C(0x3000)
#define SHELF_BYTE 0x5e

/* The way: reads of physical memory that lie in its page. */

static bool shelf_is_open(const struct way *way)
{
    (void)way;
    return true;
}

static bool shelf_wants(const struct way *way, bool write)
{
    return shelf_is_open(way) && !write;
}

static enum target_error shelf_span(struct way *way, target_client client,
                                    const struct target_region *region,
                                    const struct target_span *span, bool write)
{
    if (write || client != CLIENT || region->kind != REGION_RAM ||
        (span->address & TARGET_PAGE_MASK) != SHELF ||
        span->length > TARGET_PAGE_SIZE - (span->address - SHELF))
        return TARGET_UNSUPPORTED;
    memset(span->bytes, SHELF_BYTE, span->length);
    way_count(way, false, span->length);
    return TARGET_OK;
}

static struct way *shelf_make(const struct way_context *context);

static void shelf_free(struct way *way)
{
    free(way);
}

static const struct way_ops shelf = {.name = "shelf",
                                     .make = shelf_make,
                                     .free = shelf_free,
                                     .is_open = shelf_is_open,
                                     .wants_spans = shelf_wants,
                                     .span = shelf_span};

static struct way *shelf_make(const struct way_context *context)
{
    struct way *way = malloc(sizeof *way);
    if (way)
        way_init(way, &shelf, context);
    return way;
}

/* The machine */

static const struct way_ops *const more[] = {&shelf, &shelf, &shelf, &shelf};

static struct fake_machine machine;
static struct target *target;
static bool finished;

static void run_script(void *arg)
{
    task_fn *script = *(task_fn **)arg;
    struct failure failure = {0};
    ck_assert_msg(upstream_attach(target, &failure) == TARGET_OK, "%s", failure.text);
    script(NULL);
    upstream_detach(target);
    fake_machine_stop(&machine);
    finished = true;
}

static struct upstream_config config_with(size_t ways)
{
    return (struct upstream_config){.gdb = machine.gdb,
                                    .have_qmp = true,
                                    .qmp = machine.qmp,
                                    .timeout = 5,
                                    .ways = {.more = more, .more_count = ways}};
}

static void play(task_fn *script)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    finished = false;
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    fake_machine_start(&machine, loop);
    struct upstream_config config = config_with(1);
    target = upstream_new(loop, &config);
    ck_assert_ptr_nonnull(target);
    fake_machine_serve(&machine);
    ck_assert_ptr_nonnull(task_spawn(loop, "script", run_script, &script));
    ev_run(loop, 0);
    ck_assert(finished);
    upstream_free(target);
    ev_loop_destroy(loop);
}

#define SCRIPT(name)                                                                               \
    static void script_##name(void *arg);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        play(script_##name);                                                                       \
    }                                                                                              \
    END_TEST                                                                                       \
    static void script_##name(void *arg __attribute__((unused)))

static struct target_transport transport(const char *name)
{
    struct target_transport ways[TARGET_TRANSPORTS_MOST];
    size_t count = target->about->transports(target, ways, TARGET_TRANSPORTS_MOST);
    for (size_t i = 0; i < count; i++)
        if (strcmp(ways[i].name, name) == 0)
            return ways[i];
    ck_abort_msg("no %s among the transports", name);
    return ways[0];
}

SCRIPT(is_taken_for_its_range)
{
    uint8_t bytes[2][16] = {{0}};
    struct target_span spans[] = {
        {.address = SHELF + 8, .bytes = bytes[0], .length = 16},
        {.address = SHELF + PAGE, .bytes = bytes[1], .length = 16},
    };
    memset(&machine.memory[SHELF + PAGE], 0x77, 16);
    ck_assert_int_eq(target->memory->read_physical(target, CLIENT, TARGET_ACCESS_BULK, spans, 2),
                     TARGET_OK);
    for (unsigned i = 0; i < 16; i++) {
        ck_assert_uint_eq(bytes[0][i], SHELF_BYTE);
        ck_assert_uint_eq(bytes[1][i], 0x77);
    }
    ck_assert_uint_eq(spans[0].done + spans[1].done, 32);
    ck_assert_uint_eq(fake_machine_count(&machine, "m3"), 0);
}

SCRIPT(is_counted)
{
    uint8_t bytes[16] = {0};
    struct target_span span = {.address = SHELF, .bytes = bytes, .length = sizeof bytes};
    uint64_t by_stub = transport("rsp").bytes_read;
    ck_assert_int_eq(target->memory->read_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert(transport("shelf").open);
    ck_assert_uint_eq(transport("shelf").calls, 1);
    ck_assert_uint_eq(transport("shelf").bytes_read, 16);
    ck_assert_uint_eq(transport("rsp").bytes_read, by_stub);
}

SCRIPT(leaves_the_rest)
{
    uint8_t bytes[16];
    struct target_span span = {.address = SHELF, .bytes = bytes, .length = sizeof bytes};
    memset(bytes, 0x11, sizeof bytes);
    uint64_t by_stub = transport("rsp").bytes_written;
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert_uint_eq(machine.memory[SHELF], 0x11);
    ck_assert_uint_eq(transport("rsp").bytes_written, by_stub + 16);
    ck_assert_uint_eq(transport("shelf").calls, 0);
}

SCRIPT(comes_behind_those_that_there_are)
{
    static const char *const names[] = {"rsp",         "monitor",    "qtest",
                                        "memory-file", "direct-ram", "shelf"};
    struct target_transport ways[TARGET_TRANSPORTS_MOST];
    ck_assert_uint_eq(target->about->transports(target, ways, TARGET_TRANSPORTS_MOST), 6);
    for (unsigned i = 0; i < 6; i++)
        ck_assert_str_eq(ways[i].name, names[i]);
}

START_TEST(too_many_are_refused)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    struct upstream_config config = config_with(3);
    target = upstream_new(loop, &config);
    ck_assert_ptr_nonnull(target);
    upstream_free(target);
    config = config_with(4);
    ck_assert_ptr_null(upstream_new(loop, &config));
    ev_loop_destroy(loop);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("way");
    TCase *tcase = tcase_create("added");
    tcase_add_test(tcase, is_taken_for_its_range);
    tcase_add_test(tcase, is_counted);
    tcase_add_test(tcase, leaves_the_rest);
    tcase_add_test(tcase, comes_behind_those_that_there_are);
    tcase_add_test(tcase, too_many_are_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
