/* What is packed is byte for byte what msgpack-c makes of the same values. */
#include "wire/pack.h"

#include "msgpack_words.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct buffer ours, theirs;
static struct pack packer = {.out = &ours};

static void tear_down(void)
{
    buffer_free(&ours);
    buffer_free(&theirs);
}

static void same(void)
{
    ck_assert(!packer.no_memory);
    ck_assert_uint_eq(ours.length, theirs.length);
    ck_assert_mem_eq(buffer_bytes(&ours), buffer_bytes(&theirs), ours.length);
    buffer_clear(&ours);
    buffer_clear(&theirs);
}

START_TEST(numbers)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int64_t near = -2; near <= 2; near++) {
            uint64_t number = ((uint64_t)1 << bit) + (uint64_t)near;
            pack_unsigned(&packer, number);
            words_pack(&theirs, "u", number);
            same();
            pack_signed(&packer, (int64_t)number);
            words_pack(&theirs, "l", (int64_t)number);
            same();
            pack_signed(&packer, (int64_t)-number);
            words_pack(&theirs, "l", (int64_t)-number);
            same();
        }
    }
}
END_TEST

START_TEST(strings_and_buffers)
{
    static char text[70001];
    static const size_t sizes[] = {0, 1, 31, 32, 33, 255, 256, 257, 65535, 65536, 70000};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memset(text, 'a', sizes[i]);
        text[sizes[i]] = '\0';
        pack_text(&packer, text);
        words_pack(&theirs, "s", text);
        same();
        pack_bin_head(&packer, (uint32_t)sizes[i]);
        ck_assert(buffer_append(&ours, text, sizes[i]));
        words_pack(&theirs, "b", (const void *)text, sizes[i]);
        same();
    }
}
END_TEST

START_TEST(containers_and_constants)
{
    pack_array(&packer, 3);
    pack_nil(&packer);
    pack_boolean(&packer, true);
    pack_boolean(&packer, false);
    words_pack(&theirs, "[ntf]");
    same();
    pack_map(&packer, 1);
    pack_text_bytes(&packer, (const uint8_t *)"key", 3);
    pack_array(&packer, 0);
    words_pack(&theirs, "{s[]}", "key");
    same();
}
END_TEST

/* Their heads alone: what is in them would be long. */
START_TEST(long_containers)
{
    static const struct {
        uint32_t count;
        size_t size;
        const char *array, *map;
    } heads[] = {
        {15, 1, "\x9f", "\x8f"},
        {16, 3, "\xdc\x00\x10", "\xde\x00\x10"},
        {65535, 3, "\xdc\xff\xff", "\xde\xff\xff"},
        {65536, 5, "\xdd\x00\x01\x00\x00", "\xdf\x00\x01\x00\x00"},
        {UINT32_MAX, 5, "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff"},
    };

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        pack_array(&packer, heads[i].count);
        ck_assert(buffer_append(&theirs, heads[i].array, heads[i].size));
        same();
        pack_map(&packer, heads[i].count);
        ck_assert(buffer_append(&theirs, heads[i].map, heads[i].size));
        same();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tests = tcase_create("pack");

    tcase_add_checked_fixture(tests, NULL, tear_down);
    tcase_add_test(tests, numbers);
    tcase_add_test(tests, strings_and_buffers);
    tcase_add_test(tests, containers_and_constants);
    tcase_add_test(tests, long_containers);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
