#include "base/buffer.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct buffer buffer;

static void set_up(void)
{
    buffer = (struct buffer){0};
}

static void tear_down(void)
{
    buffer_free(&buffer);
    ck_assert_ptr_null(buffer.data);
    ck_assert_uint_eq(buffer.length, 0);
}

static void check_bytes(const char *expected)
{
    ck_assert_uint_eq(buffer.length, strlen(expected));
    ck_assert_mem_eq(buffer_bytes(&buffer), expected, buffer.length);
}

START_TEST(an_empty_buffer_has_bytes_to_point_at)
{
    ck_assert_ptr_nonnull(buffer_bytes(&buffer));
    ck_assert(buffer_append(&buffer, NULL, 0));
    buffer_consume(&buffer, 0);
    buffer_clear(&buffer);
    check_bytes("");
}
END_TEST

START_TEST(bytes_come_out_as_they_went_in)
{
    ck_assert(buffer_append(&buffer, "hello", 5));
    ck_assert(buffer_append_byte(&buffer, ' '));
    ck_assert(buffer_printf(&buffer, "%s %d", "world", 42));
    check_bytes("hello world 42");
    buffer_consume(&buffer, 6);
    check_bytes("world 42");
    ck_assert(buffer_append(&buffer, "!", 1));
    check_bytes("world 42!");
    buffer_consume(&buffer, 9);
    check_bytes("");
    ck_assert_uint_eq(buffer.head, 0);
}
END_TEST

START_TEST(a_long_text_is_printed_whole)
{
    char text[5000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ck_assert(buffer_printf(&buffer, "<%s>", text));
    ck_assert_uint_eq(buffer.length, sizeof(text) + 1);
    ck_assert_int_eq(buffer_bytes(&buffer)[buffer.length - 1], '>');
}
END_TEST

START_TEST(a_queue_keeps_order_and_bounds)
{
    /* Uneven steps in and out, so that the content wanders over every edge of the memory. */
    uint32_t in = 0, out = 0;
    unsigned seed = 1;
    size_t most = 0;
    bool fine = true; /* asserted once a round: an assertion for each value takes its time */
    for (int round = 0; round < 10000; round++) {
        seed = seed * 1103515245 + 12345;
        for (unsigned i = 0; i < (seed >> 16) % 40; i++, in++)
            fine = buffer_append(&buffer, &in, sizeof(in)) && fine;
        seed = seed * 1103515245 + 12345;
        for (unsigned i = 0; i < (seed >> 16) % 41 && out < in; i++, out++) {
            fine = memcmp(buffer_bytes(&buffer), &out, sizeof(out)) == 0 && fine;
            buffer_consume(&buffer, sizeof(out));
        }
        ck_assert(fine && buffer.length == (in - out) * sizeof(in) &&
                  buffer.head + buffer.length <= buffer.capacity);
        if (buffer.length > most)
            most = buffer.length;
    }
    ck_assert_uint_gt(in, 100000);
    ck_assert_uint_le(buffer.capacity, 4 * most + 1024);
}
END_TEST

START_TEST(reserved_room_counts_when_committed)
{
    uint8_t *room = buffer_reserve(&buffer, 1000);
    ck_assert_ptr_nonnull(room);
    check_bytes("");
    memcpy(room, "abc", 3);
    buffer_commit(&buffer, 3);
    check_bytes("abc");
    ck_assert_ptr_eq(buffer_reserve(&buffer, 997), room + 3);
}
END_TEST

START_TEST(sizes_beyond_memory_are_refused)
{
    ck_assert(buffer_append(&buffer, "abc", 3));
    ck_assert_ptr_null(buffer_reserve(&buffer, SIZE_MAX));
    ck_assert_ptr_null(buffer_reserve(&buffer, SIZE_MAX - 3));
    ck_assert_ptr_null(buffer_reserve(&buffer, SIZE_MAX / 2 + 1));
    check_bytes("abc");
}
END_TEST

START_TEST(a_large_buffer_gives_memory_back)
{
    size_t size = (size_t)4 << 20;
    ck_assert_ptr_nonnull(buffer_reserve(&buffer, size));
    memset(buffer.data, 1, size);
    buffer_commit(&buffer, size);
    buffer_consume(&buffer, size - 1);
    ck_assert_uint_ge(buffer.capacity, size);
    buffer_consume(&buffer, 1);
    ck_assert_uint_eq(buffer.capacity, 0);
    ck_assert(buffer_append(&buffer, "x", 1));
    size_t small = buffer.capacity;
    buffer_clear(&buffer);
    ck_assert_uint_eq(buffer.capacity, small);
}
END_TEST

START_TEST(a_socket_is_read_and_written)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct buffer in = {0};

    ck_assert_int_eq(buffer_write_fd(&buffer, pair[0]), 0); /* nothing to write */
    ck_assert_int_eq(buffer_read_fd(&in, pair[1], 10), -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(buffer_read_fd(&in, pair[1], 0), -1);
    ck_assert_int_eq(errno, EINVAL);

    ck_assert(buffer_append(&buffer, "hello", 5));
    ck_assert_int_eq(buffer_write_fd(&buffer, pair[0]), 5);
    check_bytes("");
    ck_assert_int_eq(buffer_read_fd(&in, pair[1], 2), 2);
    ck_assert_int_eq(buffer_read_fd(&in, pair[1], 100), 3);
    ck_assert_uint_eq(in.length, 5);
    ck_assert_mem_eq(buffer_bytes(&in), "hello", 5);

    /* A full socket takes a part, and then nothing. */
    size_t size = (size_t)8 << 20;
    ck_assert_ptr_nonnull(buffer_reserve(&buffer, size));
    memset(buffer.data, 'x', size);
    buffer_commit(&buffer, size);
    ssize_t count, written = 0;
    while ((count = buffer_write_fd(&buffer, pair[0])) > 0)
        written += count;
    ck_assert_int_eq(count, -1);
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_gt(written, 0);
    ck_assert_uint_eq(buffer.length, size - (size_t)written);

    close(pair[0]);
    while ((count = buffer_read_fd(&in, pair[1], 65536)) > 0)
        written -= count;
    ck_assert_int_eq(count, 0);
    ck_assert_int_eq(written, 0);
    /* Nobody there any more: an error, not a signal. */
    ck_assert_int_eq(buffer_write_fd(&buffer, pair[1]), -1);
    ck_assert_int_eq(errno, EPIPE);
    close(pair[1]);
    buffer_free(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("buffer");
    TCase *tcase = tcase_create("buffer");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, an_empty_buffer_has_bytes_to_point_at);
    tcase_add_test(tcase, bytes_come_out_as_they_went_in);
    tcase_add_test(tcase, a_long_text_is_printed_whole);
    tcase_add_test(tcase, a_queue_keeps_order_and_bounds);
    tcase_add_test(tcase, reserved_room_counts_when_committed);
    tcase_add_test(tcase, sizes_beyond_memory_are_refused);
    tcase_add_test(tcase, a_large_buffer_gives_memory_back);
    tcase_add_test(tcase, a_socket_is_read_and_written);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
