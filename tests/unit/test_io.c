#include "space_fixture.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct machine machine;
static struct fake_target *const fake = &machine.fake;

static void set_up(void)
{
    machine_start(&machine, CACHE_WRITE_BACK, 0);
}

static void tear_down(void)
{
    machine_stop(&machine);
}

START_TEST(test_each_size_is_one_access)
{
    static const uint8_t bytes[4] = {0x11, 0x22, 0x33, 0x44};
    uint8_t back[4];

    for (uint32_t size = 1; size <= 4; size *= 2) {
        uint32_t done = 0;
        fake_clear_log(fake);
        memset(fake->ports, 0, 0x200);
        assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0xe8, bytes, size, &done),
                  S_OK);
        ck_assert_uint_eq(done, size);
        ck_assert_uint_eq(fake->log_count, 1);
        ck_assert_uint_eq(fake_nth(fake, FAKE_PORT_OUT, 0)->length, size);
        /* least significant first */
        ck_assert_mem_eq(fake->ports + 0xe8, bytes, size);
        ck_assert_uint_eq(fake->ports[0xe8 + size], 0);
        memset(back, 0, sizeof(back));
        assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0xe8, back, size, &done),
                  S_OK);
        ck_assert_uint_eq(done, size);
        ck_assert_mem_eq(back, bytes, size);
        ck_assert_uint_eq(fake->log_count, 2);
    }
}
END_TEST

static void refuse(HRESULT expected, int32_t interface_type, uint32_t bus, uint32_t address_space,
                   uint64_t port, uint32_t size)
{
    uint8_t bytes[64] = {0};
    uint32_t done = 9;

    assert_hr(
        session_write_io(machine.a, interface_type, bus, address_space, port, bytes, size, &done),
        expected);
    ck_assert_uint_eq(done, 0);
    assert_says(machine.a, "WriteIo at port 0x");
    assert_hr(
        session_read_io(machine.a, interface_type, bus, address_space, port, bytes, size, &done),
        expected);
    assert_says(machine.a, "ReadIo at port 0x");
    ck_assert_uint_eq(fake_count(fake, FAKE_PORT_IN) + fake_count(fake, FAKE_PORT_OUT), 0);
}

START_TEST(test_all_the_refusals)
{
    assert_hr(session_write_virtual(machine.a, BASE, "dirt", 4, NULL), S_OK);
    for (int pass = 0; pass < 2; pass++) {
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 0, 0x70, 1);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 2, 0x70, 1);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, 0x70, 0);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, 0x70, 3);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, 0x70, 8);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, 0x70, UINT32_MAX);
        refuse(SB_STATUS_DATATYPE_MISALIGNMENT, SB_INTERFACE_ISA, 0, 1, 0x71, 2);
        refuse(SB_STATUS_DATATYPE_MISALIGNMENT, SB_INTERFACE_ISA, 0, 1, 0x72, 4);
        refuse(SB_STATUS_DATATYPE_MISALIGNMENT, SB_INTERFACE_ISA, 0, 1, 0xffff, 2);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, 0x10000, 1);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, 0x10000, 4);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, UINT64_MAX, 1);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 0, 1, UINT64_MAX - 3, 4);
        refuse(E_INVALIDARG, SB_INTERFACE_ISA, 1, 1, 0x70, 1);
        refuse(E_INVALIDARG, SB_INTERFACE_UNDEFINED, 0, 1, 0x70, 1);
        refuse(E_INVALIDARG, SB_INTERFACE_MAXIMUM, 0, 1, 0x70, 1);
        refuse(E_INVALIDARG, INT32_MIN, 0, 1, 0x70, 1);
        /* parameters come before what the target cannot do */
        fake->info.ports = false;
    }
    refuse(E_NOTIMPL, SB_INTERFACE_ISA, 0, 1, 0x70, 1);
    refuse(E_NOTIMPL, SB_INTERFACE_PCI_BUS, 3, 1, 0x70, 1);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4); /* a refused call flushes nothing */
    ck_assert_uint_eq(fake_count(fake, FAKE_BUS), 0);
}
END_TEST

