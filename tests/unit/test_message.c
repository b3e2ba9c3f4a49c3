#include "wire/message.h"

#include "msgpack_words.h"
#include "witness.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 3000

/* In memory of its own, so that one byte too far is noticed. */
static uint8_t *copied(const void *bytes, size_t length)
{
    uint8_t *copy = malloc(length > 0 ? length : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, length);
    return copy;
}

/* Is it read as one whole value, and if so as msgpack-c does it? */
static bool taken(const void *message, size_t length)
{
    uint8_t *bytes = copied(message, length);
    struct value_reader reader = {.at = bytes, .end = bytes + length};
    struct value root;
    bool done = value_read(&reader, &root) && reader.at == reader.end;

    if (done) {
        msgpack_unpacked whole;
        size_t used = 0;
        msgpack_unpacked_init(&whole);
        ck_assert_int_eq(msgpack_unpack_next(&whole, (const char *)bytes, length, &used),
                         MSGPACK_UNPACK_SUCCESS);
        ck_assert_uint_eq(used, length);
        ck_assert(witness_agrees(&root, &whole.data));
        msgpack_unpacked_destroy(&whole);
    }
    free(bytes);
    return done;
}

#define PACKED(...)                                                                                \
    do {                                                                                           \
        buffer_clear(&packed);                                                                     \
        words_pack(&packed, __VA_ARGS__);                                                          \
    } while (0)
static struct buffer packed;

static bool taken_packed(void)
{
    return taken(buffer_bytes(&packed), packed.length);
}

static void tear_down(void)
{
    buffer_free(&packed);
}

static void pack_one(int which)
{
    static const uint8_t bytes[70000] = {1, 2, 3};
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536};

    switch (which) {
    case 0:
        PACKED("[iis[]]", 0, 1, "FlushCache");
        break;
    case 1:
        PACKED("[iis[ub]]", 0, 70000, "WriteVirtual", UINT64_MAX, bytes, sizes[which % 8]);
        break;
    case 2:
        PACKED("[iin[iu]]", 1, 127, 0, (uint64_t)UINT32_MAX + 1);
        break;
    case 3:
        PACKED("[ii[is]n]", 1, 65536, -2147467259, "a text of more than thirty-two characters");
        break;
    case 4:
        PACKED("[is[lllllltf]]", 2, "numbers", INT64_C(-1), INT64_C(-33), INT64_C(-129),
               INT64_C(-32769), INT64_MIN, INT64_MAX);
        break;
    default:
        PACKED("[iis[bs]]", 0, 5, "buffers", bytes, sizes[which % 8], "");
    }
}

START_TEST(ordinary_messages_are_taken)
{
    pack_one(_i);
    ck_assert(taken_packed());
    for (size_t length = 0; length < packed.length && length < 400; length++)
        ck_assert(!taken(buffer_bytes(&packed), length));
    ck_assert(buffer_append_byte(&packed, 0));
    ck_assert(!taken_packed());
}
END_TEST

/* Numbers may be written longer than they need be. */
START_TEST(every_form_of_a_number)
{
    static const char *const forms[] = {
        "\x91\x7f",
        "\x91\xe0",
        "\x91\xff",
        "\x91\xcc\x05",
        "\x91\xcd\x00\x05",
        "\x91\xce\xff\xff\xff\xff",
        "\x91\xd0\x05",
        "\x91\xd0\x80",
        "\x91\xd1\x80\x00",
        "\x91\xd1\x7f\xff",
        "\x91\xd2\x80\x00\x00\x00",
        "\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
        "\x91\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
        "\x91\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
        "\x91\xd3\x7f\xff\xff\xff\xff\xff\xff\xff",
    };
    static const size_t lengths[] = {2, 2, 2, 3, 4, 6, 3, 3, 4, 4, 6, 10, 10, 10, 10};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        ck_assert_msg(taken(forms[i], lengths[i]), "form %zu", i);
}
END_TEST

START_TEST(nested_values_are_read)
{
    PACKED("[iis[u[uu]]]", 0, 1, "WritePointersVirtual", (uint64_t)1, (uint64_t)2, (uint64_t)3);
    ck_assert(taken_packed());
    PACKED("[iis[iiiiiiiii]]", 0, 1, "many", 1, 2, 3, 4, 5, 6, 7, 8, 9);
    ck_assert(taken_packed());
    PACKED("[ii[i][i]]", 0, 1, 2, 3);
    ck_assert(taken_packed());
    PACKED("[iis[d]]", 0, 1, "float", 0.5);
    ck_assert(taken_packed());
    PACKED("[i{s[i{}]s{sn}}[[[]]]]", 1, "one", 2, "two", "three");
    ck_assert(taken_packed());
    ck_assert(taken("\x90", 1));
    ck_assert(taken("\x01", 1));
}
END_TEST

