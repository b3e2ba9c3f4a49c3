#include "space/view.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct view view;

static void set_up(void)
{
    view_init(&view, 4 * VIEW_LINE_SIZE);
}

static void tear_down(void)
{
    view_clear(&view);
    ck_assert_uint_eq(view.line_count, 0);
    ck_assert_uint_eq(view.valid_bytes, 0);
    ck_assert_uint_eq(view.dirty_bytes, 0);
    ck_assert_uint_eq(view.dirty_lines, 0);
}

static struct view_line *line_at(uint64_t page, uint64_t physical)
{
    struct view_line *line = view_add(&view, page, physical);
    ck_assert_ptr_nonnull(line);
    return line;
}

START_TEST(test_runs_of_dirty_bytes_come_out_exactly)
{
    struct view_line *line = line_at(0x1000, 0x1000);
    size_t offset, length;

    view_put_dirty(&view, line, 0, "a", 1);
    view_put_dirty(&view, line, 62, "bcde", 4); /* over a word of the bitmap */
    view_put_dirty(&view, line, 4095, "z", 1);
    ck_assert(view_next_dirty(line, 0, VIEW_LINE_SIZE, &offset, &length));
    ck_assert_uint_eq(offset, 0);
    ck_assert_uint_eq(length, 1);
    ck_assert(view_next_dirty(line, 1, VIEW_LINE_SIZE, &offset, &length));
    ck_assert_uint_eq(offset, 62);
    ck_assert_uint_eq(length, 4);
    ck_assert(view_next_dirty(line, 64, VIEW_LINE_SIZE, &offset, &length));
    ck_assert_uint_eq(offset, 64);
    ck_assert_uint_eq(length, 2);
    ck_assert(view_next_dirty(line, 62, 65, &offset, &length));
    ck_assert_uint_eq(length, 3);
    ck_assert(view_next_dirty(line, 66, VIEW_LINE_SIZE, &offset, &length));
    ck_assert_uint_eq(offset, 4095);
    ck_assert_uint_eq(length, 1);
    ck_assert(!view_next_dirty(line, VIEW_LINE_SIZE, VIEW_LINE_SIZE, &offset, &length));
    ck_assert(!view_next_dirty(line, 66, 4095, &offset, &length));
    ck_assert_uint_eq(view.dirty_bytes, 6);
}
END_TEST

START_TEST(test_a_whole_line_is_one_run)
{
    uint8_t bytes[VIEW_LINE_SIZE];
    struct view_line *line = line_at(0, 0);
    size_t offset, length;

    memset(bytes, 7, sizeof(bytes));
    view_put_dirty(&view, line, 0, bytes, sizeof(bytes));
    ck_assert(view_next_dirty(line, 0, VIEW_LINE_SIZE, &offset, &length));
    ck_assert_uint_eq(length, VIEW_LINE_SIZE);
    ck_assert(!view_next_missing(line, 0, VIEW_LINE_SIZE, &offset, &length));
}
END_TEST

START_TEST(test_clean_bytes_never_overwrite_dirty_ones)
{
    struct view_line *line = line_at(0, 0);

    view_put_dirty(&view, line, 2, "XY", 2);
    view_put_clean(&view, line, 0, "abcdef", 6);
    ck_assert_int_eq(memcmp(line->bytes, "abXYef", 6), 0);
    ck_assert_uint_eq(view.valid_bytes, 6);
    ck_assert_uint_eq(view.dirty_bytes, 2);
}
END_TEST

START_TEST(test_written_bytes_are_clean_whatever_they_were)
{
    struct view_line *line = line_at(0, 0);

    view_put_dirty(&view, line, 0, "XYZ", 3);
    view_put_written(&view, line, 1, "b", 1);
    ck_assert_uint_eq(view.dirty_bytes, 2);
    ck_assert_uint_eq(view.valid_bytes, 3);
    ck_assert_int_eq(memcmp(line->bytes, "XbZ", 3), 0);
}
END_TEST

START_TEST(test_a_line_ends_with_its_last_byte)
{
    struct view_line *line = line_at(0x1000, 0x1000);

    view_put_dirty(&view, line, 10, "ab", 2);
    view_put_clean(&view, line, 20, "cd", 2);
    ck_assert(view_drop_clean(&view, line, 0, VIEW_LINE_SIZE));
    ck_assert_uint_eq(view.valid_bytes, 2);
    ck_assert(view_drop(&view, line, 10, 1));
    ck_assert(!view_drop(&view, line, 11, 1));
    ck_assert_ptr_null(view_find(&view, 0x1000));
    ck_assert_uint_eq(view.dirty_lines, 0);
}
END_TEST

