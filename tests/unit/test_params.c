#include "rpc/params.h"

#include "msgpack_words.h"
#include "wire/protocol.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct param takes[] = {{"One", PARAM_ULONG64},     {"Two", PARAM_ULONG},
                                     {"Three", PARAM_INTERFACE}, {"Four", PARAM_SIZE},
                                     {"Five", PARAM_COUNT},      {"Six", PARAM_BIN},
                                     {"Seven", PARAM_POINTERS},  {"Eight", PARAM_TEXT}};

struct given {
    struct buffer buffer;
    struct value value;
};

static const struct value *unpack(struct given *given)
{
    const uint8_t *bytes = buffer_bytes(&given->buffer);
    struct value_reader reader = {.at = bytes, .end = bytes + given->buffer.length};

    ck_assert(value_read(&reader, &given->value));
    ck_assert_ptr_eq(reader.at, reader.end);
    return &given->value;
}

static void forget(struct given *given)
{
    buffer_free(&given->buffer);
}

/* Check one value against one type. */
static bool check(struct given *given, enum param_type type, union argument *argument,
                  char *message)
{
    const struct param *param = NULL;

    for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++)
        if (takes[i].type == type)
            param = &takes[i];
    message[0] = '\0';
    return params_check("Call", param, 1, unpack(given), argument, message);
}

static void accept_number(enum param_type type, uint64_t number)
{
    struct given given = {0};
    union argument argument;
    char message[PARAMS_MESSAGE_SIZE];

    words_pack(&given.buffer, "[u]", number);
    ck_assert_msg(check(&given, type, &argument, message), "%s", message);
    ck_assert_uint_eq(argument.number, number);
    forget(&given);
}

static void refuse(enum param_type type, struct given *given, const char *says)
{
    union argument argument;
    char message[PARAMS_MESSAGE_SIZE];

    ck_assert(!check(given, type, &argument, message));
    ck_assert_msg(strncmp(message, "Call: ", 6) == 0, "%s", message);
    ck_assert_msg(strstr(message, says), "\"%s\" lacks \"%s\"", message, says);
    forget(given);
}

#define REFUSE(type, says, ...)                                                                    \
    do {                                                                                           \
        struct given given_ = {0};                                                                 \
        words_pack(&given_.buffer, __VA_ARGS__);                                                   \
        refuse(type, &given_, says);                                                               \
    } while (0)

START_TEST(numbers_up_to_their_edge)
{
    accept_number(PARAM_ULONG64, 0);
    accept_number(PARAM_ULONG64, UINT64_MAX);
    accept_number(PARAM_ULONG, UINT32_MAX);
    accept_number(PARAM_SIZE, 0);
    accept_number(PARAM_SIZE, WIRE_BUFFER_MOST);
    accept_number(PARAM_COUNT, WIRE_POINTERS_MOST);
    REFUSE(PARAM_ULONG, "Two 4294967296 is over 4294967295", "[u]", (uint64_t)1 << 32);
    REFUSE(PARAM_SIZE, "Four 67108737 is over 67108736, the most bytes", "[u]",
           (uint64_t)WIRE_BUFFER_MOST + 1);
    REFUSE(PARAM_SIZE, "is over", "[u]", UINT64_MAX);
    REFUSE(PARAM_COUNT, "the most pointers", "[u]", (uint64_t)WIRE_POINTERS_MOST + 1);
}
END_TEST

START_TEST(what_is_no_number_is_refused)
{
    REFUSE(PARAM_ULONG64, "One is negative (-1)", "[l]", INT64_C(-1));
    REFUSE(PARAM_ULONG64, "One is negative (-9223372036854775808)", "[l]", INT64_MIN);
    REFUSE(PARAM_ULONG64, "must be an integer, not a float", "[d]", 1e30);
    REFUSE(PARAM_ULONG64, "must be an integer, not a str", "[s]", "0x1000");
    REFUSE(PARAM_ULONG, "must be an integer, not nil", "[n]");
    REFUSE(PARAM_SIZE, "must be an integer, not a boolean", "[t]");
    REFUSE(PARAM_SIZE, "Four is negative", "[l]", INT64_C(-4));
    REFUSE(PARAM_COUNT, "must be an integer, not a map", "[{}]");
}
END_TEST

