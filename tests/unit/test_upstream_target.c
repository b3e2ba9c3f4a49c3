/* The real target's functions on a machine that is not one: a stub and a monitor of our own. */
#include "upstream/upstream_target.h"

#include "base/buffer.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/task.h"
#include "fake_machine.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CLIENT 7

static struct stage {
    struct ev_loop *loop;
    struct upstream_config config;
    task_fn *script;
    bool finished;
    /* what the listener was told */
    unsigned changes, memory, lost, flushes;
    enum target_state state;
    char text[256];
    unsigned dirty; /* how often before_resume will say that it wrote */
    bool call_off;
    bool by_daemon; /* nobody's call causes the flush */
} stage;

static struct fake_machine machine;
static struct target *target;

static bool on_before_resume(void *context, target_client client, bool *wrote,
                             struct failure *failure)
{
    (void)context;
    ck_assert_uint_eq(client, stage.by_daemon ? 0 : CLIENT);
    stage.flushes++;
    *wrote = stage.dirty > 0;
    stage.dirty -= stage.dirty > 0;
    if (stage.call_off)
        failure_set(failure, TARGET_FAILED, "cannot be written");
    return !stage.call_off;
}

static void on_state(void *context, enum target_state state, const char *text)
{
    (void)context;
    stage.changes++;
    stage.state = state;
    snprintf(stage.text, sizeof stage.text, "%s", text);
}

static void on_memory(void *context)
{
    (void)context;
    stage.memory++;
}

static void on_lost(void *context, const char *reason)
{
    (void)context;
    stage.lost++;
    ck_assert_int_ne(target->run->state(target),
                     TARGET_STATE_LOST); /* told before the state changes */
    snprintf(stage.text, sizeof stage.text, "%s", reason);
}

static void run_script(void *arg)
{
    (void)arg;
    stage.script(NULL);
    upstream_detach(target);
    fake_machine_stop(&machine);
    stage.finished = true;
}

static void play(task_fn *script, void (*prepare)(void))
{
    memset(&stage, 0, sizeof stage);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    stage.loop = ev_loop_new(EVFLAG_AUTO);
    fake_machine_start(&machine, stage.loop);
    stage.config = (struct upstream_config){
        .gdb = machine.gdb, .have_qmp = true, .qmp = machine.qmp, .timeout = 5};
    if (prepare)
        prepare();
    target = upstream_new(stage.loop, &stage.config);
    ck_assert_ptr_nonnull(target);
    struct target_listener listener = {.before_resume = on_before_resume,
                                       .state_changed = on_state,
                                       .memory_changed = on_memory,
                                       .lost = on_lost};
    target->about->set_listener(target, &listener);
    stage.script = script;
    fake_machine_serve(&machine);
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "script", run_script, NULL));
    ev_run(stage.loop, 0); /* ends when nothing is left to wait for */
    ck_assert(stage.finished);
    ck_assert_uint_eq(task_count(), 0);
    ck_assert_uint_eq(machine.bad, 0); /* not a byte while it ran */
    upstream_free(target);
    ev_loop_destroy(stage.loop);
}

#define SCRIPT(name, prepare)                                                                      \
    static void script_##name(void *arg);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        play(script_##name, prepare);                                                              \
    }                                                                                              \
    END_TEST                                                                                       \
    static void script_##name(void *arg __attribute__((unused)))

static void attach(void)
{
    struct failure failure = {0};
    ck_assert_msg(upstream_attach(target, &failure) == TARGET_OK, "%s", failure.text);
}

static void until(enum target_state state)
{
    while (target->run->state(target) != state)
        task_sleep(0.001);
}

static struct target_span one(uint64_t address, void *bytes, size_t length)
{
    return (struct target_span){
        .address = address, .bytes = bytes, .length = length, .error = TARGET_CANCELLED};
}

static enum target_error translate(unsigned cpu, uint64_t page, struct target_translation *out)
{
    return target->processors->translate(target, CLIENT, cpu, &page, 1, out);
}

/* Attach and detach */

static void plain(void)
{
    machine.qemu = false;
    stage.config.have_qmp = false;
}

static void no_qmp(void)
{
    stage.config.have_qmp = false;
}

SCRIPT(attach_finds_out_what_it_is, NULL)
{
    attach();
    const struct target_info *info = target->about->info(target);
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_HALTED);
    ck_assert_str_eq(info->architecture, "i386:x86-64");
    ck_assert_uint_eq(info->processors, 2);
    ck_assert_uint_eq(info->pointer_size, 8);
    ck_assert(info->physical && info->ports && info->qemu && !info->big_endian);
    ck_assert_ptr_nonnull(strstr(info->upstream, "QEMU 7.2.22 (gdb unix:"));
    /* What a former client may have left is cleared. */
    ck_assert_uint_eq(fake_machine_count(&machine, "?"), 1);
    ck_assert_uint_ge(fake_machine_count(&machine, "Qqemu.PhyMemMode:0"), 1);
    ck_assert_uint_eq(fake_machine_count(&machine, "Qqemu.sstep=7"), 1);
    upstream_detach(target);
    ck_assert(!machine.running);
    ck_assert_uint_eq(fake_machine_count(&machine, "D"), 0);
    ck_assert_uint_eq(fake_machine_count(&machine, "k"), 0);
    ck_assert_uint_eq(fake_machine_count(&machine, "vCont;"), 0);
}

static void big_endian(void)
{
    machine.architecture = "powerpc:common";
}

SCRIPT(attach_to_a_machine_without_ports, big_endian)
{
    unsigned size;
    uint32_t value;
    struct failure failure = {0};
    attach();
    ck_assert(target->about->info(target)->big_endian && !target->about->info(target)->ports);
    ck_assert_int_eq(target->processors->pointer_size(target, CLIENT, 0, &size), TARGET_OK);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(target->ports->in(target, CLIENT, 0x70, 1, &value, &failure),
                     TARGET_UNSUPPORTED);
}

/* So many accesses of ports went by the monitor. */
static uint64_t monitor_calls(void)
{
    struct target_transport ways[TARGET_TRANSPORTS_MOST];
    size_t count = target->about->transports(target, ways, TARGET_TRANSPORTS_MOST);
    for (size_t i = 0; i < count; i++)
        if (strcmp(ways[i].name, "monitor") == 0)
            return ways[i].calls;
    ck_abort_msg("no monitor among the transports");
    return 0;
}

SCRIPT(ports_that_are_not_there_are_not_counted, big_endian)
{
    uint32_t value;
    struct failure failure = {0};
    attach();
    ck_assert_int_eq(target->ports->in(target, CLIENT, 0x70, 1, &value, &failure),
                     TARGET_UNSUPPORTED);
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x70, 1, 1, &failure), TARGET_UNSUPPORTED);
    ck_assert_uint_eq(monitor_calls(), 0);
}

