#include "space/core.h"
#include "space/machine.h"
#include "space_fixture.h"

#include <check.h>
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

START_TEST(test_sessions_have_their_own_client)
{
    ck_assert_uint_ne(machine.a->client, 0);
    ck_assert_uint_ne(machine.a->client, machine.b->client);
    ck_assert_ptr_eq(machine.a->space, machine.space);
    ck_assert_ptr_eq(machine.space->target, &fake->base);
    ck_assert_ptr_eq(session_machine(machine.a).architecture, fake->info.architecture);
    session_close(machine.a);
    machine.a = session_open(machine.space, "again", CACHE_OFF, NULL);
    ck_assert_ptr_nonnull(machine.a);
    ck_assert_uint_ne(machine.a->client, machine.b->client);
    ck_assert_uint_ne(machine.a->client, machine.c->client);
    fake_lose(fake); /* nobody listens there */
}
END_TEST

START_TEST(test_policies_have_names)
{
    static const char *const name[] = {"write-back", "write-through", "off"};
    enum cache_policy policy;

    for (int i = 0; i < 3; i++) {
        ck_assert(cache_policy_parse(&policy, name[i]));
        ck_assert_str_eq(cache_policy_text(policy), name[i]);
    }
    ck_assert(!cache_policy_parse(&policy, "Write-Back"));
    ck_assert(!cache_policy_parse(&policy, ""));
}
END_TEST

START_TEST(test_status_tells_what_the_view_holds)
{
    uint8_t bytes[4];

    struct session_cache_status status = machine_status(machine.a);
    ck_assert_int_eq(status.policy, CACHE_WRITE_BACK);
    ck_assert_uint_eq(status.size, SPACE_CACHE_SIZE_DEFAULT);
    ck_assert_uint_eq(status.used, 0);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    assert_hr(session_write_virtual(machine.a, BASE + PAGE - 1, "ab", 2, NULL), S_OK);
    status = machine_status(machine.a);
    ck_assert_uint_eq(status.used, 2 * PAGE);
    ck_assert_uint_eq(status.lines, 2);
    ck_assert_uint_eq(status.dirty_lines, 2);
    ck_assert_uint_eq(status.dirty_bytes, 2);
    ck_assert_uint_eq(status.valid_bytes, PAGE + 1);
    ck_assert_uint_eq(status.misses, 1);
}
END_TEST

START_TEST(test_a_view_without_room_is_off)
{
    struct space_config config = {CACHE_WRITE_BACK, 0};
    struct space *space = space_new(&fake->base, &config);
    struct session *session = session_open(space, "none", CACHE_WRITE_BACK, NULL);

    ck_assert_int_eq(machine_status(session).policy, CACHE_OFF);
    assert_hr(session_write_virtual(session, BASE, "now", 3, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "now", 3);
    session_close(session);
    space_free(space);
}
END_TEST

START_TEST(test_a_view_belongs_to_one_processor_at_a_time)
{
    uint8_t bytes[4];
    uint32_t cpu = 9, number = 0;

    assert_hr(session_get_number_processors(machine.a, &number), S_OK);
    ck_assert_uint_eq(number, 2);
    assert_hr(session_get_current_processor(machine.a, &cpu), S_OK);
    ck_assert_uint_eq(cpu, 0);
    assert_hr(session_set_current_processor(machine.a, 2), E_INVALIDARG);
    assert_says(machine.a, "no processor 2");
    assert_hr(session_set_current_processor(machine.a, UINT32_MAX), E_INVALIDARG);

    assert_hr(session_write_virtual(machine.a, BASE, "cpu0", 4, NULL), S_OK);
    assert_hr(session_set_current_processor(machine.a, 0), S_OK);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4); /* it has not changed */
    assert_hr(session_set_current_processor(machine.a, 1), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE), "cpu0", 4);
    ck_assert_uint_eq(machine_status(machine.a).lines, 0);
    assert_hr(session_read_virtual(machine.a, BASE, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "\0\0\0\0", 4);
    assert_hr(session_write_virtual(machine.a, BASE, "cpu1", 4, NULL), S_OK);
    assert_hr(session_flush(machine.a, NULL), S_OK);
    ck_assert_mem_eq(ram(&machine, BASE + 64 * PAGE), "cpu1", 4);
    assert_hr(session_read_virtual(machine.b, BASE, bytes, 4, NULL), S_OK);
    ck_assert_mem_eq(bytes, "cpu0", 4);
    fake_lose(fake);
    assert_hr(session_set_current_processor(machine.a, 0), E_UNEXPECTED);
    assert_hr(session_get_number_processors(machine.a, &number), E_UNEXPECTED);
}
END_TEST