START_TEST(test_the_least_recently_used_clean_line_goes_first)
{
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert(view_has_room(&view));
        struct view_line *line = line_at(i * 0x1000, i * 0x1000);
        if (i == 0)
            view_put_dirty(&view, line, 0, "d", 1);
        else
            view_put_clean(&view, line, 0, "c", 1);
    }
    ck_assert(!view_has_room(&view));
    view_touch(&view, view_find(&view, 0x1000));
    ck_assert(view_evict(&view));
    ck_assert_ptr_null(view_find(&view, 0x2000));
    ck_assert(view_evict(&view));
    ck_assert_ptr_null(view_find(&view, 0x3000));
    ck_assert(view_evict(&view));
    ck_assert_ptr_null(view_find(&view, 0x1000));
    ck_assert(!view_evict(&view));
    ck_assert_ptr_nonnull(view_find(&view, 0));
    ck_assert_uint_eq(view.evictions, 3);
}
END_TEST

START_TEST(test_a_physical_range_is_dropped_in_every_alias)
{
    struct view_line *one = line_at(0x1000, 0x7000), *two = line_at(0x2000, 0x7000);
    struct view_line *other = line_at(0x3000, 0x8000), *far = line_at(0x4000, 0x107000);

    view_put_clean(&view, one, 0, "abcd", 4);
    view_put_clean(&view, two, 0, "abcd", 4);
    view_put_dirty(&view, two, 1, "D", 1);
    view_put_clean(&view, other, 0, "abcd", 4);
    view_put_clean(&view, far, 0, "abcd", 4); /* the same bucket as 0x7000, perhaps */
    view_drop_physical(&view, 0x7001, 0x7002, one);
    ck_assert_uint_eq(one->valid_count, 4);
    ck_assert_uint_eq(two->valid_count, 3);
    ck_assert_uint_eq(two->dirty_count, 1);
    ck_assert_uint_eq(other->valid_count, 4);
    ck_assert_uint_eq(far->valid_count, 4);
    /* over a page boundary */
    view_drop_physical(&view, 0x7fff, 0x8001, NULL);
    ck_assert_uint_eq(one->valid_count, 4);
    ck_assert_uint_eq(other->valid_count, 2);
    view_drop_physical(&view, 0x7000, 0x7fff, NULL);
    ck_assert_ptr_null(view_find(&view, 0x1000));
    ck_assert_uint_eq(view_find(&view, 0x2000)->valid_count, 1);
    /* the top of the space is no trap */
    view_drop_physical(&view, UINT64_MAX - 10, UINT64_MAX, NULL);
}
END_TEST

START_TEST(test_a_line_moves_with_its_physical_page)
{
    struct view_line *line = line_at(0x1000, 0x7000);

    view_put_clean(&view, line, 0, "abcd", 4);
    view_set_physical(&view, line, 0x9000);
    view_drop_physical(&view, 0x7000, 0x7fff, NULL);
    ck_assert_uint_eq(line->valid_count, 4);
    view_drop_physical(&view, 0x9000, 0x9000, NULL);
    ck_assert_uint_eq(line->valid_count, 3);
}
END_TEST

START_TEST(test_dropping_clean_bytes_everywhere_keeps_the_dirty_ones)
{
    struct view_line *one = line_at(0x1000, 0x1000), *two = line_at(0x2000, 0x2000);

    one->checked = two->checked = true;
    view_put_clean(&view, one, 0, "abcd", 4);
    view_put_clean(&view, two, 0, "abcd", 4);
    view_put_dirty(&view, two, 2, "D", 1);
    view_drop_all_clean(&view);
    ck_assert_ptr_null(view_find(&view, 0x1000));
    ck_assert_uint_eq(two->valid_count, 1);
    ck_assert(!two->checked);
}
END_TEST