START_TEST(an_interface_may_be_signed_or_not)
{
    static const struct {
        int64_t given;
        int32_t type;
    } good[] = {{0, 0}, {17, 17}, {-1, -1}, {0xffffffff, -1}, {INT32_MIN, INT32_MIN}};
    union argument argument;
    char message[PARAMS_MESSAGE_SIZE];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct given given = {0};
        words_pack(&given.buffer, "[l]", good[i].given);
        ck_assert(check(&given, PARAM_INTERFACE, &argument, message));
        ck_assert_int_eq(argument.interface_type, good[i].type);
        forget(&given);
    }
    REFUSE(PARAM_INTERFACE, "Three", "[u]", (uint64_t)1 << 32);
    REFUSE(PARAM_INTERFACE, "is negative", "[l]", (int64_t)INT32_MIN - 1);
    REFUSE(PARAM_INTERFACE, "not a str", "[s]", "isa");
}
END_TEST

START_TEST(a_buffer_is_a_bin_and_text_a_str)
{
    struct given given = {0};
    union argument argument;
    char message[PARAMS_MESSAGE_SIZE];

    words_pack(&given.buffer, "[b]", "\0\1\2", (size_t)3);
    ck_assert(check(&given, PARAM_BIN, &argument, message));
    ck_assert_uint_eq(argument.bin.size, 3);
    ck_assert_mem_eq(argument.bin.at, "\0\1\2", 3);
    forget(&given);
    REFUSE(PARAM_BIN, "Six must be a bin, not a str (a str is text, never a buffer)", "[s]", "abc");
    REFUSE(PARAM_BIN, "not an array", "[[]]");
    REFUSE(PARAM_TEXT, "Eight must be a str, not a bin", "[b]", "abc", (size_t)3);
    given = (struct given){0};
    buffer_append(&given.buffer,
                  "\x91\xa3"
                  "a\0b",
                  5);
    refuse(PARAM_TEXT, &given, "has a NUL");
}
END_TEST

START_TEST(pointers_are_all_looked_at)
{
    struct given given = {0};
    union argument argument;
    char message[PARAMS_MESSAGE_SIZE];

    words_pack(&given.buffer, "[[uu]]", UINT64_MAX, (uint64_t)5);
    ck_assert(check(&given, PARAM_POINTERS, &argument, message));
    ck_assert_uint_eq(argument.pointers.count, 2);
    struct value_reader reader = argument.pointers.first;
    struct value first;
    ck_assert(value_read(&reader, &first));
    ck_assert_uint_eq(first.number, UINT64_MAX);
    forget(&given);
    REFUSE(PARAM_POINTERS, "Seven element 2 is negative (-1)", "[[iil]]", 1, 2, INT64_C(-1));
    REFUSE(PARAM_POINTERS, "element 0 must be an integer, not a str", "[[si]]", "a", 2);
    REFUSE(PARAM_POINTERS, "must be an array", "[i]", 1);
}
END_TEST

START_TEST(their_number_must_be_right)
{
    struct given given = {0};
    union argument arguments[2];
    char message[PARAMS_MESSAGE_SIZE];

    for (int count = 0; count <= 3; count++) {
        static const char *const format[] = {"[]", "[i]", "[ii]", "[iii]"};
        given = (struct given){0};
        words_pack(&given.buffer, format[count], 1, 2, 3);
        ck_assert_int_eq(params_check("Call", takes, 2, unpack(&given), arguments, message),
                         count == 2);
        if (count != 2)
            ck_assert_ptr_nonnull(strstr(message, "Call: params must be 2 values, not "));
        forget(&given);
    }
    given = (struct given){0};
    words_pack(&given.buffer, "{si}", "Offset", 1);
    ck_assert(!params_check("Call", takes, 2, unpack(&given), arguments, message));
    ck_assert_ptr_nonnull(strstr(message, "must be an array, not a map"));
    forget(&given);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("params");
    TCase *tcase = tcase_create("params");

    tcase_add_test(tcase, numbers_up_to_their_edge);
    tcase_add_test(tcase, what_is_no_number_is_refused);
    tcase_add_test(tcase, an_interface_may_be_signed_or_not);
    tcase_add_test(tcase, a_buffer_is_a_bin_and_text_a_str);
    tcase_add_test(tcase, pointers_are_all_looked_at);
    tcase_add_test(tcase, their_number_must_be_right);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