SCRIPT(ports_by_the_monitor_are_counted, NULL)
{
    struct failure failure = {0};
    uint32_t value;
    attach();
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x70, 1, 1, &failure), TARGET_OK);
    ck_assert_int_eq(target->ports->in(target, CLIENT, 0x70, 1, &value, &failure), TARGET_OK);
    ck_assert_uint_eq(monitor_calls(), 2);
}

static void named_by_its_program(void)
{
    machine.architecture = "";
    machine.answer_at = "qGDBServerVersion";
    machine.answer = "name:qemu-system-mipsel;version:11.1.3;";
}

SCRIPT(a_machine_that_its_program_names, named_by_its_program)
{
    unsigned size;
    attach();
    const struct target_info *info = target->about->info(target);
    ck_assert_str_eq(info->architecture, "mipsel");
    ck_assert(!info->big_endian && !info->order_unknown);
    ck_assert_int_eq(target->processors->pointer_size(target, CLIENT, 0, &size), TARGET_OK);
    ck_assert_uint_eq(size, 4);
}

static void named_at_length(void)
{
    machine.architecture = "mips";
    machine.answer_at = "qGDBServerVersion";
    machine.answer = "name:qemu-system-mipselmipselmipselmipselmipselmipselmipselmipselmipselmips;";
}

SCRIPT(a_machine_of_which_nobody_tells_the_byte_order, named_at_length)
{
    attach();
    ck_assert_str_eq(target->about->info(target)->architecture, "mips");
    ck_assert(target->about->info(target)->order_unknown);
}

static void found_running(void)
{
    machine.running = true;
}

SCRIPT(a_running_guest_goes_on_running, found_running)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    ck_assert(machine.running);
    upstream_detach(target);
    ck_assert(machine.running);
}

static void found_running_no_qmp(void)
{
    machine.running = true;
    no_qmp();
}

SCRIPT(a_running_guest_gives_itself_away_without_qmp, found_running_no_qmp)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    target->run->interrupt(target, CLIENT);
    until(TARGET_STATE_HALTED);
    upstream_detach(target);
    task_sleep(0.05); /* the stub has read what was sent before the close */
    ck_assert(machine.running);
}

static void newer_no_qmp(void)
{
    machine.version = "8.1.0 (v8.1.0)";
    machine.silent_stops = true;
    no_qmp();
}

static void newer_running_no_qmp(void)
{
    newer_no_qmp();
    machine.running = true;
}

static void refused(void)
{
    struct failure failure = {0};
    ck_assert_int_eq(upstream_attach(target, &failure), TARGET_FAILED);
    ck_assert_msg(strstr(failure.text, "--found running or --found halted") &&
                      strstr(failure.text, "'cont' in its monitor") &&
                      strstr(failure.text, "QEMU 8.1.0 does not say"),
                  "%s", failure.text);
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_LOST);
    ck_assert(!machine.running); /* as the message says */
}

SCRIPT(nothing_tells_that_it_ran, newer_running_no_qmp)
{
    refused();
}

SCRIPT(nothing_tells_that_it_did_not_run, newer_no_qmp)
{
    refused();
}

static void said_to_run(void)
{
    newer_running_no_qmp();
    stage.config.found = FOUND_RUNNING;
}

SCRIPT(it_is_said_that_it_ran, said_to_run)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    ck_assert(machine.running);
}

static void said_to_be_halted(void)
{
    newer_no_qmp();
    stage.config.found = FOUND_HALTED;
}

SCRIPT(it_is_said_that_it_did_not_run, said_to_be_halted)
{
    struct failure failure = {0};
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_HALTED);
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    upstream_detach(target);
    ck_assert(!machine.running);
}

static void never_ran(void)
{
    newer_no_qmp();
    machine.status = "paused (prelaunch)";
    stage.config.found = FOUND_RUNNING; /* what is found out counts more */
}

SCRIPT(a_guest_that_never_ran, never_ran)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_HALTED);
}

static void at_a_breakpoint(void)
{
    newer_no_qmp();
    machine.status = "paused (debug)";
}

SCRIPT(a_guest_that_stands_at_a_breakpoint, at_a_breakpoint)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_HALTED);
}

SCRIPT(an_older_qemu_would_have_told, no_qmp)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_HALTED);
}

static void found_running_halt(void)
{
    machine.running = true;
    stage.config.attach_halt = true;
}

SCRIPT(attach_halt_halts_and_detach_resumes, found_running_halt)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_HALTED);
    ck_assert(!machine.running);
    upstream_detach(target);
    ck_assert(machine.running);
}

SCRIPT(a_guest_found_halted_is_left_halted, NULL)
{
    struct failure failure = {0};
    attach();
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    ck_assert(machine.running);
    upstream_detach(target);
    ck_assert(!machine.running);
}

static void unreachable(void)
{
    snprintf(stage.config.gdb.path, sizeof stage.config.gdb.path, "%s/nobody", machine.directory);
    no_qmp();
}

SCRIPT(an_unreachable_stub_is_named, unreachable)
{
    struct failure failure = {0};
    ck_assert_int_eq(upstream_attach(target, &failure), TARGET_GONE);
    ck_assert_ptr_nonnull(strstr(failure.text, "nobody"));
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_LOST);
    struct target_translation translation;
    ck_assert_int_eq(translate(0, 0, &translation), TARGET_GONE);
}

static void mute(void)
{
    machine.mute_at = "vCont?";
    machine.running = true;
    stage.config.timeout = 0.1;
}

SCRIPT(a_stub_that_falls_silent_while_attaching, mute)
{
    struct failure failure = {0};
    ck_assert_int_eq(upstream_attach(target, &failure), TARGET_GONE);
    ck_assert_ptr_nonnull(strstr(failure.text, "timed out"));
    ck_assert_uint_eq(stage.lost, 0); /* it never was there */
    ck_assert(machine.running);       /* our connect had halted it */
}

static void no_status(void)
{
    machine.answer_at = "?";
    machine.answer = "W00";
}

SCRIPT(a_process_that_has_ended, no_status)
{
    struct failure failure = {0};
    ck_assert_int_ne(upstream_attach(target, &failure), TARGET_OK);
    ck_assert_ptr_nonnull(strstr(failure.text, "W00"));
}

/* Memory */

