/* Which way an access of a device takes, by what the stub tells of those that are refused: on stubs
 * as QEMU 7.2, 10.0 and 11.1 have them, and on odd ones. */
#include "upstream/upstream_target.h"

#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "fake_machine.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT 7

static struct ev_loop *loop;
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

static void play(task_fn *script, void (*prepare)(void))
{
    finished = false;
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    loop = ev_loop_new(EVFLAG_AUTO);
    fake_machine_start(&machine, loop);
    /* One space for all, by nature, and no mode to ask for. */
    machine.architecture = "aarch64";
    machine.devices = true;
    struct upstream_config config = {
        .gdb = machine.gdb, .have_qmp = true, .qmp = machine.qmp, .timeout = 5};
    prepare();
    target = upstream_new(loop, &config);
    ck_assert_ptr_nonnull(target);
    fake_machine_serve(&machine);
    ck_assert_ptr_nonnull(task_spawn(loop, "script", run_script, &script));
    ev_run(loop, 0);
    ck_assert(finished);
    ck_assert_uint_eq(machine.bad, 0);
    upstream_free(target);
    ev_loop_destroy(loop);
}

#define SCRIPT(name, prepare)                                                                      \
    static void script_##name(void *arg);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        play(script_##name, prepare);                                                              \
    }                                                                                              \
    END_TEST                                                                                       \
    static void script_##name(void *arg __attribute__((unused)))

/* As 7.2: tells of virtual reads alone. */
static void as_old(void)
{
    machine.quiet_physical = machine.quiet_virtual_writes = true;
}

/* As 10.0: of virtual ones. */
static void as_middle(void)
{
    machine.quiet_physical = true;
}

/* As 11.1: of all. */
static void as_new(void)
{
}

/* Is it told? Everything that was asked for is the device's, at this physical address. */
static bool told(uint64_t physical, const struct target_seen *seen, size_t length, bool write,
                 enum target_error expected)
{
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct target_span span = {.address = physical, .bytes = bytes, .length = length};
    const char *doubt = "unset";
    ck_assert_int_eq(target->memory->access_device(target, CLIENT, seen, &span, 1, write, &doubt),
                     expected);
    ck_assert_int_eq(span.error, expected);
    ck_assert_uint_eq(span.done, expected == TARGET_OK ? length : 0);
    ck_assert_uint_eq(span.address, physical);
    return doubt == NULL;
}

static const struct target_seen device = {.cpu = 0, .address = MACHINE_DEVICE};

SCRIPT(of_all, as_new)
{
    ck_assert(told(MACHINE_DEVICE, NULL, 1, true, TARGET_FAULT));
    ck_assert(told(MACHINE_DEVICE, NULL, 1, false, TARGET_FAULT));
    ck_assert(told(MACHINE_DEVICE, &device, 1, true, TARGET_FAULT));
    ck_assert(told(MACHINE_DEVICE, &device, 4, true, TARGET_OK));
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE, "\1\2\3\4", 4);
    /* Found out once, at the hole, and no virtual write was needed for it. */
    ck_assert_uint_eq(fake_machine_count(&machine, "mf000,1"), 1);
    ck_assert_uint_eq(fake_machine_count(&machine, "Mf000,1:00"), 1);
}

SCRIPT(of_virtual_ones, as_middle)
{
    ck_assert(!told(MACHINE_DEVICE, NULL, 1, true, TARGET_OK));
    ck_assert(!told(MACHINE_DEVICE, NULL, 1, false, TARGET_OK));
    /* A read that was answered was enough: nothing was written. */
    ck_assert_uint_eq(fake_machine_count(&machine, "Mf000,1:00"), 0);
    ck_assert(told(MACHINE_DEVICE, &device, 1, true, TARGET_FAULT));
    ck_assert(told(MACHINE_DEVICE, &device, 1, false, TARGET_FAULT));
    ck_assert(told(MACHINE_DEVICE, &device, 4, true, TARGET_OK));
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE, "\1\2\3\4", 4);
    /* Where nobody sees it the physical way is left, and it is real. */
    ck_assert(!told(MACHINE_DEVICE + 8, NULL, 8, true, TARGET_OK));
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE + 8, "\1\2\3\4\5\6\7\10", 8);
}

SCRIPT(of_virtual_reads, as_old)
{
    ck_assert(told(MACHINE_DEVICE, &device, 1, false, TARGET_FAULT));
    ck_assert(!told(MACHINE_DEVICE, &device, 1, true, TARGET_OK));
    ck_assert(!told(MACHINE_DEVICE, NULL, 1, false, TARGET_OK));
    /* By the physical address, or it would be lost. */
    ck_assert(!told(MACHINE_DEVICE, &device, 4, true, TARGET_OK));
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE, "\1\2\3\4", 4);
    /* Asked once: of reads at a physical address, of both at a virtual one. */
    ck_assert_uint_eq(fake_machine_count(&machine, "mf000,1"), 2);
    ck_assert_uint_eq(fake_machine_count(&machine, "Mf000,1:00"), 1);
}

static void no_hole_seen(void)
{
    as_middle();
    machine.pages[0][15] = MACHINE_UNMAPPED;
}

