#include "wire/frame.h"

#include "msgpack_words.h"
#include "wire/message.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Scan bytes that are there all at once. */
static enum frame_result scan(struct frame_scanner *scanner, const void *bytes, size_t length)
{
    frame_scanner_init(scanner);
    return frame_scan(scanner, bytes, length);
}

static void fill(struct buffer *message, int which)
{
    static const uint8_t bytes[300] = {1, 2, 3};

    switch (which) {
    case 0:
        words_pack(message, "[iis[]]", 0, 1, "FlushCache");
        break;
    case 1:
        words_pack(message, "[iis[ub]]", 0, 70000, "WriteVirtual", UINT64_MAX, bytes, sizeof bytes);
        break;
    case 2:
        words_pack(message, "[is[is]]", 2, "Error", -5,
                   "a text of more than thirty-two characters");
        break;
    case 3:
        words_pack(message, "[iin[i{sisfsns[dd]}]]", 1, 2, 0, "a", 1, "b", "c", "d", 0.5, 1e300);
        break;
    default:
        words_pack(message, "[iis[ull]]", 0, 200, "x", (uint64_t)40000, INT64_C(-100),
                   INT64_C(-40000));
    }
}

START_TEST(every_prefix_is_incomplete_and_the_whole_complete)
{
    struct buffer message = {0};
    struct frame_scanner scanner;

    fill(&message, _i);
    const uint8_t *bytes = buffer_bytes(&message);
    for (size_t length = 0; length < message.length; length++)
        ck_assert_int_eq(scan(&scanner, bytes, length), FRAME_INCOMPLETE);
    ck_assert_int_eq(scan(&scanner, bytes, message.length), FRAME_COMPLETE);
    ck_assert_uint_eq(scanner.scanned, message.length);
    buffer_free(&message);
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
    struct buffer message = {0};
    struct frame_scanner scanner;

    fill(&message, _i);
    frame_scanner_init(&scanner);
    for (size_t length = 0; length < message.length; length++) {
        /* Each prefix in memory of its own, so that a look past its end is seen. */
        uint8_t *prefix = malloc(length > 0 ? length : 1);
        memcpy(prefix, buffer_bytes(&message), length);
        ck_assert_int_eq(frame_scan(&scanner, prefix, length), FRAME_INCOMPLETE);
        ck_assert_uint_le(length - scanner.scanned, 8);
        free(prefix);
    }
    ck_assert_int_eq(frame_scan(&scanner, buffer_bytes(&message), message.length), FRAME_COMPLETE);
    buffer_free(&message);
}
END_TEST

START_TEST(what_follows_is_not_touched)
{
    struct buffer message = {0};
    struct frame_scanner scanner;

    fill(&message, _i);
    size_t whole = message.length;
    buffer_append(&message, "\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1\xc1", 9);
    ck_assert_int_eq(scan(&scanner, buffer_bytes(&message), message.length), FRAME_COMPLETE);
    ck_assert_uint_eq(scanner.scanned, whole);
    buffer_free(&message);
}
END_TEST