START_TEST(lengths_are_not_believed)
{
    ck_assert(!taken("", 0));
    ck_assert(!taken("\x91\xc6\xff\xff\xff\xff", 6));
    ck_assert(!taken("\x91\xdb\xff\xff\xff\xff", 6));
    ck_assert(!taken("\xdd\xff\xff\xff\xff\x01", 6));
    ck_assert(!taken("\xdf\xff\xff\xff\xff\x01\x02", 7));
    ck_assert(!taken("\x91\xc1", 2));
    ck_assert(!taken("\x91\xc7\x01\x00\x00", 5)); /* an extension */
}
END_TEST

START_TEST(values_by_index_and_by_key)
{
    struct value root, value;

    PACKED("[i{sisn}s]", 5, "one", 1, "none", "end");
    struct value_reader reader = {.at = buffer_bytes(&packed),
                                  .end = buffer_bytes(&packed) + packed.length};
    ck_assert(value_read(&reader, &root));
    ck_assert(value_at(&root, 2, &value) && value_text_is(&value, "end"));
    ck_assert(!value_text_is(&value, "en") && !value_text_is(&value, "ends"));
    ck_assert(!value_at(&root, 3, &value));
    ck_assert(value_at(&root, 0, &value) && !value_at(&value, 0, &value));
    ck_assert(value_at(&root, 1, &root));
    ck_assert(value_of_key(&root, "one", &value) && value.number == 1);
    ck_assert(value_of_key(&root, "none", &value) && value.kind == VALUE_NIL);
    ck_assert(!value_of_key(&root, "two", &value));
    ck_assert(!value_of_key(&value, "one", &value));
}
END_TEST

/* Whatever is taken is what msgpack-c finds there. */
START_TEST(random_changes_are_survived)
{
    uint32_t seed = 1 + (uint32_t)_i;

    pack_one(_i);
    for (int round = 0; round < ROUNDS && packed.length < 1000; round++) {
        uint8_t *bytes = copied(buffer_bytes(&packed), packed.length);
        for (int change = 0; change <= round % 4; change++) {
            seed = seed * 1103515245 + 12345;
            bytes[(seed >> 8) % packed.length] = (uint8_t)(seed >> 20);
        }
        taken(bytes, packed.length);
        free(bytes);
    }
}
END_TEST

START_TEST(a_message_can_be_moved)
{
    struct message *from = malloc(sizeof *from), to;
    struct value value;
    const char *fault;

    PACKED("[iin[iu]]", 1, 9, 0, (uint64_t)77);
    ck_assert_ptr_nonnull(from);
    ck_assert(message_decode(from, buffer_bytes(&packed), packed.length, &fault));
    to = *from;
    memset(from, 0xee, sizeof *from);
    free(from);
    ck_assert_int_eq(to.type, MESSAGE_RESPONSE);
    ck_assert_uint_eq(to.id, 9);
    ck_assert_int_eq(to.error.kind, VALUE_NIL);
    ck_assert_int_eq(to.result.kind, VALUE_ARRAY);
    ck_assert_uint_eq(to.result.list.count, 2);
    ck_assert(value_at(&to.result, 1, &value));
    ck_assert_uint_eq(value.number, 77);
}
END_TEST

static bool may_ask(const char *method)
{
    return message_may_ask(buffer_bytes(&packed), packed.length, method);
}

START_TEST(the_method_that_is_asked_for)
{
    PACKED("[iis[]]", 0, 70000, "SetInterrupt");
    ck_assert(may_ask("SetInterrupt"));
    ck_assert(!may_ask("SetInterrupts") && !may_ask("SetInterrup") && !may_ask("WriteIo"));
    PACKED("[iis[s]]", 0, 1, "Hello", "SetInterrupt");
    ck_assert(!may_ask("SetInterrupt"));
    /* an array, a name in longer forms than they need */
    ck_assert(message_may_ask((const uint8_t *)"\xdc\x00\x04\x00\x01\xa1x\x90", 8, "x"));
    ck_assert(message_may_ask((const uint8_t *)"\x94\x00\x01\xd9\x01x\x90", 7, "x"));
    ck_assert(!message_may_ask((const uint8_t *)"\x94\x00\x01\xd9\x01x\x90", 7, "y"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tests = tcase_create("message");

    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_loop_test(tests, ordinary_messages_are_taken, 0, 14);
    tcase_add_test(tests, every_form_of_a_number);
    tcase_add_test(tests, nested_values_are_read);
    tcase_add_test(tests, lengths_are_not_believed);
    tcase_add_test(tests, values_by_index_and_by_key);
    tcase_add_loop_test(tests, random_changes_are_survived, 0, 14);
    tcase_add_test(tests, a_message_can_be_moved);
    tcase_add_test(tests, the_method_that_is_asked_for);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
