#include "rpc/calls.h"

#include "base/log.h"
#include "msgpack_words.h"
#include "space_fixture.h"
#include "wire/frame.h"
#include "wire/protocol.h"
#include "witness.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct machine machine;
static struct buffer request, reply;
static struct message message;
static struct witness response;

static void set_up(void)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    machine_start(&machine, CACHE_WRITE_BACK, 0);
}

static void forget(void)
{
    witness_free(&response);
    memset(&response, 0, sizeof response);
    buffer_free(&request);
    buffer_free(&reply);
}

static void tear_down(void)
{
    forget();
    machine_stop(&machine);
}

/* Carry out what stands in request; the response is one good frame. */
static void carry_out(void)
{
    struct frame_scanner scanner;
    const char *fault;

    ck_assert_msg(message_decode(&message, buffer_bytes(&request), request.length, &fault), "%s",
                  fault);
    ck_assert(call_carry_out(machine.a, "rpc#1", &message, &reply));
    frame_scanner_init(&scanner);
    ck_assert_int_eq(frame_scan(&scanner, buffer_bytes(&reply), reply.length), FRAME_COMPLETE);
    ck_assert_uint_eq(scanner.scanned, reply.length);
    witness_read(&response, buffer_bytes(&reply), reply.length);
    ck_assert_int_eq(response.type, MESSAGE_RESPONSE);
    ck_assert_uint_eq(response.id, message.id);
}

#define CALL(...)                                                                                  \
    do {                                                                                           \
        forget();                                                                                  \
        words_pack(&request, __VA_ARGS__);                                                         \
        carry_out();                                                                               \
    } while (0)

static const msgpack_object *out(HRESULT hr, uint32_t count, uint32_t which)
{
    const msgpack_object_array *result = &response.result.via.array;

    ck_assert_msg(response.error.type == MSGPACK_OBJECT_NIL, "%.*s",
                  (int)response.error.via.array.ptr[1].via.str.size,
                  response.error.via.array.ptr[1].via.str.ptr);
    ck_assert_int_eq(response.result.type, MSGPACK_OBJECT_ARRAY);
    ck_assert_uint_eq(result->size, count + 1);
    ck_assert_int_eq(result->ptr[0].via.i64, hr);
    return &result->ptr[which + (count > 0)];
}

static void succeeds(void)
{
    out(S_OK, 0, 0);
}

static void succeeds_with(uint64_t number)
{
    const msgpack_object *value = out(S_OK, 1, 0);
    ck_assert_int_eq(value->type, MSGPACK_OBJECT_POSITIVE_INTEGER);
    ck_assert_uint_eq(value->via.u64, number);
}

static void succeeds_with_bin(const void *bytes, size_t size)
{
    const msgpack_object *value = out(S_OK, 1, 0);
    ck_assert_int_eq(value->type, MSGPACK_OBJECT_BIN);
    ck_assert_uint_eq(value->via.bin.size, size);
    ck_assert_mem_eq(value->via.bin.ptr, bytes, size);
}

static void fails(HRESULT hr, const char *says)
{
    ck_assert_int_eq(response.error.type, MSGPACK_OBJECT_ARRAY);
    const msgpack_object_array *error = &response.error.via.array;
    ck_assert_uint_eq(error->size, 2);
    /* A signed 32-bit number, whatever its first bit. */
    ck_assert_int_eq(error->ptr[0].type, MSGPACK_OBJECT_NEGATIVE_INTEGER);
    ck_assert_int_eq(error->ptr[0].via.i64, hr);
    ck_assert_int_eq(response.result.type, MSGPACK_OBJECT_NIL);
    ck_assert_int_eq(error->ptr[1].type, MSGPACK_OBJECT_STR);
    char text[1024] = "";
    memcpy(text, error->ptr[1].via.str.ptr, error->ptr[1].via.str.size);
    ck_assert_msg(strstr(text, says), "\"%s\" lacks \"%s\"", text, says);
}

START_TEST(hello_tells_what_the_target_is)
{
    CALL("[iis[si]]", 0, 7, "Hello", "test", 2);
    ck_assert_ptr_null(session_take_warning(machine.a));
    const msgpack_object *map = out(S_OK, 2, 1);
    ck_assert_int_eq(out(S_OK, 2, 0)->type, MSGPACK_OBJECT_STR);
    ck_assert_int_eq(map->type, MSGPACK_OBJECT_MAP);
    ck_assert_uint_eq(map->via.map.size, 6);
    static const char *const keys[] = {"architecture", "pointer_size", "big_endian",
                                       "processors",   "page_size",    "upstream"};
    for (uint32_t i = 0; i < 6; i++)
        ck_assert(witness_text_is(&map->via.map.ptr[i].key, keys[i]));
    ck_assert_uint_eq(map->via.map.ptr[1].val.via.u64, 8);
    ck_assert_uint_eq(map->via.map.ptr[3].val.via.u64, 2);
    ck_assert_uint_eq(map->via.map.ptr[4].val.via.u64, 4096);
}
END_TEST

