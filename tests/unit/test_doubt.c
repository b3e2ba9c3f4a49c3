/* What a session makes of devices that refuse an access, and of a target that cannot tell. */
#include "space/doubt.h"

#include "base/log.h"
#include "space_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct machine machine;
static struct fake_target *const fake = &machine.fake;
static struct target_memory memory;

/* What the target was asked for last, and what it answers. */
static struct {
    unsigned calls;
    bool seen, write;
    struct target_seen at;
    uint64_t address;
    size_t refused;    /* accesses of so many bytes are; 0: none */
    const char *doubt; /* NULL: it tells */
} device;

static enum target_error access_device(struct target *target, target_client client,
                                       const struct target_seen *seen, struct target_span *spans,
                                       size_t count, bool write, const char **doubt)
{
    enum target_error error = TARGET_OK;
    (void)target;
    (void)client;
    device.calls++;
    device.seen = seen != NULL;
    device.at = seen ? *seen : (struct target_seen){0};
    device.write = write;
    device.address = spans[0].address;
    *doubt = device.doubt;
    for (size_t i = 0; i < count; i++) {
        bool refused = !device.doubt && spans[i].length == device.refused;
        spans[i].error = error ? TARGET_CANCELLED : refused ? TARGET_FAULT : TARGET_OK;
        spans[i].done = spans[i].error ? 0 : spans[i].length;
        error = error ? error : spans[i].error;
    }
    return error;
}

static void set_up(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    machine_start(&machine, CACHE_WRITE_BACK, 0);
    memory = *fake->base.memory;
    memory.access_device = access_device;
    fake->base.memory = &memory;
    memset(&device, 0, sizeof(device));
}

static void tear_down(void)
{
    machine_stop(&machine);
}

static void warned_of(const char *part)
{
    const char *warning = session_take_warning(machine.a);
    ck_assert_ptr_nonnull(warning);
    ck_assert_msg(strstr(warning, part) != NULL, "\"%s\" lacks \"%s\"", warning, part);
    ck_assert_ptr_null(session_take_warning(machine.a));
}

static void not_warned(void)
{
    ck_assert_ptr_null(session_take_warning(machine.a));
}

START_TEST(a_refusal_is_a_fault_with_its_width)
{
    uint32_t done = 9;
    uint8_t byte = 0;

    device.refused = 1;
    assert_hr(session_write_virtual(machine.a, V_HPET + 0x10, "x", 1, &done), SB_ERROR_WRITE_FAULT);
    ck_assert_uint_eq(done, 0);
    assert_says(machine.a, "hpet refused an access of 1 byte");
    assert_hr(session_read_virtual_uncached(machine.a, V_HPET + 0x10, &byte, 1, &done),
              SB_ERROR_READ_FAULT);
    assert_says(machine.a, "hpet refused an access of 1 byte");
    assert_hr(session_write_physical(machine.a, "WritePhysical", HPET_BASE, 0, "x", 1, &done),
              SB_ERROR_WRITE_FAULT);
    assert_says(machine.a, "hpet refused an access of 1 byte");
    not_warned();
    /* 4 bytes, then 1 that is refused. */
    assert_hr(session_write_virtual(machine.a, V_HPET + 0x10, "abcde", 5, &done), S_OK);
    ck_assert_uint_eq(done, 4);
    assert_says(machine.a, "hpet refused");
    not_warned();
}
END_TEST

START_TEST(the_target_learns_where_it_is_seen)
{
    uint32_t done;

    session_write_virtual(machine.a, V_MIXED + 0x810, "abcd", 4, &done);
    ck_assert(device.seen && device.write);
    ck_assert_uint_eq(device.at.address, V_MIXED + 0x810);
    ck_assert_uint_eq(device.at.cpu, 0);
    ck_assert_uint_eq(device.address, MIXED_BASE + 0x810);
    session_write_physical(machine.a, "WritePhysical", MIXED_BASE + 0x810, 0, "abcd", 4, &done);
    ck_assert(!device.seen && device.write);
    /* Of many accesses, those that are handed over next lie behind. */
    uint8_t many[0x400];
    session_read_virtual_uncached(machine.a, V_HPET, many, sizeof(many), &done);
    ck_assert_uint_eq(done, sizeof(many));
    ck_assert(device.seen && !device.write);
    ck_assert_uint_gt(device.calls, 3);
    ck_assert_uint_gt(device.at.address, V_HPET);
    ck_assert_uint_eq(device.at.address - V_HPET, device.address - HPET_BASE);
}
END_TEST

