#include "client/cli_data.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS 8

static char error[CLI_ERROR_SIZE];
static struct cli_data data;

static bool parse(const char *const *words)
{
    size_t count = 0;

    while (words[count])
        count++;
    return cli_data_parse(&data, (char *const *)words, count, error);
}

/* All of it, step bytes at a time, with what is left being right before each. */
static void expect(bool big_endian, const char *bytes, size_t size)
{
    static const size_t steps[] = {1, 3, 1000};

    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        uint8_t got[1000];
        uint64_t left;
        size_t done = 0;
        data.word = data.offset = 0;
        ck_assert_msg(cli_data_open(&data, big_endian, error), "%s", error);
        for (;;) {
            ck_assert(cli_data_left(&data, &left));
            ck_assert_uint_eq(left, size - done);
            ssize_t count = cli_data_read(&data, got + done, steps[s], error);
            ck_assert_int_ge(count, 0);
            if (count == 0)
                break;
            done += (size_t)count;
        }
        ck_assert_uint_eq(done, size);
        ck_assert_mem_eq(got, bytes, size);
    }
}

#define EXPECT(big_endian, bytes, size, ...)                                                       \
    do {                                                                                           \
        const char *const words_[] = {__VA_ARGS__, NULL};                                          \
        ck_assert_msg(parse(words_), "%s", error);                                                 \
        expect(big_endian, bytes, size);                                                           \
        cli_data_free(&data);                                                                      \
    } while (0)

START_TEST(words_are_joined_in_order)
{
    EXPECT(false, "\x90\x90\xc3", 3, "90", "90c3");
    EXPECT(false, "\x90\x90\xc3", 3, "90 90c3");
    EXPECT(false, "\xde\xAD", 2, "dEAd");
    EXPECT(false, "hello", 5, "text:hello");
    EXPECT(false, "a b:\n", 5, "text:a b:\n");
    EXPECT(false, "", 0, "text:");
    EXPECT(false, "\x34\x12", 2, "u16:0x1234");
    EXPECT(true, "\x12\x34", 2, "u16:0x1234");
    EXPECT(false, "\x78\x56\x34\x12", 4, "u32:0x12345678");
    EXPECT(true, "\x12\x34\x56\x78", 4, "u32:0x12345678");
    EXPECT(false, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "u64:18446744073709551615");
    EXPECT(true, "\0\0\0\0\0\0\0\x0a", 8, "u64:10");
    EXPECT(false, "\x01\x02hi\x03\x00\x04", 7, "01", "02", "text:hi", "u16:3", "04");
}
END_TEST

static const struct {
    const char *word, *says;
} bad[] = {
    {"9", "in pairs"},
    {"90 9", "in pairs"},
    {"909", "in pairs"},
    {"0x90", "not hexadecimal"},
    {"zz", "not hexadecimal"},
    {"", "empty"},
    {"u8:5", "not hexadecimal"},
    {"u16:65536", "over 65535"},
    {"u16:", "not a number"},
    {"u16:-1", "not a number"},
    {"u32:0x100000000", "over 4294967295"},
    {"u64:0x10000000000000000", "64 bits"},
    {"u128:1", "not hexadecimal"},
    {"Text:a", "not hexadecimal"},
    {"@", "names no file"},
};

START_TEST(bad_words_are_named)
{
    const char *const words[] = {"90", bad[_i].word, NULL};

    ck_assert(!parse(words));
    ck_assert_msg(strstr(error, bad[_i].says), "%s", error);
}
END_TEST

START_TEST(standard_input_once)
{
    const char *const words[] = {"@-", "90", "@-", NULL};

    ck_assert(!parse(words));
    ck_assert_ptr_nonnull(strstr(error, "only once"));
}
END_TEST

static void make_file(char *path, const char *bytes, size_t size)
{
    strcpy(path, "/tmp/test_cli_data.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

START_TEST(files_are_read)
{
    char path[64], word[72];
    const char *const words[] = {"01", word, word, "02", NULL};
    uint8_t got[100];
    uint64_t left;

    make_file(path, "file", 4);
    snprintf(word, sizeof word, "@%s", path);
    ck_assert(parse(words));
    ck_assert(cli_data_open(&data, false, error));
    ck_assert(cli_data_left(&data, &left));
    ck_assert_uint_eq(left, 10);
    ck_assert_int_eq(cli_data_read(&data, got, 3, error), 3);
    ck_assert(cli_data_left(&data, &left));
    ck_assert_uint_eq(left, 7);
    ck_assert_int_eq(cli_data_read(&data, got + 3, 97, error), 7);
    ck_assert_mem_eq(got,
                     "\x01"
                     "filefile\x02",
                     10);
    ck_assert_int_eq(cli_data_read(&data, got, 100, error), 0);
    cli_data_free(&data);
    unlink(path);
    ck_assert(parse(words));
    ck_assert(!cli_data_open(&data, false, error));
    ck_assert_msg(strstr(error, path) && strstr(error, "No such file"), "%s", error);
    cli_data_free(&data);
}
END_TEST

START_TEST(a_directory_is_refused_at_once)
{
    const char *const words[] = {"90", "@/", NULL};

    ck_assert(parse(words));
    ck_assert(!cli_data_open(&data, false, error));
    ck_assert_ptr_nonnull(strstr(error, "directory"));
    cli_data_free(&data);
}
END_TEST

START_TEST(a_pipe_has_no_size_until_its_end)
{
    const char *const words[] = {"01", "@-", "02", NULL};
    uint8_t got[100];
    uint64_t left;
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    ck_assert_int_eq(write(ends[1], "pipe", 4), 4);
    close(ends[1]);
    ck_assert(parse(words));
    ck_assert(cli_data_open(&data, false, error));
    ck_assert(!cli_data_left(&data, &left));
    ck_assert_uint_eq(left, 2);
    ck_assert_int_eq(cli_data_read(&data, got, 100, error), 6);
    ck_assert_mem_eq(got, "\x01pipe\x02", 6);
    ck_assert(cli_data_left(&data, &left));
    ck_assert_uint_eq(left, 0);
    cli_data_free(&data);
    close(ends[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_data");
    TCase *tcase = tcase_create("cli_data");

    tcase_add_test(tcase, words_are_joined_in_order);
    tcase_add_loop_test(tcase, bad_words_are_named, 0, (int)(sizeof bad / sizeof bad[0]));
    tcase_add_test(tcase, standard_input_once);
    tcase_add_test(tcase, files_are_read);
    tcase_add_test(tcase, a_directory_is_refused_at_once);
    tcase_add_test(tcase, a_pipe_has_no_size_until_its_end);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