START_TEST(hello_of_another_version_is_refused)
{
    CALL("[iis[si]]", 0, 7, "Hello", "test", 3);
    fails(E_INVALIDARG, "Hello: protocol version 3 is not spoken here, only version 2");
    CALL("[iis[si]]", 0, 7, "Hello", "test", 0);
    fails(E_INVALIDARG, "Hello: protocol version 0");
    CALL("[iis[su]]", 0, 7, "Hello", "test", UINT64_MAX);
    fails(E_INVALIDARG, "Hello: protocol version 18446744073709551615");
    CALL("[iis[i]]", 0, 8, "SetEventCallbacks", 0x400);
    succeeds();
}
END_TEST

/* Its bits mean other events than ours: it gets none, and is told why. */
START_TEST(hello_of_the_first_version)
{
    CALL("[iis[i]]", 0, 6, "SetEventCallbacks", 0x400);
    CALL("[iis[si]]", 0, 7, "Hello", "test", 1);
    out(S_OK, 2, 0);
    const char *warning = session_take_warning(machine.a);
    ck_assert_ptr_nonnull(warning);
    ck_assert_ptr_nonnull(strstr(warning, "SetEventCallbacks will be refused"));
    ck_assert_uint_eq(session_event_mask(machine.a), 0);
    CALL("[iis[i]]", 0, 8, "SetEventCallbacks", 0x200);
    fails(E_INVALIDARG, "protocol version 2");
    CALL("[iis[i]]", 0, 8, "SetEventCallbacks", 0x400);
    fails(E_INVALIDARG, "protocol version 2");
    CALL("[iis[i]]", 0, 9, "SetEventCallbacks", 0);
    succeeds();
    CALL("[iis[si]]", 0, 7, "Hello", "test", 2);
    CALL("[iis[i]]", 0, 8, "SetEventCallbacks", 0xc00);
    succeeds();
    ck_assert_ptr_null(session_take_warning(machine.a));
}
END_TEST

START_TEST(bits_of_events_are_dbgengs)
{
    CALL("[iis[i]]", 0, 1, "SetEventCallbacks", 0x400);
    ck_assert_uint_eq(session_event_mask(machine.a), DEBUG_EVENT_CHANGE_DEBUGGEE_STATE);
    CALL("[iis[i]]", 0, 1, "SetEventCallbacks", 0x800);
    ck_assert_uint_eq(session_event_mask(machine.a), DEBUG_EVENT_CHANGE_ENGINE_STATE);
    CALL("[iis[i]]", 0, 1, "SetEventCallbacks", 0x200);
    fails(E_INVALIDARG, "0x400 (ChangeDebuggeeState) and 0x800 (ChangeEngineState)");
    ck_assert_uint_eq(DEBUG_CES_EXECUTION_STATUS, 0x10);
}
END_TEST

START_TEST(virtual_memory_both_ways)
{
    CALL("[iis[ub]]", 0, 1, "WriteVirtual", BASE, "abcd", (size_t)4);
    succeeds_with(4);
    ck_assert_uint_eq(dirty_bytes(machine.a), 4);
    CALL("[iis[ui]]", 0, 2, "ReadVirtual", BASE, 4);
    succeeds_with_bin("abcd", 4);
    CALL("[iis[ui]]", 0, 3, "ReadVirtualUncached", BASE, 4);
    succeeds_with_bin("\0\0\0\0", 4);
    CALL("[iis[ub]]", 0, 4, "WriteVirtualUncached", BASE + 8, "xy", (size_t)2);
    succeeds_with(2);
    ck_assert_mem_eq(ram(&machine, BASE + 8), "xy", 2);
}
END_TEST