SCRIPT(virtual_transfers_in_many_packets, NULL)
{
    uint8_t out[8192], in[8192];
    attach();
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = (uint8_t)(i * 7 + (i >> 8));
    struct target_span writes[] = {one(0x1000, out, 4096), one(0x2ff0, out + 4096, 16),
                                   one(0x3000, out + 4112, 4080)};
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, writes, 3), TARGET_OK);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(writes[i].done, writes[i].length);
        ck_assert_int_eq(writes[i].error, TARGET_OK);
    }
    ck_assert_mem_eq(machine.memory + 0x1000, out, 4096);
    ck_assert_mem_eq(machine.memory + 0x2ff0, out + 4096, 4096);
    struct target_span reads[] = {one(0x1000, in, 4096), one(0x2ff0, in + 4096, 16),
                                  one(0x3000, in + 4112, 4080)};
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, reads, 3), TARGET_OK);
    ck_assert_mem_eq(in, out, sizeof in);
}

SCRIPT(a_hole_between_two_pages, NULL)
{
    uint8_t bytes[3 * 4096];
    memset(bytes, 0x5a, sizeof bytes);
    attach();
    machine.pages[0][2] = MACHINE_UNMAPPED;
    struct target_span spans[] = {one(0x1000, bytes, 4096), one(0x2000, bytes, 4096),
                                  one(0x3000, bytes, 4096)};
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, spans, 3), TARGET_FAULT);
    ck_assert_uint_eq(spans[0].done, 4096);
    ck_assert_uint_eq(spans[1].done, 0);
    ck_assert_int_eq(spans[1].error, TARGET_FAULT);
    ck_assert_uint_eq(spans[2].done, 4096); /* runs are independent */
    ck_assert_int_eq(spans[2].error, TARGET_OK);
}

SCRIPT(each_processor_has_its_own_pages, NULL)
{
    uint8_t byte = 1;
    struct target_translation translation;
    attach();
    machine.pages[0][4] = 5;
    machine.pages[1][4] = 6;
    struct target_span span = one(0x4010, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 1, &span, 1), TARGET_OK);
    ck_assert_uint_eq(machine.memory[0x6010], 1);
    byte = 2;
    span = one(0x4010, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_uint_eq(machine.memory[0x5010], 2);
    ck_assert_int_eq(translate(1, 0x4000, &translation), TARGET_OK);
    ck_assert_uint_eq(translation.physical, 0x6000);
    ck_assert_int_eq(translate(0, 0x4000, &translation), TARGET_OK);
    ck_assert_uint_eq(translation.physical, 0x5000);
    ck_assert_int_eq(translate(2, 0x4000, &translation), TARGET_INVALID);
    span = one(0x4010, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 2, &span, 1), TARGET_INVALID);
    ck_assert_uint_eq(span.done, 0);
}

SCRIPT(physical_and_virtual_do_not_mix, NULL)
{
    uint8_t byte = 0x11;
    attach();
    machine.pages[0][1] = 9;
    struct target_span span = one(0x1000, &byte, 1);
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    byte = 0x22;
    span = one(0x1000, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_uint_eq(machine.memory[0x1000], 0x11);
    ck_assert_uint_eq(machine.memory[0x9000], 0x22);
    span = one(0x1000, &byte, 1);
    ck_assert_int_eq(target->memory->read_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert_uint_eq(byte, 0x11);
    upstream_detach(target);
    ck_assert(!machine.physical);
}

SCRIPT(natural_accesses_one_by_one, NULL)
{
    uint8_t bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8};
    attach();
    unsigned before = fake_machine_count(&machine, "Me");
    struct target_span spans[] = {one(0xe000, bytes, 4), one(0xe004, bytes + 4, 2),
                                  one(0xe006, bytes + 6, 1)};
    ck_assert_int_eq(
        target->memory->write_physical(target, CLIENT, TARGET_ACCESS_NATURAL, spans, 3), TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, "Me") - before, 3);
    ck_assert_uint_eq(fake_machine_count(&machine, "Me000,4:01020304"), 1);
    /* What comes after a failure is not sent. */
    machine.answer_at = "Me004";
    machine.answer = "E14";
    ck_assert_int_eq(
        target->memory->write_physical(target, CLIENT, TARGET_ACCESS_NATURAL, spans, 3),
        TARGET_FAULT);
    ck_assert_uint_eq(spans[0].done, 4);
    ck_assert_int_eq(spans[1].error, TARGET_FAULT);
    ck_assert_int_eq(spans[2].error, TARGET_CANCELLED);
    ck_assert_uint_eq(fake_machine_count(&machine, "Me006"), 1);
}

static void short_reads(void)
{
    machine.read_most = 100;
}

SCRIPT(a_stub_that_answers_less_than_was_asked, short_reads)
{
    uint8_t in[2 * 4096];
    attach();
    for (size_t i = 0; i < sizeof in; i++)
        machine.memory[0x1000 + i] = (uint8_t)(i * 13 + (i >> 8));
    machine.pages[0][3] = MACHINE_UNMAPPED;
    struct target_span spans[] = {one(0x1000, in, 4096), one(0x2000, in + 4096, 4096),
                                  one(0x3000, in, 8)};
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, spans, 3), TARGET_FAULT);
    ck_assert_uint_eq(spans[0].done, 4096);
    ck_assert_uint_eq(spans[1].done, 4096);
    ck_assert_mem_eq(in, machine.memory + 0x1000, sizeof in);
    ck_assert_uint_eq(spans[2].done, 0);
}

static void wrong_reads(void)
{
    machine.answer_at = "m5000";
    machine.answer = "0011223344";
}

SCRIPT(a_stub_that_answers_more_than_was_asked, wrong_reads)
{
    uint8_t in[4];
    attach();
    struct target_span span = one(0x5000, in, 4);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_GONE);
    ck_assert_uint_eq(span.done, 0);
    until(TARGET_STATE_LOST);
    ck_assert_uint_eq(stage.lost, 1);
}

static void odd_writes(void)
{
    machine.answer_at = "M5000";
    machine.answer = "OK!";
}

SCRIPT(a_stub_that_answers_a_write_with_nonsense, odd_writes)
{
    uint8_t byte = 1;
    attach();
    struct target_span span = one(0x5000, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_GONE);
    ck_assert_uint_eq(span.done, 0);
    until(TARGET_STATE_LOST);
}

static void dies(void)
{
    machine.die_at = "M2000";
    stage.config.pipeline = 1;
}

SCRIPT(death_in_the_middle_of_a_write, dies)
{
    uint8_t bytes[8192];
    memset(bytes, 0x33, sizeof bytes);
    attach();
    struct target_span spans[] = {one(0x1000, bytes, 4096), one(0x2000, bytes, 4096)};
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, spans, 2), TARGET_GONE);
    ck_assert_uint_eq(spans[0].done, 4096);
    ck_assert_uint_eq(spans[1].done, 0);
    until(TARGET_STATE_LOST);
    ck_assert_uint_eq(stage.lost, 1);
    ck_assert_int_eq(stage.state, TARGET_STATE_LOST);
}