START_TEST(test_run_and_halt)
{
    uint32_t status = 0;
    char text[64];

    assert_hr(session_get_execution_status(machine.a, &status), S_OK);
    ck_assert_uint_eq(status, DEBUG_STATUS_BREAK);
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_BREAK), E_INVALIDARG);
    assert_hr(session_set_execution_status(machine.a, 0), E_INVALIDARG);
    ck_assert_uint_eq(fake->log_count, 0);
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_GO), S_OK);
    assert_hr(session_get_execution_status(machine.b, &status), S_OK);
    ck_assert_uint_eq(status, DEBUG_STATUS_GO);
    for (int i = 0; i < MANY_SESSIONS; i++)
        ck_assert_int_eq(machine.heard[i].state, SPACE_STATE_RUNNING);
    assert_hr(session_set_execution_status(machine.b, DEBUG_STATUS_GO), E_UNEXPECTED);
    assert_hr(session_set_execution_status(machine.b, DEBUG_STATUS_STEP_INTO), E_UNEXPECTED);
    assert_hr(session_wait_for_event(machine.a, 20, text, sizeof(text)), S_FALSE);
    ck_assert_uint_eq(fake_nth(fake, FAKE_WAIT, 0)->length, 20);
    assert_hr(session_wait_for_event(machine.a, UINT32_MAX, text, sizeof(text)), S_FALSE);
    ck_assert_uint_eq(fake_nth(fake, FAKE_WAIT, 1)->length, SIZE_MAX); /* no limit */
    assert_hr(session_interrupt(machine.b), S_OK);
    assert_hr(session_wait_for_event(machine.a, 20, text, sizeof(text)), S_OK);
    ck_assert_str_eq(text, "halted");
    assert_hr(session_interrupt(machine.b), S_OK); /* halted already */
    assert_hr(session_set_current_processor(machine.a, 1), S_OK);
    fake_clear_log(fake);
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_STEP_INTO), S_OK);
    ck_assert_uint_eq(fake_nth(fake, FAKE_RESUME, 0)->cpu, 1);
    ck_assert_uint_eq(fake_nth(fake, FAKE_RESUME, 0)->length, TARGET_RESUME_STEP);
}
END_TEST

START_TEST(test_a_cancelled_wait_ends)
{
    char text[8];

    fake_resume_by_others(fake);
    session_cancel(machine.a);
    assert_hr(session_wait_for_event(machine.a, UINT32_MAX, text, sizeof(text)), E_FAIL);
    assert_hr(session_wait_for_event(machine.b, 1, text, sizeof(text)), S_FALSE);
}
END_TEST

START_TEST(test_a_lost_target)
{
    uint32_t status = 0;
    char text[64];

    fake_lose(fake);
    ck_assert_int_eq(machine.heard[2].state, SPACE_STATE_LOST);
    assert_hr(session_get_execution_status(machine.a, &status), E_UNEXPECTED);
    assert_hr(session_set_execution_status(machine.a, DEBUG_STATUS_GO), E_UNEXPECTED);
    assert_hr(session_set_execution_status(machine.a, 77), E_INVALIDARG);
    assert_hr(session_interrupt(machine.a), E_UNEXPECTED);
    assert_hr(session_wait_for_event(machine.a, 1, text, sizeof(text)), E_UNEXPECTED);
    assert_hr(session_flush(machine.a, NULL), S_OK); /* there is nothing */
}
END_TEST

START_TEST(test_a_message_does_not_outlive_the_next_call)
{
    uint8_t byte;

    assert_hr(session_read_virtual(machine.a, UNMAPPED, &byte, 1, NULL), SB_ERROR_READ_FAULT);
    assert_says(machine.a, "ReadVirtual at 0xffff800000008000");
    assert_hr(session_read_virtual(machine.a, BASE, &byte, 1, NULL), S_OK);
    ck_assert_str_eq(session_message(machine.a), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tests = tcase_create("session");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_sessions_have_their_own_client);
    tcase_add_test(tests, test_policies_have_names);
    tcase_add_test(tests, test_status_tells_what_the_view_holds);
    tcase_add_test(tests, test_a_view_without_room_is_off);
    tcase_add_test(tests, test_a_view_belongs_to_one_processor_at_a_time);
    tcase_add_test(tests, test_run_and_halt);
    tcase_add_test(tests, test_a_cancelled_wait_ends);
    tcase_add_test(tests, test_a_lost_target);
    tcase_add_test(tests, test_a_message_does_not_outlive_the_next_call);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