/* Answers of one number are put together by hand: byte for byte what msgpack-c makes of them. */
START_TEST(every_length_of_a_number)
{
    static const uint64_t edges[] = {0,          1,
                                     0x7f,       0x80,
                                     UINT8_MAX,  UINT8_MAX + 1,
                                     UINT16_MAX, UINT16_MAX + 1,
                                     UINT32_MAX, UINT64_C(1) << 32,
                                     UINT64_MAX};
    const size_t count = sizeof edges / sizeof edges[0];

    for (size_t i = 0; i < count * count; i++) {
        uint64_t id = edges[i / count], number = edges[i % count];
        if (id > UINT32_MAX)
            continue;
        forget();
        words_pack(&request, "[iun[iu]]", 1, id, (int)(i % 2), number);
        ck_assert(call_answer_number(machine.a, "rpc#1", "WriteIo", (uint32_t)id,
                                     i % 2 ? S_FALSE : S_OK, "", number, &reply));
        ck_assert_uint_eq(reply.length, request.length);
        ck_assert_mem_eq(buffer_bytes(&reply), buffer_bytes(&request), reply.length);
    }
}
END_TEST

START_TEST(a_partial_transfer_says_how_far_it_got)
{
    static const uint8_t bytes[8192];

    CALL("[iis[ub]]", 0, 1, "WriteVirtual", UNMAPPED - 16, bytes, sizeof bytes);
    succeeds_with(16);
    CALL("[iis[ui]]", 0, 1, "ReadVirtual", UNMAPPED - 16, 8192);
    succeeds_with_bin(bytes, 16);
    CALL("[iis[ub]]", 0, 1, "WriteVirtual", UNMAPPED, bytes, sizeof bytes);
    fails(SB_ERROR_WRITE_FAULT, "WriteVirtual");
    CALL("[iis[ui]]", 0, 1, "ReadVirtual", UNMAPPED, 1);
    fails(SB_ERROR_READ_FAULT, "ReadVirtual");
}
END_TEST

START_TEST(nothing_at_all_is_fine)
{
    CALL("[iis[ub]]", 0, 1, "WriteVirtual", UNMAPPED, "", (size_t)0);
    succeeds_with(0);
    CALL("[iis[ui]]", 0, 1, "ReadVirtual", UNMAPPED, 0);
    succeeds_with_bin("", 0);
    CALL("[iis[iu]]", 0, 1, "ReadPointersVirtual", 0, BASE);
    ck_assert_uint_eq(out(S_OK, 1, 0)->via.array.size, 0);
    CALL("[iis[u[]]]", 0, 1, "WritePointersVirtual", BASE);
    succeeds();
}
END_TEST

START_TEST(the_largest_read_is_short_but_fits)
{
    CALL("[iis[uu]]", 0, 1, "ReadVirtual", BASE, (uint64_t)WIRE_BUFFER_MOST);
    ck_assert_uint_eq(out(S_OK, 1, 0)->via.bin.size, 8 * PAGE);
    CALL("[iis[uu]]", 0, 1, "ReadVirtual", BASE, (uint64_t)WIRE_BUFFER_MOST + 1);
    fails(E_INVALIDARG, "ReadVirtual: BufferSize 67108737 is over 67108736");
}
END_TEST

START_TEST(pointers_both_ways)
{
    CALL("[iis[u[uu]]]", 0, 1, "WritePointersVirtual", BASE, UINT64_MAX - 1, (uint64_t)5);
    succeeds();
    CALL("[iis[iu]]", 0, 2, "ReadPointersVirtual", 2, BASE);
    const msgpack_object_array *pointers = &out(S_OK, 1, 0)->via.array;
    ck_assert_uint_eq(pointers->size, 2);
    ck_assert_uint_eq(pointers->ptr[0].via.u64, UINT64_MAX - 1);
    ck_assert_uint_eq(pointers->ptr[1].via.u64, 5);
    CALL("[iis[iu]]", 0, 3, "ReadPointersVirtual", 2, UNMAPPED - 8);
    fails(SB_ERROR_READ_FAULT, "ReadPointersVirtual");
    CALL("[iis[u[u]]]", 0, 1, "WritePointersVirtual", UNMAPPED, (uint64_t)1);
    fails(SB_ERROR_WRITE_FAULT, "WritePointersVirtual");
}
END_TEST

START_TEST(physical_memory_both_ways)
{
    CALL("[iis[ub]]", 0, 1, "WritePhysical", RAM_AT, "pq", (size_t)2);
    succeeds_with(2);
    CALL("[iis[ui]]", 0, 1, "ReadPhysical", RAM_AT, 2);
    succeeds_with_bin("pq", 2);
    CALL("[iis[uib]]", 0, 1, "WritePhysical2", BAR_BASE, 2, "rstu", (size_t)4);
    succeeds_with(4);
    CALL("[iis[uii]]", 0, 1, "ReadPhysical2", BAR_BASE, 2, 4);
    succeeds_with_bin("rstu", 4);
    CALL("[iis[uib]]", 0, 1, "WritePhysical2", RAM_AT, 4, "r", (size_t)1);
    fails(E_INVALIDARG, "WritePhysical2");
    CALL("[iis[ub]]", 0, 1, "WritePhysical", ROM_BASE, "r", (size_t)1);
    fails(SB_ERROR_WRITE_FAULT, "WritePhysical");
}
END_TEST