static void binary(void)
{
    plain();
    machine.binary = true;
}

SCRIPT(a_plain_stub_with_binary_writes, binary)
{
    uint8_t bytes[4096], in[4096];
    struct target_translation translation;
    struct target_region region;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)("$#}*a\0z\xff"[i % 8]);
    attach();
    ck_assert(!target->about->info(target)->physical && !target->about->info(target)->ports);
    struct target_span span = one(0x1000, bytes, sizeof bytes);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_mem_eq(machine.memory + 0x1000, bytes, sizeof bytes);
    ck_assert_uint_eq(fake_machine_count(&machine, "M"), 0);
    span = one(0x1000, in, sizeof in);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_mem_eq(in, bytes, sizeof in);
    span = one(0x1000, in, 1);
    ck_assert_int_eq(target->memory->read_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_UNSUPPORTED);
    ck_assert_int_eq(target->memory->classify(target, CLIENT, 0, &region), TARGET_UNSUPPORTED);
    ck_assert_ptr_null(target->ports);
    /* A page is there when it can be read; its own physical address. */
    machine.pages[0][7] = MACHINE_UNMAPPED;
    ck_assert_int_eq(translate(0, 0x6000, &translation), TARGET_OK);
    ck_assert_int_eq(translation.error, TARGET_OK);
    ck_assert_uint_eq(translation.physical, 0x6000);
    ck_assert_int_eq(translation.region.kind, REGION_RAM);
    ck_assert_int_eq(translate(0, 0x7000, &translation), TARGET_OK);
    ck_assert_int_eq(translation.error, TARGET_FAULT);
    ck_assert_uint_eq(fake_machine_count(&machine, "H"), 0); /* threads share their memory */
}

/* Translation */

#define GVA2GPA "qRcmd,677661"

SCRIPT(translations_are_kept_as_long_as_they_hold, NULL)
{
    struct target_translation out[3];
    const uint64_t pages[] = {0x1000, 0xd000, 0xf000};
    struct failure failure = {0};
    uint8_t byte = 0;
    attach();
    machine.pages[0][1] = 0xe;
    ck_assert_int_eq(target->processors->translate(target, CLIENT, 0, pages, 3, out), TARGET_OK);
    ck_assert_int_eq(out[0].region.kind, REGION_DEVICE);
    ck_assert_uint_eq(out[0].physical, 0xe000);
    ck_assert_int_eq(out[1].region.kind, REGION_ROM);
    ck_assert_int_eq(out[2].region.kind, REGION_NONE);
    unsigned asked = fake_machine_count(&machine, GVA2GPA);
    ck_assert_uint_eq(asked, 3);
    uint64_t epoch = target->processors->translation_epoch(target);
    struct target_span span = one(0x1000, &byte, 1);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_int_eq(target->processors->translate(target, CLIENT, 0, pages, 3, out), TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, GVA2GPA), asked);
    ck_assert_uint_eq(target->processors->translation_epoch(target), epoch);
    /* Any write may have hit a page table. */
    machine.pages[0][1] = 3;
    span = one(0x2000, &byte, 1);
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    ck_assert_int_eq(target->processors->translate(target, CLIENT, 0, pages, 1, out), TARGET_OK);
    ck_assert_uint_eq(out[0].physical, 0x3000);
    epoch = target->processors->translation_epoch(target);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    epoch = target->processors->translation_epoch(target);
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x80, 1, 1, &failure), TARGET_OK);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    epoch = target->processors->translation_epoch(target);
    struct buffer reply = {0};
    ck_assert_int_eq(target->packets->packet_thread(target, CLIENT, 1, "P1d=00", 6, &reply),
                     TARGET_OK);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    buffer_free(&reply);
}

#define INFO_MTREE "qRcmd,696e666f206d74726565"
#define INFO_PCI   "qRcmd,696e666f20706369"
#define GPA2HVA    "qRcmd,67706132687661"

/* The same text is the same map: its BARs and its memory are not asked for again, its buses are. */
SCRIPT(a_map_that_reads_as_before_is_kept, no_qmp)
{
    struct failure failure = {0};
    struct target_region region;
    char message[64];
    bool present = true;
    attach();
    ck_assert_int_eq(target->memory->classify(target, CLIENT, 0x2000, &region), TARGET_OK);
    ck_assert_int_eq(region.kind, REGION_RAM);
    unsigned pci = fake_machine_count(&machine, INFO_PCI);
    unsigned tree = fake_machine_count(&machine, INFO_MTREE);
    unsigned checked = fake_machine_count(&machine, GPA2HVA);
    ck_assert_uint_gt(checked, 0);
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x80, 1, 1, &failure), TARGET_OK);
    ck_assert_int_eq(target->memory->classify(target, CLIENT, 0x2000, &region), TARGET_OK);
    ck_assert_int_eq(region.kind, REGION_RAM);
    ck_assert_uint_eq(fake_machine_count(&machine, INFO_MTREE), tree + 1);
    ck_assert_uint_eq(fake_machine_count(&machine, INFO_PCI), pci);
    ck_assert_int_eq(target->ports->has_pci_bus(target, CLIENT, 3, &present), TARGET_OK);
    ck_assert(!present);
    ck_assert_uint_eq(fake_machine_count(&machine, INFO_PCI), pci + 1);
    ck_assert_int_eq(target->ports->has_pci_bus(target, CLIENT, 3, &present), TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, INFO_PCI), pci + 1);
    ck_assert_uint_eq(fake_machine_count(&machine, GPA2HVA), checked);
    /* What has run may be another machine, with the same memory. */
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_STEP, 0, &failure),
                     TARGET_OK);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, &(bool){false}, message, sizeof message),
                     TARGET_OK);
    ck_assert_int_eq(target->memory->classify(target, CLIENT, 0x2000, &region), TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, INFO_PCI), pci + 2);
    ck_assert_uint_eq(fake_machine_count(&machine, GPA2HVA), checked);
}

static void one_at_a_time(void)
{
    stage.config.pipeline = 1;
}

static void ask_meanwhile(void *answered)
{
    struct target_translation out;
    ck_assert_int_eq(translate(0, 0x1000, &out), TARGET_OK);
    *(bool *)answered = true;
}

/* By another way than the stub's queue the write could be done between question and answer. */
SCRIPT(what_was_asked_before_a_write_ended_is_asked_again, one_at_a_time)
{
    struct target_translation out;
    uint8_t byte = 0;
    bool answered = false;
    attach();
    uint64_t epoch = target->processors->translation_epoch(target);
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "asks", ask_meanwhile, &answered));
    struct target_span span = one(0x2000, &byte, 1);
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_OK);
    ck_assert(!answered);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    while (!answered)
        task_sleep(0.001);
    unsigned asked = fake_machine_count(&machine, GVA2GPA);
    ck_assert_uint_eq(asked, 1);
    ck_assert_int_eq(translate(0, 0x1000, &out), TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, GVA2GPA), asked + 1);
}