START_TEST(test_interfaces_that_reach_the_port_space)
{
    static const bool reaches[SB_INTERFACE_MAXIMUM] = {
        [SB_INTERFACE_INTERNAL] = true,    [SB_INTERFACE_ISA] = true,
        [SB_INTERFACE_EISA] = true,        [SB_INTERFACE_PCI_BUS] = true,
        [SB_INTERFACE_PNP_ISA_BUS] = true, [SB_INTERFACE_PNP_BUS] = true,
        [SB_INTERFACE_ACPI_BUS] = true,
    };
    uint8_t byte = 0;

    for (int32_t i = 0; i < SB_INTERFACE_MAXIMUM; i++) {
        if (!reaches[i])
            refuse(E_INVALIDARG, i, 0, 1, 0x80, 1);
    }
    for (int32_t i = 0; i < SB_INTERFACE_MAXIMUM; i++) {
        if (reaches[i])
            assert_hr(session_read_io(machine.a, i, 0, 1, 0x80, &byte, 1, NULL), S_OK);
    }
    assert_hr(session_read_io(machine.a, SB_INTERFACE_VME_BUS, 0, 1, 0x80, &byte, 1, NULL),
              E_INVALIDARG);
    assert_says(machine.a, "VMEBus");
}
END_TEST

START_TEST(test_a_pci_bus_must_exist)
{
    uint8_t byte = 0;

    refuse(E_INVALIDARG, SB_INTERFACE_PCI_BUS, 1, 1, 0xcf8, 4);
    assert_says(machine.a, "no PCI bus 1");
    fake->pci_buses = 2;
    assert_hr(session_read_io(machine.a, SB_INTERFACE_PCI_BUS, 1, 1, 0x80, &byte, 1, NULL), S_OK);
    assert_hr(session_write_io(machine.a, SB_INTERFACE_PCI_BUS, 1, 1, 0x80, &byte, 1, NULL), S_OK);
}
END_TEST

START_TEST(test_the_last_port)
{
    uint8_t bytes[4] = {1, 2, 3, 4};

    assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0xffff, bytes, 1, NULL), S_OK);
    assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0xfffc, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(fake->ports + 0xfffc, bytes, 4);
}
END_TEST

START_TEST(test_what_the_monitor_prints_is_the_message)
{
    uint8_t byte = 1;
    uint32_t done = 9;

    fake->port_complaint = "'o' has failed: bad luck";
    assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x80, &byte, 1, &done), E_FAIL);
    assert_says(machine.a, "bad luck");
    ck_assert_uint_eq(done, 0);
    ck_assert_uint_eq(fake_count(fake, FAKE_PORT_OUT), 1); /* not tried again */
    fake->fail_after = 0;
    fake->fail_error = TARGET_FAILED;
    assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x80, &byte, 1, &done), E_FAIL);
    assert_says(machine.a, "the monitor printed: no");
    fake->fail_after = 0;
    fake->fail_error = TARGET_RUNNING;
    assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x80, &byte, 1, &done),
              E_UNEXPECTED);
}
END_TEST

START_TEST(test_running_and_lost)
{
    uint8_t byte = 5;

    fake_resume_by_others(fake);
    assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x80, &byte, 1, NULL), S_OK);
    assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x80, &byte, 1, NULL), S_OK);
    ck_assert_uint_eq(byte, 5);
    fake_lose(fake);
    assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x80, &byte, 1, NULL),
              E_UNEXPECTED);
    assert_hr(session_read_io(machine.a, SB_INTERFACE_ISA, 0, 9, 0x80, &byte, 1, NULL),
              E_INVALIDARG);
}
END_TEST

/* As fw_cfg does: written by its port, it copies into memory while it is at it. */
static void copy_hook(void *context, enum fake_op op, bool after)
{
    (void)context;
    if (op == FAKE_PORT_OUT && !after)
        *ram(&machine, BASE) = 'D';
}