START_TEST(what_cannot_be_told_is_a_warning)
{
    uint32_t done;
    uint8_t bytes[4];

    device.doubt = "nobody knows";
    assert_hr(session_write_virtual(machine.a, V_HPET, "x", 1, &done), S_OK);
    ck_assert_uint_eq(done, 1);
    warned_of("hpet at physical 0xfed00000: nobody knows");
    assert_hr(session_write_virtual_uncached(machine.a, V_HPET, "x", 1, &done), S_OK);
    warned_of("was written");
    assert_hr(session_read_virtual(machine.a, V_HPET + 4, bytes, 4, &done), S_OK);
    warned_of("hpet at physical 0xfed00004: nobody knows");
    assert_hr(session_read_physical(machine.a, "ReadPhysical", BAR_BASE, 0, bytes, 4, &done), S_OK);
    warned_of("zeros may stand for a refusal");
    assert_hr(session_fill_virtual(machine.a, V_HPET, 8, "x", 1, &done), S_OK);
    warned_of("hpet");
    assert_hr(session_fill_physical(machine.a, BAR_BASE, 8, "x", 1, &done), S_OK);
    warned_of("edu");
    const uint64_t pointer = 5;
    assert_hr(session_write_pointers_virtual(machine.a, 1, V_HPET, &pointer, &done), S_OK);
    warned_of("hpet");
    /* One for a call, of the first device. */
    assert_hr(session_write_virtual(machine.a, V_MIXED + 0x7f0, "0123456789abcdefuart", 20, &done),
              S_OK);
    warned_of("uart at physical 0x200800");
}
END_TEST

START_TEST(memory_is_not_in_doubt)
{
    uint32_t done;
    uint8_t bytes[16];

    device.doubt = "nobody knows";
    assert_hr(session_write_virtual(machine.a, BASE, "x", 1, &done), S_OK);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    assert_hr(session_read_virtual_uncached(machine.a, V_ROM, bytes, 16, &done), S_OK);
    assert_hr(session_write_physical(machine.a, "WritePhysical2", VRAM_BASE,
                                     DEBUG_PHYSICAL_UNCACHED, "abcd", 4, &done),
              S_OK);
    ck_assert_uint_eq(device.calls, 0);
    not_warned();
}
END_TEST

START_TEST(nothing_was_sent_nothing_is_in_doubt)
{
    uint32_t done;

    device.doubt = "nobody knows";
    assert_hr(session_write_virtual(machine.a, V_HPET, "x", 0, &done), S_OK);
    assert_hr(session_write_virtual(machine.a, V_LAPIC, "x", 1, &done), SB_ERROR_WRITE_FAULT);
    fake->state = TARGET_STATE_RUNNING;
    assert_hr(session_write_virtual(machine.a, V_HPET, "x", 1, &done), E_UNEXPECTED);
    ck_assert_uint_eq(device.calls, 0);
    not_warned();
}
END_TEST

START_TEST(the_log_is_bounded)
{
    struct target_region region = {.kind = REGION_DEVICE, .name = "one of many"};
    char path[] = "/tmp/test_doubt.XXXXXX", text[200000];
    int fd = mkstemp(path), kept = dup(STDERR_FILENO);
    unsigned lines = 0;

    ck_assert_int_ge(fd, 0);
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    for (unsigned i = 0; i < 5000; i++) {
        region.first = (i % 1000) * 16;
        doubt_note(machine.a, &region, region.first, true, "nobody knows");
    }
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    ssize_t length = pread(fd, text, sizeof(text), 0);
    for (ssize_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    close(fd);
    close(kept);
    unlink(path);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    ck_assert_uint_eq(lines, DOUBTS_MOST);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doubt");
    TCase *tcase = tcase_create("doubt");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_refusal_is_a_fault_with_its_width);
    tcase_add_test(tcase, the_target_learns_where_it_is_seen);
    tcase_add_test(tcase, what_cannot_be_told_is_a_warning);
    tcase_add_test(tcase, memory_is_not_in_doubt);
    tcase_add_test(tcase, nothing_was_sent_nothing_is_in_doubt);
    tcase_add_test(tcase, the_log_is_bounded);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