static void narrow(void)
{
    machine.long_mode = false;
}

SCRIPT(a_32_bit_processor_has_32_bit_addresses, narrow)
{
    struct target_translation translation;
    uint8_t byte = 0x77;
    attach();
    ck_assert_uint_eq(target->about->info(target)->pointer_size, 4);
    ck_assert_int_eq(translate(0, 0x100001000, &translation), TARGET_OK);
    ck_assert_int_eq(translation.error, TARGET_FAULT);
    struct target_span span = one(0x100001000, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_FAULT);
    ck_assert_uint_eq(machine.memory[0x1000], 0);
    /* dbgeng's way to write 0xfffff000. */
    ck_assert_int_eq(translate(0, 0xfffffffffffff000, &translation), TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, "qRcmd,6776613267706120307866666666663030"
                                                   "30"),
                      1); /* gva2gpa 0xfffff000 */
}

SCRIPT(while_it_runs_the_monitor_translates_and_nothing_is_kept, NULL)
{
    struct failure failure = {0};
    struct target_translation translation;
    uint8_t byte;
    attach();
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    machine.pages[1][1] = 5;
    ck_assert_int_eq(translate(1, 0x1000, &translation), TARGET_OK);
    ck_assert_uint_eq(translation.physical, 0x5000);
    machine.pages[1][1] = 6;
    ck_assert_int_eq(translate(1, 0x1000, &translation), TARGET_OK);
    ck_assert_uint_eq(translation.physical, 0x6000);
    uint64_t epoch = target->processors->translation_epoch(target);
    ck_assert_uint_ne(target->processors->translation_epoch(target), epoch);
    /* Memory needs the stub. */
    struct target_span span = one(0x1000, &byte, 1);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_RUNNING);
    ck_assert_int_eq(span.error, TARGET_RUNNING);
    ck_assert_int_eq(target->memory->write_physical(target, CLIENT, TARGET_ACCESS_BULK, &span, 1),
                     TARGET_RUNNING);
}

SCRIPT(without_qmp_nothing_works_while_it_runs, no_qmp)
{
    struct failure failure = {0};
    struct target_translation translation;
    uint32_t value;
    attach();
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    ck_assert_int_eq(translate(0, 0x1000, &translation), TARGET_RUNNING);
    ck_assert_int_eq(target->ports->in(target, CLIENT, 0x70, 1, &value, &failure), TARGET_RUNNING);
}

/* Ports */

SCRIPT(ports_by_one_command_each, NULL)
{
    struct failure failure = {0};
    uint32_t value = 0;
    attach();
    unsigned before = machine.logged;
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x70, 1, 0x5a, &failure), TARGET_OK);
    ck_assert_int_eq(target->ports->in(target, CLIENT, 0x70, 1, &value, &failure), TARGET_OK);
    ck_assert_uint_eq(value, 0x5a);
    ck_assert_uint_eq(machine.logged - before, 2);
    machine.port_error = "'o' has failed: nonsense";
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x70, 1, 1, &failure), TARGET_FAILED);
    ck_assert_str_eq(failure.text, "'o' has failed: nonsense");
    machine.port_error = NULL;
    /* Through QMP while it runs. */
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    ck_assert_int_eq(target->ports->out(target, CLIENT, 0x71, 1, 3, &failure), TARGET_OK);
    ck_assert_uint_eq(machine.port[0x71], 3);
}

/* Run control */

SCRIPT(views_are_flushed_until_nothing_is_dirty, NULL)
{
    struct failure failure = {0};
    char message[64];
    attach();
    stage.dirty = 3;
    unsigned memory = stage.memory;
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_STEP, 1, &failure),
                     TARGET_OK);
    ck_assert_uint_eq(stage.flushes, 4);
    ck_assert_uint_gt(stage.memory, memory);
    ck_assert_uint_eq(fake_machine_count(&machine, "Hc2"), 1);
    ck_assert_uint_eq(fake_machine_count(&machine, "vCont;s:2"), 1);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                     TARGET_OK);
    stage.call_off = true;
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure),
                     TARGET_FAILED);
    ck_assert_str_eq(failure.text, "cannot be written");
    ck_assert(!machine.running);
    stage.call_off = false;
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_STEP, 2, &failure),
                     TARGET_INVALID);
}

SCRIPT(an_interrupt_at_once_after_a_resume, NULL)
{
    struct failure failure = {0};
    char message[128];
    attach();
    ck_assert_int_eq(target->run->interrupt(target, CLIENT), TARGET_OK); /* halted already */
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure),
                     TARGET_RUNNING);
    ck_assert_int_eq(target->run->interrupt(target, CLIENT), TARGET_OK);
    ck_assert_int_eq(target->run->interrupt(target, CLIENT), TARGET_OK);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                     TARGET_OK);
    ck_assert_ptr_nonnull(strstr(message, "interrupt on processor 0"));
    ck_assert_str_eq(target->run->stop_reply(target), "T02thread:01;");
}

static bool cancel;

static void cancel_soon(void *arg)
{
    (void)arg;
    cancel = true;
    target->run->wait_cancel(target);
}

SCRIPT(waiting_ends_when_it_is_called_off, NULL)
{
    struct failure failure = {0};
    char message[64];
    attach();
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 0.01, NULL, message, sizeof message),
                     TARGET_RUNNING);
    cancel = false;
    task_spawn(stage.loop, "cancel", cancel_soon, NULL);
    ck_assert_int_eq(target->run->wait(target, CLIENT, -1, &cancel, message, sizeof message),
                     TARGET_CANCELLED);
}

static struct {
    uint8_t bytes[13 * TARGET_PAGE_SIZE];
    enum target_error read, resumed;
    unsigned finished;
} busy;

static void read_for_long(void *arg)
{
    (void)arg;
    struct target_span span = one(0, busy.bytes, sizeof busy.bytes);
    busy.read = target->memory->read_virtual(target, CLIENT + 1, 0, &span, 1);
    busy.finished++;
}

static void resume_behind(void *arg)
{
    (void)arg;
    struct failure failure = {0};
    busy.resumed = target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure);
    busy.finished++;
}

/* Nothing is left to be written when a resume is asked for: whoever wrote now would be too late,
 * though the stub has not heard of it yet. */