START_TEST(test_memory_that_a_device_changed_is_read_anew)
{
    char byte = 0;

    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    fake->hook = copy_hook;
    assert_hr(session_write_io(machine.a, SB_INTERFACE_ISA, 0, 1, 0x518, "\0\0\0", 4, NULL), S_OK);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_int_eq(byte, 'D');
    assert_hr(session_read_virtual(machine.b, BASE, &byte, 1, NULL), S_OK);
    ck_assert_int_eq(byte, 'D');
}
END_TEST

/* Several writes, and what was told of each. */
#define SEVERAL 8

static struct session_port_write several[SEVERAL];
static struct {
    HRESULT hr[SEVERAL];
    uint32_t done[SEVERAL];
    char message[SEVERAL][200];
    size_t count, most;
} told;

static void several_set_up(void)
{
    set_up();
    memset(&told, 0, sizeof(told));
    told.most = SEVERAL;
    for (size_t i = 0; i < SEVERAL; i++)
        several[i] = (struct session_port_write){.interface_type = SB_INTERFACE_ISA,
                                                 .address_space = 1,
                                                 .offset = 0x100 + i,
                                                 .size = 1,
                                                 .bytes = {(uint8_t)(0x10 + i)}};
    fake->ports_together = true;
}

static bool tell(void *context, size_t index, HRESULT hr, uint32_t done)
{
    ck_assert_ptr_eq(context, &told);
    ck_assert_uint_eq(index, told.count);
    told.hr[index] = hr;
    told.done[index] = done;
    snprintf(told.message[index], sizeof(told.message[0]), "%s", session_message(machine.a));
    return ++told.count < told.most;
}

static void write_several(size_t expected)
{
    ck_assert_uint_eq(session_write_ports(machine.a, several, SEVERAL, tell, &told), expected);
    ck_assert_uint_eq(told.count, expected);
}

/* Those that succeeded were each one access, in order, and nothing else was. */
static void assert_written_once(void)
{
    size_t nth = 0;

    for (size_t i = 0; i < told.count; i++) {
        ck_assert_uint_eq(told.done[i], SUCCEEDED(told.hr[i]) ? several[i].size : 0);
        if (FAILED(told.hr[i]))
            continue;
        ck_assert_uint_eq(fake_nth(fake, FAKE_PORT_OUT, nth)->address, several[i].offset);
        ck_assert_uint_eq(fake_nth(fake, FAKE_PORT_OUT, nth++)->length, several[i].size);
        ck_assert_mem_eq(fake->ports + several[i].offset, several[i].bytes, several[i].size);
    }
    ck_assert_uint_eq(fake_count(fake, FAKE_PORT_OUT), nth);
}

START_TEST(test_several_are_made_together)
{
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++)
        assert_hr(told.hr[i], S_OK);
    assert_written_once();
    ck_assert_uint_eq(fake->together, 1);
    ck_assert_uint_eq(fake->together_most, SEVERAL);
}
END_TEST

START_TEST(test_several_with_none_to_make_them_together)
{
    fake->ports_together = false;
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++)
        assert_hr(told.hr[i], S_OK);
    assert_written_once();
}
END_TEST

START_TEST(test_several_until_told_to_stop)
{
    fake->ports_together = false;
    told.most = 3;
    write_several(3);
    assert_written_once();
}
END_TEST

START_TEST(test_a_refused_one_among_several)
{
    several[2].offset = 0x201;
    several[2].size = 2;
    several[5].size = 200;
    several[7].address_space = 0;
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++)
        assert_hr(told.hr[i], i == 2             ? SB_STATUS_DATATYPE_MISALIGNMENT
                              : i == 5 || i == 7 ? E_INVALIDARG
                                                 : S_OK);
    ck_assert_ptr_nonnull(strstr(told.message[2], "port 0x201: "));
    ck_assert_ptr_nonnull(strstr(told.message[5], "the size is 200"));
    ck_assert_str_eq(told.message[6], "");
    assert_written_once();
    ck_assert_uint_eq(fake->together, 2); /* the last one has nobody beside it */
}
END_TEST