START_TEST(test_discarding_counts_and_names_the_first)
{
    struct view_line *one = line_at(0x3000, 0x1000), *two = line_at(0x2000, 0x2000);
    uint64_t first = 0;

    view_put_dirty(&view, one, 0, "ab", 2);
    view_put_dirty(&view, two, 9, "c", 1);
    view_put_clean(&view, two, 0, "xyz", 3);
    ck_assert_uint_eq(view_discard(&view, &first), 3);
    ck_assert_uint_eq(first, 0x2009);
    ck_assert_ptr_null(view_find(&view, 0x3000));
    ck_assert_uint_eq(two->valid_count, 3);
    ck_assert_uint_eq(view_discard(&view, &first), 0);
}
END_TEST

START_TEST(test_dirty_pages_rise)
{
    static const uint64_t page[] = {0xfffffffffffff000, 0x2000, 0x8000000000000000, 0};
    uint64_t dirty[4];

    for (int i = 0; i < 4; i++)
        view_put_dirty(&view, line_at(page[i], page[i]), 0, "d", 1);
    ck_assert_uint_eq(view_dirty_pages(&view, dirty), 4);
    ck_assert_uint_eq(dirty[0], 0);
    ck_assert_uint_eq(dirty[1], 0x2000);
    ck_assert_uint_eq(dirty[2], 0x8000000000000000);
    ck_assert_uint_eq(dirty[3], 0xfffffffffffff000);
}
END_TEST

/* Against one flag for each byte. */
START_TEST(test_bits_agree_with_plain_flags)
{
    enum { MISSING, CLEAN, DIRTY };
    uint8_t state[VIEW_LINE_SIZE] = {0}, bytes[VIEW_LINE_SIZE] = {0};
    struct view_line *line = line_at(0, 0);

    srand(20240607);
    view_put_clean(&view, line, 4095, "", 1);
    state[4095] = CLEAN;
    for (int turn = 0; turn < 2000; turn++) {
        size_t first = (size_t)rand() % 4000, length = 1 + (size_t)rand() % 95;
        int action = rand() % 4;
        for (size_t i = first; i < first + length; i++) {
            if (action == 0)
                state[i] = DIRTY;
            else if (action == 1 && state[i] != DIRTY)
                state[i] = CLEAN;
            else if (action == 2)
                state[i] = MISSING;
            else if (action == 3 && state[i] == CLEAN)
                state[i] = MISSING;
        }
        if (action == 0)
            view_put_dirty(&view, line, first, bytes, length);
        else if (action == 1)
            view_put_clean(&view, line, first, bytes, length);
        else if (action == 2)
            ck_assert(view_drop(&view, line, first, length));
        else
            ck_assert(view_drop_clean(&view, line, first, length));
        size_t valid = 0, dirty = 0, at = 0, offset, run, wrong = 0;
        for (size_t i = 0; i < VIEW_LINE_SIZE; i++) {
            valid += state[i] != MISSING;
            dirty += state[i] == DIRTY;
        }
        ck_assert_uint_eq(valid, line->valid_count);
        ck_assert_uint_eq(dirty, line->dirty_count);
        for (; view_next_dirty(line, at, VIEW_LINE_SIZE, &offset, &run); at = offset + run) {
            while (at < offset)
                wrong += state[at++] == DIRTY;
            while (at < offset + run)
                wrong += state[at++] != DIRTY;
        }
        while (at < VIEW_LINE_SIZE)
            wrong += state[at++] == DIRTY;
        ck_assert_uint_eq(wrong, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("view");
    TCase *tests = tcase_create("view");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, test_runs_of_dirty_bytes_come_out_exactly);
    tcase_add_test(tests, test_a_whole_line_is_one_run);
    tcase_add_test(tests, test_clean_bytes_never_overwrite_dirty_ones);
    tcase_add_test(tests, test_written_bytes_are_clean_whatever_they_were);
    tcase_add_test(tests, test_a_line_ends_with_its_last_byte);
    tcase_add_test(tests, test_the_least_recently_used_clean_line_goes_first);
    tcase_add_test(tests, test_a_physical_range_is_dropped_in_every_alias);
    tcase_add_test(tests, test_a_line_moves_with_its_physical_page);
    tcase_add_test(tests, test_dropping_clean_bytes_everywhere_keeps_the_dirty_ones);
    tcase_add_test(tests, test_discarding_counts_and_names_the_first);
    tcase_add_test(tests, test_dirty_pages_rise);
    tcase_add_test(tests, test_bits_agree_with_plain_flags);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