/* Heads that are refused before anything they announce has come. */
static const struct {
    const char *name;
    const char *bytes;
    size_t length;
    const char *fault;
} refused[] = {
    {"a number", "\x05", 1, "array of 3 or 4"},
    {"the G of GET", "GET /", 5, "array of 3 or 4"},
    {"an empty array", "\x90", 1, "array of 3 or 4"},
    {"an array of 5", "\x95", 1, "array of 3 or 4"},
    {"a map of 1", "\x81", 1, "array of 3 or 4"},
    {"a bin", "\xc4\x05", 2, "array of 3 or 4"},
    {"an array of 4 G, alone", "\xdd\xff\xff\xff\xff", 5, "array of 3 or 4"},
    {"an array of 4 G, inside", "\x94\x00\x01\xdd\xff\xff\xff\xff", 8, "longer than 64 MiB"},
    {"a map of 4 G", "\x94\x00\x01\xdf\xff\xff\xff\xff", 8, "longer than 64 MiB"},
    {"a map of 32 M pairs", "\x94\x00\x01\xdf\x02\x00\x00\x00", 8, "longer than 64 MiB"},
    {"a str of 4 G", "\x94\x00\x01\xdb\xff\xff\xff\xff", 8, "longer than 64 MiB"},
    {"a bin of 64 MiB", "\x94\x00\x01\xc6\x04\x00\x00\x00", 8, "longer than 64 MiB"},
    {"an array of 9 M", "\x94\x00\x01\xdd\x00\x90\x00\x00", 8, "more than 8388608"},
    {"never used", "\x94\x00\x01\xc1", 4, "begins no value"},
    {"ext 8", "\x94\x00\x01\xc7", 4, "begins no value"},
    {"ext 32", "\x94\x00\x01\xc9", 4, "begins no value"},
    {"fixext 1", "\x94\x00\x01\xd4", 4, "begins no value"},
    {"fixext 16", "\x94\x00\x01\xd8", 4, "begins no value"},
    {"9 deep", "\x94\x91\x91\x91\x91\x91\x91\x91\x91", 9, "8 deep"},
    {"9 deep, empty", "\x94\x91\x91\x91\x91\x91\x91\x91\x90", 9, "8 deep"},
    {"9 deep by maps", "\x94\x00\x81\x00\x81\x00\x81\x00\x81\x00\x81\x00\x81\x00\x81\x00\x80", 17,
     "8 deep"},
};

START_TEST(bombs_are_refused_at_their_head)
{
    struct frame_scanner scanner;
    const uint8_t *bytes = (const uint8_t *)refused[_i].bytes;

    ck_assert_msg(scan(&scanner, bytes, refused[_i].length) == FRAME_BAD, "%s passed",
                  refused[_i].name);
    ck_assert_msg(strstr(scanner.fault, refused[_i].fault), "%s: %s", refused[_i].name,
                  scanner.fault);
}
END_TEST

/* Two pairs of a map are four values, but a map is no message. */
START_TEST(a_map_is_no_message)
{
    const uint8_t bytes[] = {0x82, 0, 1, 2, 3};
    struct frame_scanner scanner;
    struct message message;
    const char *fault;

    ck_assert(scan(&scanner, bytes, sizeof bytes) != FRAME_COMPLETE ||
              !message_decode(&message, bytes, sizeof bytes, &fault));
}
END_TEST

START_TEST(a_bad_message_stays_bad)
{
    struct frame_scanner scanner;

    ck_assert_int_eq(scan(&scanner, "\xc1", 1), FRAME_BAD);
    ck_assert_int_eq(frame_scan(&scanner, (const uint8_t *)"\xc1\x00", 2), FRAME_BAD);
}
END_TEST

START_TEST(eight_deep_is_allowed)
{
    struct frame_scanner scanner;
    const char *deep = "\x94\x00\x01\x91\x91\x91\x91\x91\x91\x91\x05\x06";

    ck_assert_int_eq(scan(&scanner, deep, 12), FRAME_COMPLETE);
    ck_assert_uint_eq(scanner.scanned, 12);
}
END_TEST

/* [0, 1, <bin of as many bytes as fit>, nil] */
START_TEST(the_largest_frame_is_exactly_64_mib)
{
    struct frame_scanner scanner;
    const uint32_t most = WIRE_FRAME_MOST - 9;
    uint8_t *bytes = calloc(1, WIRE_FRAME_MOST);

    for (uint32_t extra = 0; extra < 2; extra++) {
        uint32_t size = most + extra;
        memcpy(bytes, "\x94\x00\x01\xc6", 4);
        for (unsigned i = 0; i < 4; i++)
            bytes[4 + i] = (uint8_t)(size >> (24 - 8 * i));
        enum frame_result result = scan(&scanner, bytes, WIRE_FRAME_MOST);
        ck_assert_int_eq(result, extra == 0 ? FRAME_COMPLETE : FRAME_BAD);
        if (extra == 0)
            ck_assert_uint_eq(scanner.scanned, WIRE_FRAME_MOST);
    }
    free(bytes);
}
END_TEST