SCRIPT(it_runs_from_the_moment_that_it_is_to, NULL)
{
    char text[256];
    attach();
    memset(&busy, 0, sizeof busy);
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "reader", read_for_long, NULL));
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "resumer", resume_behind, NULL));
    task_yield();
    ck_assert(!machine.running);
    ck_assert_uint_eq(fake_machine_count(&machine, "vCont;"), 0);
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 0, NULL, text, sizeof text), TARGET_RUNNING);
    /* and so it can be interrupted */
    ck_assert_int_eq(target->run->interrupt(target, CLIENT), TARGET_OK);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 30, NULL, text, sizeof text), TARGET_OK);
    ck_assert_ptr_nonnull(strstr(text, "interrupt"));
    while (busy.finished < 2)
        task_sleep(0.001);
    ck_assert_int_eq(busy.resumed, TARGET_OK);
    ck_assert_uint_eq(fake_machine_count(&machine, "vCont;"), 1);
    ck_assert(!machine.running);
}

SCRIPT(others_halt_and_resume_it, NULL)
{
    struct failure failure = {0};
    uint8_t byte;
    struct target_span span = one(0x1000, &byte, 1);
    attach();
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    fake_machine_run(&machine, false);
    until(TARGET_STATE_HALTED);
    unsigned memory = stage.memory;
    fake_machine_run(&machine, true);
    until(TARGET_STATE_RUNNING);
    ck_assert_uint_gt(stage.memory, memory);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_RUNNING);
    ck_assert_int_eq(target->run->interrupt(target, CLIENT), TARGET_OK);
    until(TARGET_STATE_HALTED);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    ck_assert_uint_eq(stage.lost, 0);
}

static void silent(void)
{
    machine.silent_stops = true;
}

SCRIPT(others_halt_it_and_the_stub_does_not_tell, silent)
{
    uint8_t byte;
    struct target_span span = one(0x1000, &byte, 1);
    attach();
    fake_machine_run(&machine, true);
    until(TARGET_STATE_RUNNING);
    fake_machine_run(&machine, false);
    until(TARGET_STATE_HALTED);
    ck_assert_str_eq(target->run->stop_reply(target), "T02thread:01;");
    fake_machine_run(&machine, true);
    until(TARGET_STATE_RUNNING);
    ck_assert_int_eq(target->run->interrupt(target, CLIENT), TARGET_OK);
    until(TARGET_STATE_HALTED);
    ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
}

static void answer_status(void *arg)
{
    (void)arg;
    machine.slow_status = false;
    task_cond_broadcast(&machine.status_turn);
}

/* Another lets it run, and QEMU has not said yet whether it does. */
static void let_it_run_in_doubt(void)
{
    unsigned asked = machine.status_asked;
    machine.slow_status = true;
    fake_machine_run(&machine, true);
    while (machine.status_asked == asked)
        task_cond_wait(&machine.status_turn, -1);
}

/* QEMU would take the first byte for a wish to halt, and lose the packet. */
SCRIPT(nothing_is_sent_while_it_may_run, NULL)
{
    uint8_t byte;
    struct target_span span = one(0x1000, &byte, 1);
    attach();
    for (int turn = 0; turn < 2; turn++) {
        let_it_run_in_doubt();
        if (turn == 0) { /* a moment only: what was asked for meanwhile is done then */
            machine.running = false;
            ck_assert_ptr_nonnull(task_spawn(stage.loop, "answer", answer_status, NULL));
            ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
            continue;
        }
        ck_assert_ptr_nonnull(task_spawn(stage.loop, "answer", answer_status, NULL));
        ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_RUNNING);
        until(TARGET_STATE_RUNNING);
    }
    ck_assert_uint_eq(machine.bad, 0);
    ck_assert_uint_eq(stage.lost, 0);
}

/* A resume would halt it, and count as taken. */
SCRIPT(a_resume_waits_while_it_may_run, NULL)
{
    struct failure failure = {0};
    attach();
    let_it_run_in_doubt();
    ck_assert_ptr_nonnull(task_spawn(stage.loop, "answer", answer_status, NULL));
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure),
                     TARGET_RUNNING);
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    ck_assert(machine.running);
    ck_assert_uint_eq(machine.bad, 0);
    ck_assert_uint_eq(stage.lost, 0);
}

/* What is dirty would halt it, and be lost all the same. */
SCRIPT(the_end_of_the_monitor_while_it_may_run, NULL)
{
    attach();
    let_it_run_in_doubt();
    stage.by_daemon = true;
    stage.dirty = 1;
    shutdown(machine.qmp_fd, SHUT_RDWR);
    until(TARGET_STATE_LOST);
    while (machine.stub.fd >= 0) /* it reads to the end: no last words either */
        task_sleep(0.001);
    ck_assert_uint_eq(stage.lost, 1);
    ck_assert_uint_eq(stage.flushes, 0);
    ck_assert_uint_eq(machine.bad, 0);
    answer_status(NULL);
}

SCRIPT(many_steps_and_late_events, NULL)
{
    struct failure failure = {0};
    char message[64];
    uint8_t byte;
    attach();
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_STEP, 0, &failure),
                         TARGET_OK);
        ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                         TARGET_OK);
        struct target_span span = one(0x1000, &byte, 1);
        ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    }
    ck_assert_uint_eq(stage.lost, 0);
}

static void step_and_wait(unsigned cpu)
{
    struct failure failure = {0};
    char message[64];
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_STEP, cpu, &failure),
                     TARGET_OK);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                     TARGET_OK);
}

static void packet_and_wait(const char *payload, uint64_t thread)
{
    struct failure failure = {0};
    char message[64];
    ck_assert_int_eq(
        target->run->resume_packet(target, CLIENT, thread, payload, strlen(payload), &failure),
        TARGET_OK);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                     TARGET_OK);
}

SCRIPT(a_step_that_was_not_made_is_made_again, NULL)
{
    attach();
    unsigned changes = stage.changes;
    machine.phantoms = 3;
    step_and_wait(1);
    ck_assert_uint_eq(machine.moved[1], 1);
    ck_assert_uint_eq(fake_machine_count(&machine, "vCont;s:2"), 4);
    ck_assert_uint_eq(stage.changes - changes, 2); /* runs, halted */
    ck_assert_str_eq(target->run->stop_reply(target), "T05thread:02;");
    machine.phantoms = 1;
    packet_and_wait("vCont;s:1;c", 1);
    ck_assert_uint_eq(machine.moved[0], 1);
    machine.phantoms = 1;
    packet_and_wait("s", 1);
    ck_assert_uint_eq(machine.moved[0], 2);
}

SCRIPT(a_step_that_is_never_made_is_told, NULL)
{
    attach();
    machine.phantoms = 5;
    step_and_wait(0);
    ck_assert_uint_eq(machine.moved[0], 0);
    ck_assert_uint_eq(fake_machine_count(&machine, "vCont;s:1"), 4);
    ck_assert_uint_eq(machine.phantoms, 1);
}