SCRIPT(without_a_hole_that_is_seen, no_hole_seen)
{
    /* It might be lost by its virtual address: not by that, then. */
    for (int i = 0; i < 20; i++)
        ck_assert(!told(MACHINE_DEVICE, &device, 4, true, TARGET_OK));
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE, "\1\2\3\4", 4);
    ck_assert_uint_eq(fake_machine_count(&machine, "Mf000,1:00"), 0);
    ck_assert(told(MACHINE_DEVICE, &device, 1, false, TARGET_FAULT));
    /* Not looked for for ever: eight times each is asked where it lies. */
    char hole[64] = "qRcmd,";
    for (const char *at = "gva2gpa 0xf000"; *at; at++)
        snprintf(hole + strlen(hole), 3, "%02x", (unsigned char)*at);
    ck_assert_uint_le(fake_machine_count(&machine, hole), 8);
}

static void memory_in_the_hole(void)
{
    as_middle();
    machine.pages[0][15] = 1; /* the map is not to be believed: bytes are there */
}

SCRIPT(a_hole_that_is_none, memory_in_the_hole)
{
    ck_assert(!told(MACHINE_DEVICE, &device, 4, true, TARGET_OK));
    ck_assert_uint_eq(fake_machine_count(&machine, "Mf000,1:00"), 0);
}

/* Page tables of x86-64 at 0x1000: the device at 0x40000000, and behind it a page at the hole. */
static void put_entry(uint64_t table, unsigned index, uint64_t entry)
{
    memcpy(machine.memory + table + 8 * index, &entry, sizeof entry);
}

static void tables(void)
{
    as_middle();
    machine.architecture = "i386:x86-64";
    machine.long_mode = true;
    machine.root = 0x1000;
    put_entry(0x1000, 0, 0x2000 | 1);
    put_entry(0x2000, 1, 0x3000 | 1);
    put_entry(0x3000, 0, 0x4000 | 1);
    put_entry(0x4000, 0, MACHINE_DEVICE | 1);
    put_entry(0x4000, 7, 0x5000 | 1);
    put_entry(0x4000, 8, MACHINE_HOLE | 1);
}

SCRIPT(a_hole_found_in_page_tables, tables)
{
    const struct target_seen seen = {.cpu = 1, .address = 0x40000010};
    ck_assert(told(MACHINE_DEVICE + 0x10, &seen, 1, true, TARGET_FAULT));
    ck_assert(told(MACHINE_DEVICE + 0x10, &seen, 4, true, TARGET_OK));
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE + 0x10, "\1\2\3\4", 4);
    ck_assert_uint_eq(fake_machine_count(&machine, "M40008000,1:00"), 1);
}

static void secret_mode(void)
{
    as_middle();
    machine.architecture = "i386:x86-64"; /* says nothing of system management */
}

SCRIPT(a_processor_that_may_see_another_space, secret_mode)
{
    ck_assert(!told(MACHINE_DEVICE, &device, 1, true, TARGET_OK));
    ck_assert(!told(MACHINE_DEVICE, &device, 1, false, TARGET_OK));
}

SCRIPT(several_accesses_end_where_one_is_refused, as_new)
{
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct target_span spans[] = {
        {.address = MACHINE_DEVICE, .bytes = bytes, .length = 4},
        {.address = MACHINE_DEVICE + 4, .bytes = bytes + 4, .length = 1},
        {.address = MACHINE_DEVICE + 5, .bytes = bytes + 5, .length = 2},
    };
    const char *doubt = "unset";
    ck_assert_int_eq(target->memory->access_device(target, CLIENT, &device, spans, 3, true, &doubt),
                     TARGET_FAULT);
    ck_assert_ptr_null(doubt);
    ck_assert_uint_eq(spans[0].done, 4);
    ck_assert_int_eq(spans[1].error, TARGET_FAULT);
    ck_assert_int_eq(spans[2].error, TARGET_CANCELLED);
    ck_assert_mem_eq(machine.memory + MACHINE_DEVICE, "\1\2\3\4\0\0\0", 7);
}

SCRIPT(nothing_while_it_runs, as_new)
{
    struct failure failure = {0};
    uint8_t byte = 0;
    struct target_span span = {.address = MACHINE_DEVICE, .bytes = &byte, .length = 1};
    const char *doubt = "unset";
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    ck_assert_int_eq(target->memory->access_device(target, CLIENT, &device, &span, 1, true, &doubt),
                     TARGET_RUNNING);
    ck_assert_ptr_null(doubt);
    ck_assert_uint_eq(span.done, 0);
}

static void dies(void)
{
    machine.die_at = "mf000,1";
}

SCRIPT(a_stub_that_is_lost_when_it_is_asked, dies)
{
    uint8_t byte = 0;
    struct target_span span = {.address = MACHINE_DEVICE, .bytes = &byte, .length = 1};
    const char *doubt;
    ck_assert_int_eq(target->memory->access_device(target, CLIENT, &device, &span, 1, true, &doubt),
                     TARGET_GONE);
    ck_assert_uint_eq(span.done, 0);
    machine.die_at = NULL;
}

int main(void)
{
    Suite *suite = suite_create("tells");
    TCase *tcase = tcase_create("tells");
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, of_all);
    tcase_add_test(tcase, of_virtual_ones);
    tcase_add_test(tcase, of_virtual_reads);
    tcase_add_test(tcase, without_a_hole_that_is_seen);
    tcase_add_test(tcase, a_hole_that_is_none);
    tcase_add_test(tcase, a_hole_found_in_page_tables);
    tcase_add_test(tcase, a_processor_that_may_see_another_space);
    tcase_add_test(tcase, several_accesses_end_where_one_is_refused);
    tcase_add_test(tcase, nothing_while_it_runs);
    tcase_add_test(tcase, a_stub_that_is_lost_when_it_is_asked);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