/* As many pointers as the protocol promises do pass. */
START_TEST(the_promised_number_of_pointers_fits)
{
    struct frame_scanner scanner;
    uint8_t head[] = {0x94, 0x00, 0xce, 0xff, 0xff, 0xff, 0xff, 0xa1, 'x', 0x92, 0xcf, 0,
                      0,    0,    0,    0,    0,    0,    0,    0xdd, 0,   0,    0,    0};
    size_t size = sizeof head + (size_t)WIRE_POINTERS_MOST * 9;
    uint8_t *bytes = malloc(size);

    for (unsigned i = 0; i < 4; i++)
        head[20 + i] = (uint8_t)(WIRE_POINTERS_MOST >> (24 - 8 * i));
    memset(bytes, 0, size);
    memcpy(bytes, head, sizeof head);
    for (size_t i = 0; i < WIRE_POINTERS_MOST; i++)
        bytes[sizeof head + 9 * i] = 0xcf;
    ck_assert_int_eq(scan(&scanner, bytes, size), FRAME_COMPLETE);
    ck_assert_uint_eq(scanner.scanned, size);
    free(bytes);
}
END_TEST

/* Whatever the bytes are: no look past their end, the same verdict in one go and byte by byte, and
 * what passes can be decoded. */
START_TEST(random_changes_are_survived)
{
    struct buffer message = {0};
    uint32_t seed = 12345 + (uint32_t)_i;

    fill(&message, _i % 5);
    for (int round = 0; round < 4000; round++) {
        uint8_t *bytes = malloc(message.length);
        memcpy(bytes, buffer_bytes(&message), message.length);
        for (int change = 0; change <= round % 4; change++) {
            seed = seed * 1103515245 + 12345;
            bytes[(seed >> 8) % message.length] = (uint8_t)(seed >> 20);
        }
        struct frame_scanner whole, slow;
        enum frame_result result = scan(&whole, bytes, message.length);
        enum frame_result slowly = FRAME_INCOMPLETE;
        frame_scanner_init(&slow);
        for (size_t n = 0; n <= message.length && slowly == FRAME_INCOMPLETE; n++)
            slowly = frame_scan(&slow, bytes, n);
        ck_assert_int_eq(result, slowly);
        if (result == FRAME_COMPLETE) {
            struct message decoded;
            const char *fault = NULL;
            ck_assert_uint_eq(whole.scanned, slow.scanned);
            ck_assert_uint_le(whole.scanned, message.length);
            if (!message_decode(&decoded, bytes, whole.scanned, &fault))
                ck_assert_str_ne(fault, "not a MessagePack value");
        }
        free(bytes);
    }
    buffer_free(&message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("frame");
    TCase *tcase = tcase_create("frame");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, every_prefix_is_incomplete_and_the_whole_complete, 0, 5);
    tcase_add_loop_test(tcase, bytes_may_come_one_by_one, 0, 5);
    tcase_add_loop_test(tcase, what_follows_is_not_touched, 0, 5);
    tcase_add_loop_test(tcase, bombs_are_refused_at_their_head, 0,
                        (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(tcase, a_map_is_no_message);
    tcase_add_test(tcase, a_bad_message_stays_bad);
    tcase_add_test(tcase, eight_deep_is_allowed);
    tcase_add_test(tcase, the_largest_frame_is_exactly_64_mib);
    tcase_add_test(tcase, the_promised_number_of_pointers_fits);
    tcase_add_loop_test(tcase, random_changes_are_survived, 0, 10);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