/* Events of steps that were made again are not taken for somebody else's resume. */
SCRIPT(many_steps_that_were_not_made, NULL)
{
    uint8_t byte;
    attach();
    for (unsigned i = 0; i < 50; i++) {
        machine.phantoms = i % 4;
        step_and_wait(0);
        struct target_span span = one(0x1000, &byte, 1);
        ck_assert_int_eq(target->memory->read_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    }
    ck_assert_uint_eq(machine.moved[0], 50);
    ck_assert_uint_eq(stage.lost, 0);
    fake_machine_run(&machine, true); /* and somebody else's is noticed */
    until(TARGET_STATE_RUNNING);
}

SCRIPT(a_process_steps_as_it_says, plain)
{
    attach();
    machine.phantoms = 1;
    step_and_wait(0);
    ck_assert_uint_eq(machine.moved[0], 0);
    ck_assert_uint_eq(fake_machine_count(&machine, "g"), 0);
}

/* Loss */

static void reattaching(void)
{
    stage.config.reattach = true;
    machine.die_at = "M2000";
    machine.running = true;
    stage.config.attach_halt = true;
}

SCRIPT(a_lost_target_is_found_again, reattaching)
{
    uint8_t byte = 1;
    char text[64];
    attach();
    struct target_span span = one(0x2000, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_GONE);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, text, sizeof text), TARGET_GONE);
    ck_assert_uint_eq(stage.lost, 1);
    until(TARGET_STATE_HALTED);
    ck_assert_uint_eq(machine.connects, 2);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_OK);
    /* It was running when it was found first, and we had halted it. */
    upstream_detach(target);
    ck_assert(machine.running);
}

static void reattaching_no_qmp(void)
{
    newer_running_no_qmp();
    stage.config.found = FOUND_RUNNING;
    stage.config.reattach = true;
    machine.die_at = "M2000";
}

/* Nothing tells: it is as it was when it was lost, whatever was said of the first attach. */
SCRIPT(lost_while_halted_without_qmp, reattaching_no_qmp)
{
    uint8_t byte = 1;
    attach();
    target->run->interrupt(target, CLIENT);
    until(TARGET_STATE_HALTED);
    struct target_span span = one(0x2000, &byte, 1);
    ck_assert_int_eq(target->memory->write_virtual(target, CLIENT, 0, &span, 1), TARGET_GONE);
    until(TARGET_STATE_HALTED);
    ck_assert_uint_eq(machine.connects, 2);
    ck_assert(!machine.running);
}

SCRIPT(lost_while_running_without_qmp, reattaching_no_qmp)
{
    attach();
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    shutdown(machine.stub.fd, SHUT_RDWR);
    until(TARGET_STATE_LOST);
    until(TARGET_STATE_RUNNING);
    ck_assert_uint_eq(machine.connects, 2);
    while (!machine.running) /* the resume is on its way */
        task_sleep(0.001);
}

SCRIPT(the_end_of_the_monitor_is_the_end, NULL)
{
    attach();
    stage.by_daemon = true;
    stage.dirty = 1;
    shutdown(machine.qmp_fd, SHUT_RDWR);
    until(TARGET_STATE_LOST);
    ck_assert_uint_eq(stage.lost, 1);
    ck_assert_ptr_nonnull(strstr(stage.text, "QMP"));
    ck_assert_uint_eq(stage.flushes, 2); /* what is dirty is not lost with it */
}

/* Packets and monitor */

SCRIPT(packets_that_must_not_pass, NULL)
{
    struct failure failure = {0};
    static const char *const refused[] = {
        "D",        "D;1",        "k",
        "vKill;1",  "c",          "s",
        "C05",      "S05",        "vCont;c",
        "bc",       "bs",         "R",
        "r",        "G00",        "?",
        "Hg1",      "!",          "Qqemu.PhyMemMode:1",
        "qRcmd,78", "qSupported", "vAttach;1",
        "vRun;",    "i",          "I",
        "t",        "A",          "QStartNoAckMode",
    };
    struct buffer reply = {0};
    attach();
    unsigned before = machine.logged;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        ck_assert_msg(target->packets->packet_thread(target, CLIENT, 1, refused[i],
                                                     strlen(refused[i]), &reply) == TARGET_INVALID,
                      "%s", refused[i]);
    ck_assert_int_eq(target->packets->packet_thread(target, CLIENT, 1, "", 0, &reply),
                     TARGET_INVALID);
    ck_assert_int_eq(target->run->resume_packet(target, CLIENT, 0, "bc", 2, &failure),
                     TARGET_INVALID);
    ck_assert_int_eq(target->run->resume_packet(target, CLIENT, 0, "D", 1, &failure),
                     TARGET_INVALID);
    ck_assert_int_eq(target->run->resume_packet(target, CLIENT, 0, "vRun;x", 6, &failure),
                     TARGET_INVALID);
    ck_assert_uint_eq(machine.logged, before);
    ck_assert_int_eq(target->packets->packet_thread(target, CLIENT, 2, "m1000,2", 7, &reply),
                     TARGET_OK);
    ck_assert_str_eq((const char *)buffer_bytes(&reply), "0000");
    ck_assert_uint_eq(machine.cpu, 1);
    buffer_free(&reply);
}

SCRIPT(a_resume_in_a_clients_own_words, NULL)
{
    struct failure failure = {0};
    char message[128];
    attach();
    stage.dirty = 1;
    ck_assert_int_eq(target->run->resume_packet(target, CLIENT, 0, "vCont;c:1", 9, &failure),
                     TARGET_OK);
    ck_assert_uint_eq(stage.flushes, 2);
    ck_assert(machine.running);
    fake_machine_halt(&machine, "T05thread:02;");
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                     TARGET_OK);
    ck_assert_ptr_nonnull(strstr(message, "processor 1"));
}

