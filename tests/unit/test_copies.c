/* Whose clean copies a write makes stale, and whose it leaves alone. */
#include "space/copies.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PAGE     TARGET_PAGE_SIZE
#define PHYSICAL UINT64_C(0x5000)
/* Virtual pages of the writer and of another. */
#define HERE  UINT64_C(0x10000)
#define THERE UINT64_C(0x20000)

static struct copies copies;
static struct copy_holder writer, other;

/* A line of eight clean bytes from the page's beginning on. */
static void hold(struct copy_holder *holder, uint64_t page, uint64_t physical)
{
    struct view_line *line = view_add(&holder->view, page, physical);

    ck_assert_ptr_nonnull(line);
    view_put_clean(&holder->view, line, 0, "12345678", 8);
}

static size_t held(const struct copy_holder *holder, uint64_t page)
{
    const struct view_line *line = view_find(&holder->view, page);
    return line ? line->valid_count : 0;
}

static void set_up(void)
{
    memset(&copies, 0, sizeof copies);
    memset(&writer, 0, sizeof writer);
    memset(&other, 0, sizeof other);
    copies.changes = 7; /* from before they came */
    copies_join(&copies, &writer, 16 * (size_t)PAGE);
    copies_join(&copies, &other, 16 * (size_t)PAGE);
    hold(&writer, HERE, PHYSICAL);
    hold(&writer, HERE + PAGE, PHYSICAL); /* the same memory once more */
    hold(&other, THERE, PHYSICAL);
    hold(&other, THERE + PAGE, PHYSICAL + PAGE);
}

static void tear_down(void)
{
    view_clear(&writer.view);
    copies_leave(&copies, &writer);
    view_clear(&other.view);
    copies_leave(&copies, &other);
    ck_assert_ptr_null(copies.holders);
    ck_assert_uint_eq(view_census_lines(&copies.census, PHYSICAL), 0);
}

START_TEST(a_write_by_the_view_leaves_its_own_line)
{
    copies_changed(&copies, &writer, WRITE_VIEW, HERE, PHYSICAL + 2, 3);
    ck_assert_uint_eq(held(&writer, HERE), 8);
    ck_assert_uint_eq(held(&writer, HERE + PAGE), 5);
    ck_assert_uint_eq(held(&other, THERE), 5);
    ck_assert_uint_eq(held(&other, THERE + PAGE), 8);
}
END_TEST

START_TEST(an_uncached_write_leaves_all_of_the_writers)
{
    copies_changed(&copies, &writer, WRITE_UNCACHED, HERE, PHYSICAL, 8);
    ck_assert_uint_eq(held(&writer, HERE), 8);
    ck_assert_uint_eq(held(&writer, HERE + PAGE), 8);
    ck_assert_uint_eq(held(&other, THERE), 0);
}
END_TEST

START_TEST(a_physical_write_leaves_none)
{
    copies_changed(&copies, &writer, WRITE_PHYSICAL, 0, PHYSICAL, PAGE + 1);
    ck_assert_uint_eq(held(&writer, HERE), 0);
    ck_assert_uint_eq(held(&writer, HERE + PAGE), 0);
    ck_assert_uint_eq(held(&other, THERE), 0);
    ck_assert_uint_eq(held(&other, THERE + PAGE), 7);
}
END_TEST

START_TEST(a_write_elsewhere_and_none_at_all_drop_nothing)
{
    copies_changed(&copies, &writer, WRITE_PHYSICAL, 0, PHYSICAL + 8 * PAGE, PAGE);
    copies_changed(&copies, &writer, WRITE_PHYSICAL, 0, PHYSICAL, 0);
    copies_changed(&copies, &writer, WRITE_PHYSICAL, 0, UINT64_MAX, 2); /* ends at the top */
    ck_assert_uint_eq(held(&writer, HERE), 8);
    ck_assert_uint_eq(held(&other, THERE), 8);
}
END_TEST

START_TEST(the_generation_moves_for_others)
{
    uint64_t own = copies_generation(&copies, &writer), theirs = copies_generation(&copies, &other);

    ck_assert_uint_eq(own, 0);
    ck_assert_uint_eq(theirs, 0);
    copies_changed(&copies, &writer, WRITE_VIEW, HERE, PHYSICAL + 8 * PAGE, 1);
    ck_assert_uint_eq(copies_generation(&copies, &writer), own);
    ck_assert_uint_ne(copies_generation(&copies, &other), theirs);
}
END_TEST

START_TEST(a_device_may_have_changed_anything)
{
    copies_device_written(&copies, &writer, WRITE_UNCACHED);
    ck_assert_uint_eq(copies_generation(&copies, &writer), 0);
    ck_assert_uint_eq(held(&writer, HERE), 8);
    ck_assert_uint_eq(copies_generation(&copies, &other), 1);
    ck_assert_uint_eq(held(&other, THERE + PAGE), 0);
    copies_device_written(&copies, &writer, WRITE_VIEW);
    ck_assert_uint_eq(copies_generation(&copies, &writer), 1);
    ck_assert_uint_eq(held(&writer, HERE), 0);
}
END_TEST

START_TEST(all_are_outdated_but_dirty_bytes_stay)
{
    view_put_dirty(&writer.view, view_find(&writer.view, HERE), 0, "x", 1);
    copies_all_outdated(&copies);
    ck_assert_uint_eq(held(&writer, HERE), 1);
    ck_assert_uint_eq(held(&other, THERE), 0);
    ck_assert_uint_eq(copies_generation(&copies, &writer), 1);
    ck_assert_uint_eq(copies_generation(&copies, &other), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("copies");
    TCase *tcase = tcase_create("copies");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_write_by_the_view_leaves_its_own_line);
    tcase_add_test(tcase, an_uncached_write_leaves_all_of_the_writers);
    tcase_add_test(tcase, a_physical_write_leaves_none);
    tcase_add_test(tcase, a_write_elsewhere_and_none_at_all_drop_nothing);
    tcase_add_test(tcase, the_generation_moves_for_others);
    tcase_add_test(tcase, a_device_may_have_changed_anything);
    tcase_add_test(tcase, all_are_outdated_but_dirty_bytes_stay);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