START_TEST(ports_both_ways)
{
    CALL("[iis[iiiib]]", 0, 1, "WriteIo", 1, 0, 1, 0x70, "\x12\x34", (size_t)2);
    succeeds_with(2);
    CALL("[iis[iiiii]]", 0, 1, "ReadIo", 1, 0, 1, 0x70, 2);
    succeeds_with_bin("\x12\x34", 2);
    CALL("[iis[iiiii]]", 0, 1, "ReadIo", 1, 0, 2, 0x70, 2);
    fails(E_INVALIDARG, "ReadIo");
    CALL("[iis[iiiii]]", 0, 1, "ReadIo", 1, 0, 1, 0x71, 2);
    fails(SB_STATUS_DATATYPE_MISALIGNMENT, "ReadIo");
    CALL("[iis[liiib]]", 0, 1, "WriteIo", INT64_C(-1), 0, 1, 0x70, "a", (size_t)1);
    fails(E_INVALIDARG, "WriteIo");
    CALL("[iis[iiiii]]", 0, 1, "ReadIo", 1, 0, 1, 0x70, 60000000);
    fails(E_INVALIDARG, "ReadIo");
}
END_TEST

START_TEST(translation)
{
    CALL("[iis[u]]", 0, 1, "VirtualToPhysical", BASE + 5);
    succeeds_with(RAM_AT + 5);
    CALL("[iis[u]]", 0, 1, "VirtualToPhysical", UNMAPPED);
    fails(SB_STATUS_NO_PAGEFILE, "VirtualToPhysical");
}
END_TEST

START_TEST(run_control)
{
    CALL("[iis[]]", 0, 1, "GetExecutionStatus");
    succeeds_with(DEBUG_STATUS_BREAK);
    CALL("[iis[i]]", 0, 1, "WaitForEvent", 0);
    ck_assert_int_eq(out(S_OK, 1, 0)->type, MSGPACK_OBJECT_STR);
    CALL("[iis[i]]", 0, 1, "SetExecutionStatus", 1);
    succeeds();
    CALL("[iis[]]", 0, 1, "GetExecutionStatus");
    succeeds_with(DEBUG_STATUS_GO);
    CALL("[iis[i]]", 0, 1, "WaitForEvent", 0);
    ck_assert_uint_eq(out(S_FALSE, 1, 0)->via.str.size, 0);
    CALL("[iis[ui]]", 0, 1, "ReadVirtual", BASE, 4);
    fails(E_UNEXPECTED, "ReadVirtual");
    CALL("[iis[]]", 0, 1, "SetInterrupt");
    succeeds();
    CALL("[iis[i]]", 0, 1, "SetExecutionStatus", 3);
    fails(E_INVALIDARG, "SetExecutionStatus");
}
END_TEST

START_TEST(processors)
{
    CALL("[iis[]]", 0, 1, "GetNumberProcessors");
    succeeds_with(2);
    CALL("[iis[i]]", 0, 1, "SetCurrentProcessor", 1);
    succeeds();
    CALL("[iis[]]", 0, 1, "GetCurrentProcessor");
    succeeds_with(1);
    CALL("[iis[i]]", 0, 1, "SetCurrentProcessor", 2);
    fails(E_INVALIDARG, "SetCurrentProcessor");
}
END_TEST

