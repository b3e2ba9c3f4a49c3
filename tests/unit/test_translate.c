/* Which memory the translations that are kept hang on: the target on a machine with page tables of
 * its own. */
#include "upstream/upstream_target.h"

#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "fake_machine.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT 7
#define PAGE   UINT64_C(4096)
/* The tables; and RAM that holds none. */
#define ROOT      UINT64_C(0x4000)
#define DIRECTORY UINT64_C(0x5000) /* the page directory pointers; then one page directory each */
#define LEVEL_2   UINT64_C(0x6000)
#define PLAIN     UINT64_C(0x1000)
#define GIB       (UINT64_C(1) << 30)
#define MIB       (UINT64_C(1) << 20)
#define PRESENT   1u
#define LARGE     0x81u
/* As many at once as are walked without the stub being asked for each. */
#define PAGES 8u
/* More than this are not kept: of translations, of tables. */
#define ENTRIES_MOST 65536u
#define TABLES_MOST  2048u

static struct {
    struct ev_loop *loop;
    task_fn *script;
    bool finished;
} stage;

static struct fake_machine machine;
static struct target *target;

static void put(uint64_t table, unsigned index, uint64_t entry)
{
    memcpy(&machine.memory[table + 8 * index], &entry, sizeof entry);
}

/* A GiB of large pages, then five of small ones: their tables are in high RAM, and each maps all of
 * its pages to PLAIN. */
static void make_tables(void)
{
    machine.root = ROOT;
    put(ROOT, 0, DIRECTORY | PRESENT);
    for (unsigned i = 0; i < 6; i++)
        put(DIRECTORY, i, (LEVEL_2 + i * PAGE) | PRESENT);
    for (unsigned i = 0; i < 512; i++) {
        put(LEVEL_2, i, (4 * GIB + i * 2 * MIB) | LARGE);
        for (unsigned k = 1; k < 6; k++)
            put(LEVEL_2 + k * PAGE, i, (MACHINE_HIGH + ((k - 1) * 512 + i) * PAGE) | PRESENT);
        put(MACHINE_SHOWN, i, PLAIN | PRESENT);
    }
}

static void run_script(void *arg)
{
    (void)arg;
    struct failure failure = {0};
    ck_assert_msg(upstream_attach(target, &failure) == TARGET_OK, "%s", failure.text);
    stage.script(NULL);
    upstream_detach(target);
    fake_machine_stop(&machine);
    stage.finished = true;
}

static void play(task_fn *script)
{
    memset(&stage, 0, sizeof stage);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    stage.loop = ev_loop_new(EVFLAG_AUTO);
    stage.script = script;
    fake_machine_start(&machine, stage.loop);
    make_tables();
    struct upstream_config config = {
        .gdb = machine.gdb, .have_qmp = true, .qmp = machine.qmp, .timeout = 5};
    target = upstream_new(stage.loop, &config);
    ck_assert_ptr_nonnull(target);
    fake_machine_serve(&machine);
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "script", run_script, NULL));
    ev_run(stage.loop, 0); /* ends when nothing is left to wait for */
    ck_assert(stage.finished);
    ck_assert_uint_eq(task_count(), 0);
    upstream_free(target);
    ev_loop_destroy(stage.loop);
}

#define SCRIPT(name)                                                                               \
    static void script_##name(void *arg);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        play(script_##name);                                                                       \
    }                                                                                              \
    END_TEST                                                                                       \
    static void script_##name(void *arg __attribute__((unused)))

/* PAGES pages from there on, stride apart; the physical address of the first. */
static uint64_t translate(uint64_t address, uint64_t stride)
{
    uint64_t pages[PAGES];
    struct target_translation out[PAGES];

    for (unsigned i = 0; i < PAGES; i++)
        pages[i] = address + i * stride;
    ck_assert_int_eq(target->processors->translate(target, CLIENT, 0, pages, PAGES, out),
                     TARGET_OK);
    for (unsigned i = 0; i < PAGES; i++)
        ck_assert_int_eq(out[i].error, TARGET_OK);
    return out[0].physical;
}

/* Does a write of what is there already count as one to a table? */
static bool write_counts(uint64_t physical)
{
    uint8_t bytes[8];
    uint64_t epoch = target->processors->translation_epoch(target);
    struct target_span span = {.address = physical, .bytes = bytes, .length = sizeof bytes};

    ck_assert_int_eq(target->memory->read_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    return target->processors->translation_epoch(target) != epoch;
}

static unsigned stub_was_asked(void)
{
    return fake_machine_count(&machine, "qRcmd,677661326770612030"); /* gva2gpa 0 */
}

SCRIPT(a_write_to_a_table_counts_and_one_beside_does_not)
{
    ck_assert_uint_eq(translate(5 * MIB, PAGE), 4 * GIB + 5 * MIB);
    ck_assert_uint_eq(translate(GIB, 2 * MIB), PLAIN);
    ck_assert_uint_eq(stub_was_asked(), 1); /* whether our walk is right */
    ck_assert(!write_counts(PLAIN));
    ck_assert(!write_counts(LEVEL_2 + 2 * PAGE)); /* a table that was not used */
    ck_assert(!write_counts(MACHINE_HIGH + PAGES * PAGE));
    ck_assert(write_counts(MACHINE_HIGH + 7 * PAGE));
    ck_assert_uint_eq(translate(5 * MIB, PAGE), 4 * GIB + 5 * MIB);
    ck_assert(!write_counts(MACHINE_HIGH));
    ck_assert(write_counts(LEVEL_2));
    ck_assert(!write_counts(LEVEL_2)); /* nothing is kept that it could be true of */
}

static void translate_meanwhile(void *done)
{
    ck_assert_uint_eq(translate(2 * GIB, PAGE), PLAIN);
    *(bool *)done = true;
}

/* By another way than the stub's queue the write could be done after the table was read and before
 * the answer is here. */
SCRIPT(a_write_to_a_table_that_is_being_read_counts)
{
    uint64_t entry = PLAIN | PRESENT;
    struct target_span span = {.bytes = (uint8_t *)&entry, .length = sizeof entry};
    bool done = false;

    translate(0, PAGE);
    ck_assert(!write_counts(LEVEL_2 + 2 * PAGE));
    uint64_t epoch = target->processors->translation_epoch(target);
    span.address = LEVEL_2 + 2 * PAGE + 511 * 8;
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "translate", translate_meanwhile, &done));
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert(!done);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    while (!done)
        task_sleep(0.001);
    /* It was walked anew, not left to the stub: what it hangs on is known. */
    ck_assert(!write_counts(PLAIN));
}