/* A stop reply may carry any number of registers, and what matters may come last. */
SCRIPT(a_long_stop_reply_is_kept_whole, NULL)
{
    struct failure failure = {0};
    char message[128], words[1000] = "T05";
    for (unsigned i = 0; i < 32; i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%02x:%016x;", i, i);
    strcat(words, "thread:02;");
    ck_assert_uint_gt(strlen(words), 512);
    attach();
    ck_assert_int_eq(target->run->resume(target, CLIENT, TARGET_RESUME_GO, 0, &failure), TARGET_OK);
    fake_machine_halt(&machine, words);
    ck_assert_int_eq(target->run->wait(target, CLIENT, 5, NULL, message, sizeof message),
                     TARGET_OK);
    ck_assert_str_eq(target->run->stop_reply(target), words);
}

/* The one that we ask for when we attach, too. */
static char long_reply[1000];
static void give_a_long_reply(void)
{
    strcpy(long_reply, "T05");
    for (unsigned i = 0; i < 32; i++)
        snprintf(long_reply + strlen(long_reply), sizeof long_reply - strlen(long_reply),
                 "%02x:%016x;", i, i);
    strcat(long_reply, "thread:02;");
    machine.answer_at = "?";
    machine.answer = long_reply;
}

SCRIPT(a_long_stop_reply_at_the_attach, give_a_long_reply)
{
    attach();
    ck_assert_str_eq(target->run->stop_reply(target), long_reply);
}

SCRIPT(the_monitor_may_not_resume_behind_our_back, NULL)
{
    struct buffer text = {0};
    attach();
    stage.dirty = 1;
    ck_assert_int_eq(target->packets->monitor(target, CLIENT, 0, "cont", &text), TARGET_OK);
    ck_assert_uint_eq(stage.flushes, 2);
    ck_assert(machine.running);
    ck_assert_int_eq(target->run->state(target), TARGET_STATE_RUNNING);
    ck_assert_int_eq(target->packets->monitor(target, CLIENT, 0, "stop", &text), TARGET_OK);
    ck_assert(!machine.running);
    ck_assert_int_eq(target->packets->monitor(target, CLIENT, 0, "gdbserver none", &text),
                     TARGET_INVALID);
    /* A user's `cpu` does not mislead us. */
    ck_assert_int_eq(target->packets->monitor(target, CLIENT, 0, "cpu 1", &text), TARGET_OK);
    machine.pages[0][1] = 2;
    struct target_translation translation;
    ck_assert_int_eq(translate(0, 0x1000, &translation), TARGET_OK);
    ck_assert_uint_eq(translation.physical, 0x2000);
    buffer_free(&text);
}

static TCase *add(Suite *suite, const char *name)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 30);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("upstream_target");
    TCase *tcase = add(suite, "attach");
    tcase_add_test(tcase, attach_finds_out_what_it_is);
    tcase_add_test(tcase, attach_to_a_machine_without_ports);
    tcase_add_test(tcase, ports_that_are_not_there_are_not_counted);
    tcase_add_test(tcase, a_machine_that_its_program_names);
    tcase_add_test(tcase, a_machine_of_which_nobody_tells_the_byte_order);
    tcase_add_test(tcase, a_running_guest_goes_on_running);
    tcase_add_test(tcase, a_running_guest_gives_itself_away_without_qmp);
    tcase_add_test(tcase, nothing_tells_that_it_ran);
    tcase_add_test(tcase, nothing_tells_that_it_did_not_run);
    tcase_add_test(tcase, it_is_said_that_it_ran);
    tcase_add_test(tcase, it_is_said_that_it_did_not_run);
    tcase_add_test(tcase, a_guest_that_never_ran);
    tcase_add_test(tcase, a_guest_that_stands_at_a_breakpoint);
    tcase_add_test(tcase, an_older_qemu_would_have_told);
    tcase_add_test(tcase, attach_halt_halts_and_detach_resumes);
    tcase_add_test(tcase, a_guest_found_halted_is_left_halted);
    tcase_add_test(tcase, an_unreachable_stub_is_named);
    tcase_add_test(tcase, a_stub_that_falls_silent_while_attaching);
    tcase_add_test(tcase, a_process_that_has_ended);
    tcase = add(suite, "memory");
    tcase_add_test(tcase, virtual_transfers_in_many_packets);
    tcase_add_test(tcase, a_hole_between_two_pages);
    tcase_add_test(tcase, each_processor_has_its_own_pages);
    tcase_add_test(tcase, physical_and_virtual_do_not_mix);
    tcase_add_test(tcase, natural_accesses_one_by_one);
    tcase_add_test(tcase, a_stub_that_answers_less_than_was_asked);
    tcase_add_test(tcase, a_stub_that_answers_more_than_was_asked);
    tcase_add_test(tcase, a_stub_that_answers_a_write_with_nonsense);
    tcase_add_test(tcase, death_in_the_middle_of_a_write);
    tcase_add_test(tcase, a_plain_stub_with_binary_writes);
    tcase = add(suite, "translation");
    tcase_add_test(tcase, translations_are_kept_as_long_as_they_hold);
    tcase_add_test(tcase, what_was_asked_before_a_write_ended_is_asked_again);
    tcase_add_test(tcase, a_map_that_reads_as_before_is_kept);
    tcase_add_test(tcase, a_32_bit_processor_has_32_bit_addresses);
    tcase_add_test(tcase, while_it_runs_the_monitor_translates_and_nothing_is_kept);
    tcase_add_test(tcase, without_qmp_nothing_works_while_it_runs);
    tcase_add_test(tcase, ports_by_one_command_each);
    tcase_add_test(tcase, ports_by_the_monitor_are_counted);
    tcase = add(suite, "run control");
    tcase_add_test(tcase, views_are_flushed_until_nothing_is_dirty);
    tcase_add_test(tcase, an_interrupt_at_once_after_a_resume);
    tcase_add_test(tcase, waiting_ends_when_it_is_called_off);
    tcase_add_test(tcase, it_runs_from_the_moment_that_it_is_to);
    tcase_add_test(tcase, others_halt_and_resume_it);
    tcase_add_test(tcase, others_halt_it_and_the_stub_does_not_tell);
    tcase_add_test(tcase, nothing_is_sent_while_it_may_run);
    tcase_add_test(tcase, a_resume_waits_while_it_may_run);
    tcase_add_test(tcase, the_end_of_the_monitor_while_it_may_run);
    tcase_add_test(tcase, many_steps_and_late_events);
    tcase_add_test(tcase, a_step_that_was_not_made_is_made_again);
    tcase_add_test(tcase, a_step_that_is_never_made_is_told);
    tcase_add_test(tcase, many_steps_that_were_not_made);
    tcase_add_test(tcase, a_process_steps_as_it_says);
    tcase_add_test(tcase, a_lost_target_is_found_again);
    tcase_add_test(tcase, lost_while_halted_without_qmp);
    tcase_add_test(tcase, lost_while_running_without_qmp);
    tcase_add_test(tcase, the_end_of_the_monitor_is_the_end);
    tcase = add(suite, "packets");
    tcase_add_test(tcase, packets_that_must_not_pass);
    tcase_add_test(tcase, a_resume_in_a_clients_own_words);
    tcase_add_test(tcase, a_long_stop_reply_is_kept_whole);
    tcase_add_test(tcase, a_long_stop_reply_at_the_attach);
    tcase_add_test(tcase, the_monitor_may_not_resume_behind_our_back);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