START_TEST(the_view)
{
    CALL("[iis[ub]]", 0, 1, "WriteVirtual", BASE, "abcd", (size_t)4);
    CALL("[iis[]]", 0, 1, "GetCacheStatus");
    const msgpack_object *map = out(S_OK, 1, 0);
    ck_assert_uint_eq(map->via.map.size, 13);
    ck_assert(witness_text_is(&map->via.map.ptr[0].key, "policy"));
    ck_assert(witness_text_is(&map->via.map.ptr[0].val, "write-back"));
    ck_assert(witness_text_is(&map->via.map.ptr[4].key, "dirty_bytes"));
    ck_assert_uint_eq(map->via.map.ptr[4].val.via.u64, 4);
    CALL("[iis[]]", 0, 1, "FlushCache");
    succeeds_with(4);
    CALL("[iis[ub]]", 0, 1, "WriteVirtual", BASE, "xyz", (size_t)3);
    CALL("[iis[]]", 0, 1, "DiscardCache");
    succeeds_with(3);
    CALL("[iis[]]", 0, 1, "InvalidateCache");
    succeeds();
    CALL("[iis[s]]", 0, 1, "SetCachePolicy", "off");
    succeeds();
    CALL("[iis[s]]", 0, 1, "SetCachePolicy",
         "a policy much longer than any policy there is\x1b[2J");
    fails(E_INVALIDARG, "is no policy");
    CALL("[iis[s]]", 0, 1, "SetCachePolicy", "");
    fails(E_INVALIDARG, "is no policy");
    CALL("[iis[s]]", 0, 1, "SetCachePolicy", "OFF");
    fails(E_INVALIDARG, "\"OFF\" is no policy");
}
END_TEST

START_TEST(unknown_methods_and_wrong_names)
{
    CALL("[iis[]]", 0, 1, "");
    fails(E_NOTIMPL, "there is no method");
    CALL("[iis[]]", 0, 1, "FormatDisk");
    fails(E_NOTIMPL, "there is no method \"FormatDisk\"");
    CALL("[iis[]]", 0, 1, "readvirtual");
    fails(E_NOTIMPL, "readvirtual");
    CALL("[iis[]]", 0, 1, "\xff\x1b[2J");
    fails(E_NOTIMPL, "\"??[2J\"");
    CALL("[iib[]]", 0, 1, "Hello", (size_t)5);
    fails(E_INVALIDARG, "must be a str, not a bin");
    CALL("[iii[]]", 0, 1, 5);
    fails(E_INVALIDARG, "must be a str, not an integer");
}
END_TEST

/* No call acts on parameters that are not all good. */
START_TEST(wrong_parameters_change_nothing)
{
    fake_clear_log(&machine.fake);
    CALL("[iis[us]]", 0, 1, "WriteVirtual", BASE, "text");
    fails(E_INVALIDARG, "WriteVirtual: Buffer must be a bin");
    CALL("[iis[lb]]", 0, 1, "WriteVirtual", INT64_C(-4096), "a", (size_t)1);
    fails(E_INVALIDARG, "WriteVirtual: Offset is negative (-4096)");
    CALL("[iis[u[ul]]]", 0, 1, "WritePointersVirtual", BASE, (uint64_t)1, INT64_C(-1));
    fails(E_INVALIDARG, "WritePointersVirtual: Ptrs element 1 is negative");
    CALL("[iis[u]]", 0, 1, "WriteVirtual", BASE);
    fails(E_INVALIDARG, "params must be 2 values, not 1");
    CALL("[iisn]", 0, 1, "FlushCache");
    fails(E_INVALIDARG, "params must be an array, not nil");
    CALL("[iis[i]]", 0, 1, "FlushCache", 1);
    fails(E_INVALIDARG, "params must be 0 values");
    CALL("[iis[u]]", 0, 1, "SetExecutionStatus", (uint64_t)1 << 32);
    fails(E_INVALIDARG, "Status 4294967296 is over");
    ck_assert_uint_eq(fake_traffic(&machine.fake), 0);
    ck_assert_uint_eq(dirty_bytes(machine.a), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls");
    TCase *tcase = tcase_create("calls");

    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, hello_tells_what_the_target_is);
    tcase_add_test(tcase, hello_of_another_version_is_refused);
    tcase_add_test(tcase, hello_of_the_first_version);
    tcase_add_test(tcase, bits_of_events_are_dbgengs);
    tcase_add_test(tcase, virtual_memory_both_ways);
    tcase_add_test(tcase, every_length_of_a_number);
    tcase_add_test(tcase, a_partial_transfer_says_how_far_it_got);
    tcase_add_test(tcase, nothing_at_all_is_fine);
    tcase_add_test(tcase, the_largest_read_is_short_but_fits);
    tcase_add_test(tcase, pointers_both_ways);
    tcase_add_test(tcase, physical_memory_both_ways);
    tcase_add_test(tcase, ports_both_ways);
    tcase_add_test(tcase, translation);
    tcase_add_test(tcase, run_control);
    tcase_add_test(tcase, processors);
    tcase_add_test(tcase, the_view);
    tcase_add_test(tcase, unknown_methods_and_wrong_names);
    tcase_add_test(tcase, wrong_parameters_change_nothing);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
