/* What goes before a request about registers: everybody's dirty bytes, and a g where QEMU needs it.
 */
#include "space/registers.h"

#include "base/buffer.h"
#include "space/packets.h"
#include "space/run.h"
#include "space_fixture.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct machine machine;
static struct fake_target *const fake = &machine.fake;
static struct buffer packets; /* "THREAD:PAYLOAD", a + where bytes were dirty then, one a line */
static struct buffer reply;
static enum target_error refused;

static enum target_error packet(struct target *target, target_client client, uint64_t thread,
                                const void *payload, size_t length, struct buffer *answer)
{
    bool dirty = dirty_bytes(machine.a) + dirty_bytes(machine.b) > 0;
    (void)target;
    (void)client;
    ck_assert(buffer_printf(&packets, "%" PRIu64 ":%.*s%s\n", thread, (int)length,
                            (const char *)payload, dirty ? "+" : ""));
    if (refused)
        return refused;
    ck_assert(buffer_append(answer, "OK", 2));
    return TARGET_OK;
}

static const struct target_packets table = {.packet_thread = packet};

static void set_up(void)
{
    machine_start(&machine, CACHE_WRITE_BACK, 0);
    fake->base.packets = &table;
    fake->info.qemu = true;
    refused = TARGET_OK;
    assert_hr(session_write_virtual(machine.a, BASE, "ours", 4, NULL), S_OK);
    assert_hr(session_write_virtual(machine.b, BASE + PAGE, "theirs", 6, NULL), S_OK);
}

static void tear_down(void)
{
    machine_stop(&machine);
    buffer_free(&packets);
    buffer_free(&reply);
}

/* What was sent since this was last asked. */
static const char *sent(void)
{
    static char text[256];

    ck_assert_uint_lt(packets.length, sizeof text);
    if (packets.length > 0)
        memcpy(text, buffer_bytes(&packets), packets.length);
    text[packets.length] = '\0';
    buffer_clear(&packets);
    return text;
}

START_TEST(dirty_bytes_go_before_a_register_is_written)
{
    ck_assert_int_eq(session_write_register(machine.a, 2, 0x1f, "00ff", 4, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "2:g\n2:P1f=00ff\n");
    ck_assert_str_eq((const char *)buffer_bytes(&reply), "OK");
    ck_assert_mem_eq(ram(&machine, BASE), "ours", 4);
    ck_assert_mem_eq(ram(&machine, BASE + PAGE), "theirs", 6);
}
END_TEST

START_TEST(dirty_bytes_go_before_all_registers_are_written)
{
    ck_assert_int_eq(session_write_registers(machine.b, 0, "G00", 3, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "0:G00\n");
    ck_assert_mem_eq(ram(&machine, BASE), "ours", 4);
}
END_TEST

START_TEST(dirty_bytes_go_before_registers_are_changed_one_by_one)
{
    ck_assert_int_eq(session_begin_registers(machine.a, 1, &reply), SPACE_OK);
    ck_assert_int_eq(session_change_register(machine.a, 1, 3, "11", 2, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "1:g\n1:P3=11\n");
}
END_TEST

START_TEST(reading_leaves_the_views_alone)
{
    ck_assert_int_eq(session_read_registers(machine.a, -1, &reply), SPACE_OK);
    ck_assert_int_eq(session_read_register(machine.a, 1, 16, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "0:g+\n1:g+\n1:p10+\n");
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
}
END_TEST

START_TEST(qemu_is_asked_for_all_registers_once_a_halt)
{
    ck_assert_int_eq(session_read_register(machine.a, 1, 1, &reply), SPACE_OK);
    ck_assert_int_eq(session_read_register(machine.b, 1, 2, &reply), SPACE_OK);
    ck_assert_int_eq(session_read_register(machine.a, 2, 1, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "1:g+\n1:p1+\n1:p2+\n2:g+\n2:p1+\n");
    fake_resume_by_others(fake);
    fake_halt(fake);
    ck_assert_int_eq(session_read_register(machine.a, 1, 1, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "1:g+\n1:p1+\n");
}
END_TEST

START_TEST(any_thread_and_those_beyond_the_notes_are_asked_each_time)
{
    static const int64_t threads[] = {0, -1, 256, INT64_MAX};

    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        session_read_register(machine.a, threads[i], 1, &reply);
        sent();
        session_read_register(machine.a, threads[i], 1, &reply);
        ck_assert_ptr_nonnull(strstr(sent(), ":g"));
    }
}
END_TEST

START_TEST(others_than_qemu_are_not)
{
    fake->info.qemu = false;
    ck_assert_int_eq(session_read_register(machine.a, 1, 1, &reply), SPACE_OK);
    ck_assert_int_eq(session_write_register(machine.a, 1, 1, "00", 2, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "1:p1+\n1:P1=00\n");
}
END_TEST

START_TEST(a_g_that_fails_ends_it)
{
    refused = TARGET_RUNNING;
    ck_assert_int_eq(session_write_register(machine.a, 1, 1, "00", 2, &reply), SPACE_RUNNING);
    ck_assert_str_eq(sent(), "1:g\n");
    refused = TARGET_OK;
    ck_assert_int_eq(session_write_register(machine.a, 1, 1, "00", 2, &reply), SPACE_OK);
    ck_assert_str_eq(sent(), "1:g\n1:P1=00\n");
}
END_TEST

START_TEST(errors_and_states_keep_their_meaning)
{
    static const struct {
        enum target_error told;
        enum space_error heard;
    } errors[] = {
        {TARGET_FAULT, SPACE_FAULT},         {TARGET_RUNNING, SPACE_RUNNING},
        {TARGET_GONE, SPACE_GONE},           {TARGET_UNSUPPORTED, SPACE_UNSUPPORTED},
        {TARGET_INVALID, SPACE_INVALID},     {TARGET_FAILED, SPACE_FAILED},
        {TARGET_NO_MEMORY, SPACE_NO_MEMORY}, {TARGET_CANCELLED, SPACE_CANCELLED},
    };

    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        refused = errors[i].told;
        ck_assert_int_eq(session_packet(machine.a, 1, "?", 1, &reply), errors[i].heard);
        ck_assert_str_eq(space_error_text(errors[i].heard), target_error_text(errors[i].told));
    }
    ck_assert_int_eq(session_state(machine.a), SPACE_STATE_HALTED);
    fake_resume_by_others(fake);
    ck_assert_int_eq(session_state(machine.a), SPACE_STATE_RUNNING);
    fake_lose(fake);
    ck_assert_int_eq(session_state(machine.a), SPACE_STATE_LOST);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("registers");
    TCase *tcase = tcase_create("registers");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, dirty_bytes_go_before_a_register_is_written);
    tcase_add_test(tcase, dirty_bytes_go_before_all_registers_are_written);
    tcase_add_test(tcase, dirty_bytes_go_before_registers_are_changed_one_by_one);
    tcase_add_test(tcase, reading_leaves_the_views_alone);
    tcase_add_test(tcase, qemu_is_asked_for_all_registers_once_a_halt);
    tcase_add_test(tcase, any_thread_and_those_beyond_the_notes_are_asked_each_time);
    tcase_add_test(tcase, others_than_qemu_are_not);
    tcase_add_test(tcase, a_g_that_fails_ends_it);
    tcase_add_test(tcase, errors_and_states_keep_their_meaning);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