/* More translations than are kept: what was told of the first of them is believed above still. */
SCRIPT(a_full_cache_of_translations_forgets_what_they_hang_on)
{
    unsigned count = PAGES;

    translate(GIB, PAGE);
    ck_assert(!write_counts(PLAIN));
    uint64_t epoch = target->processors->translation_epoch(target);
    for (; target->processors->translation_epoch(target) == epoch; count += PAGES) {
        ck_assert_uint_le(count, ENTRIES_MOST + PAGES);
        ck_assert_uint_eq(translate(count * PAGE, PAGE), 4 * GIB + count * PAGE);
    }
    ck_assert_uint_gt(count, ENTRIES_MOST);
    ck_assert(write_counts(MACHINE_HIGH));
    /* That write had everything forgotten, and the next is like the first. */
    translate(GIB, PAGE);
    ck_assert(!write_counts(PLAIN));
    ck_assert(write_counts(MACHINE_HIGH));
}

/* The same with more tables than are kept. */
SCRIPT(a_full_cache_of_tables_forgets_which_they_were)
{
    unsigned count = PAGES;

    translate(GIB, 2 * MIB);
    ck_assert(!write_counts(PLAIN));
    uint64_t epoch = target->processors->translation_epoch(target);
    for (; target->processors->translation_epoch(target) == epoch; count += PAGES) {
        ck_assert_uint_le(count, TABLES_MOST);
        ck_assert_uint_eq(translate(GIB + count * 2 * MIB, 2 * MIB), PLAIN);
    }
    ck_assert_uint_gt(count, TABLES_MOST - PAGES - 8);
    ck_assert(write_counts(MACHINE_HIGH));
    translate(GIB, 2 * MIB);
    ck_assert(!write_counts(PLAIN));
}

static uint64_t range_at(uint64_t physical)
{
    struct target_region region;
    ck_assert_int_eq(target->memory->classify(target, CLIENT, physical, &region), TARGET_OK);
    return region.first;
}

static unsigned map_was_asked_of_the_stub(void)
{
    return fake_machine_count(&machine, "qRcmd,696e666f206d74726565"); /* info mtree */
}

/* Each line of it would be a packet of the stub's. */
SCRIPT(a_long_map_is_read_by_qmp_from_the_second_time_on)
{
    struct failure failure = {0};
    uint64_t last = MACHINE_RANGES + 16 * (UINT64_C(3000) - 1);

    machine.ranges = 3000;
    ck_assert_uint_eq(range_at(last + 3), last);
    ck_assert_uint_eq(map_was_asked_of_the_stub(), 1);
    machine.ranges = 2998;
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x80, 1, 0, &failure), TARGET_OK);
    ck_assert_uint_eq(range_at(last + 3), last - 16); /* the hole behind them */
    ck_assert_uint_eq(map_was_asked_of_the_stub(), 1);
    machine.ranges = 0;
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x80, 1, 0, &failure), TARGET_OK);
    range_at(0);
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x80, 1, 0, &failure), TARGET_OK);
    range_at(0);
    ck_assert_uint_eq(map_was_asked_of_the_stub(), 2); /* a short one again by the quicker way */
}

/* A line of QMP has a bound, and one beyond it would cost the target. */
SCRIPT(a_map_too_long_for_qmp_is_left_to_the_stub)
{
    struct failure failure = {0};
    machine.ranges = 40000;
    range_at(0);
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x80, 1, 0, &failure), TARGET_OK);
    range_at(0);
    ck_assert_uint_eq(map_was_asked_of_the_stub(), 2);
}

int main(void)
{
    Suite *suite = suite_create("translate");
    TCase *tcase = tcase_create("tables");

    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_write_to_a_table_counts_and_one_beside_does_not);
    tcase_add_test(tcase, a_write_to_a_table_that_is_being_read_counts);
    tcase_add_test(tcase, a_full_cache_of_translations_forgets_what_they_hang_on);
    tcase_add_test(tcase, a_full_cache_of_tables_forgets_which_they_were);
    tcase_add_test(tcase, a_long_map_is_read_by_qmp_from_the_second_time_on);
    tcase_add_test(tcase, a_map_too_long_for_qmp_is_left_to_the_stub);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