START_TEST(test_a_bus_is_asked_for_among_several)
{
    several[3].interface_type = several[4].interface_type = SB_INTERFACE_PCI_BUS;
    several[3].bus = 1;
    several[4].bus = 2;
    fake->pci_buses = 2;
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++)
        assert_hr(told.hr[i], i == 4 ? E_INVALIDARG : S_OK);
    assert_written_once();
}
END_TEST

START_TEST(test_what_was_not_acknowledged_of_several_is_not_made_again)
{
    fake->fail_after = 3;
    fake->fail_error = TARGET_FAILED;
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++) {
        assert_hr(told.hr[i], i < 3 ? S_OK : E_FAIL);
        ck_assert_uint_eq(told.done[i], i < 3);
        if (i >= 3)
            ck_assert_ptr_nonnull(strstr(told.message[i], "the way was lost"));
    }
    ck_assert_uint_eq(fake_count(fake, FAKE_PORT_OUT), 4);
    ck_assert_uint_eq(fake->together, 1);
}
END_TEST

START_TEST(test_several_come_after_what_is_dirty)
{
    assert_hr(session_write_virtual(machine.a, BASE, "dirt", 4, NULL), S_OK);
    fake_clear_log(fake);
    write_several(SEVERAL);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
    ck_assert_mem_eq(ram(&machine, BASE), "dirt", 4);
    ck_assert_int_eq(fake->log[fake->log_count - SEVERAL - 1].op, FAKE_WRITE_VIRTUAL);
    assert_written_once();
}
END_TEST

START_TEST(test_several_and_a_flush_that_fails)
{
    assert_hr(session_write_virtual(machine.a, BASE, "dirt", 4, NULL), S_OK);
    fake->fail_after = 0;
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++)
        ck_assert_int_eq(FAILED(told.hr[i]), i == 0);
    ck_assert_ptr_nonnull(strstr(told.message[0], "flushed first"));
    assert_written_once();
}
END_TEST

START_TEST(test_several_for_a_target_that_is_lost)
{
    fake_lose(fake);
    write_several(SEVERAL);
    for (size_t i = 0; i < SEVERAL; i++)
        assert_hr(told.hr[i], E_UNEXPECTED);
    ck_assert_uint_eq(fake->together, 0);
    assert_written_once();
}
END_TEST

START_TEST(test_memory_that_several_writes_changed_is_read_anew)
{
    char byte = 0;

    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    fake->hook = copy_hook;
    write_several(SEVERAL);
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_int_eq(byte, 'D');
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io");
    TCase *tests = tcase_create("io");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_each_size_is_one_access);
    tcase_add_test(tests, test_all_the_refusals);
    tcase_add_test(tests, test_interfaces_that_reach_the_port_space);
    tcase_add_test(tests, test_a_pci_bus_must_exist);
    tcase_add_test(tests, test_the_last_port);
    tcase_add_test(tests, test_what_the_monitor_prints_is_the_message);
    tcase_add_test(tests, test_running_and_lost);
    tcase_add_test(tests, test_memory_that_a_device_changed_is_read_anew);
    suite_add_tcase(suite, tests);
    tests = tcase_create("several");
    tcase_add_checked_fixture(tests, several_set_up, tear_down);
    tcase_add_test(tests, test_several_are_made_together);
    tcase_add_test(tests, test_several_with_none_to_make_them_together);
    tcase_add_test(tests, test_several_until_told_to_stop);
    tcase_add_test(tests, test_a_refused_one_among_several);
    tcase_add_test(tests, test_a_bus_is_asked_for_among_several);
    tcase_add_test(tests, test_what_was_not_acknowledged_of_several_is_not_made_again);
    tcase_add_test(tests, test_several_come_after_what_is_dirty);
    tcase_add_test(tests, test_several_and_a_flush_that_fails);
    tcase_add_test(tests, test_several_for_a_target_that_is_lost);
    tcase_add_test(tests, test_memory_that_several_writes_changed_is_read_anew);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
