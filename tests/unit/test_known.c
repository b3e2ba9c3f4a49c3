/* Which writes end what is known of pages and page tables. */
#include "upstream/translate/known.h"

#include "upstream/translate/page_walk.h"

#include <check.h>
#include <stdlib.h>

#define PAGE  UINT64_C(0x1000)
#define TABLE UINT64_C(0x4000)

static struct known *known;

static void setup(void)
{
    known = known_new();
    ck_assert_ptr_nonnull(known);
}

static void teardown(void)
{
    known_free(known);
}

/* Does a write of so many bytes there end what is known? */
static bool ends(uint64_t physical, size_t length)
{
    struct target_span span = {.address = physical, .length = length};
    uint64_t before = known_epoch(known);
    known_written(known, &span, 1);
    return known_epoch(known) != before;
}

static void keep_table(void)
{
    static const uint8_t bytes[PAGE_WALK_TABLE_SIZE] = {1};
    ck_assert(known_keep_table(known, TABLE, bytes));
    ck_assert_uint_eq(known_table(known, TABLE)[0], 1);
}

START_TEST(pages_by_processor)
{
    struct target_translation out;
    known_keep(known, 0, PAGE, true, 0x7000);
    known_keep(known, 1, PAGE, false, 0);
    ck_assert(known_recall(known, 0, PAGE, &out));
    ck_assert_int_eq(out.error, TARGET_OK);
    ck_assert_uint_eq(out.physical, 0x7000);
    ck_assert(known_recall(known, 1, PAGE, &out));
    ck_assert_int_eq(out.error, TARGET_FAULT);
    ck_assert(!known_recall(known, 2, PAGE, &out));
    known_forget(known);
    ck_assert(!known_recall(known, 0, PAGE, &out));
}
END_TEST

START_TEST(only_writes_to_tables_count)
{
    keep_table();
    ck_assert(!ends(TABLE - 8, 8));
    ck_assert(!ends(TABLE + PAGE, 8));
    ck_assert(!ends(TABLE, 0));
    ck_assert(ends(TABLE + PAGE - 1, 1));
    ck_assert_ptr_null(known_table(known, TABLE));
    ck_assert(!ends(TABLE, 8));
    keep_table();
    ck_assert(ends(TABLE - 0x100, 0x101));
}
END_TEST

START_TEST(a_table_that_is_being_read)
{
    struct known_reading reading = {.page = TABLE};
    known_begin_reading(known, &reading);
    ck_assert(ends(TABLE + 8, 8));
    known_end_reading(known, &reading);
    ck_assert(!ends(TABLE + 8, 8));
}
END_TEST

START_TEST(what_the_stub_found_is_blind)
{
    struct target_translation out;
    known_keep_blind(known, 0, PAGE, true, 0x7000);
    ck_assert(known_blind(known));
    known_take_back(known, 0, PAGE);
    ck_assert(!known_blind(known));
    ck_assert(!ends(0x9000, 8));
    known_keep_blind(known, 0, PAGE, true, 0x7000);
    ck_assert(ends(0x9000, 8));
    ck_assert(!known_recall(known, 0, PAGE, &out));
    ck_assert(!known_blind(known));
    known_begin_asking(known);
    ck_assert(ends(0x9000, 8));
    known_end_asking(known);
    ck_assert(!ends(0x9000, 8));
}
END_TEST

START_TEST(virtual_writes)
{
    struct target_span span = {.address = PAGE + 8, .length = 8};
    known_keep(known, 0, PAGE, true, 0x7000);
    keep_table();
    uint64_t before = known_epoch(known);
    known_written_virtual(known, 0, &span, 1);
    ck_assert_uint_eq(known_epoch(known), before);
    /* Beyond the page, and of one that is not known. */
    span.length = PAGE;
    known_written_virtual(known, 0, &span, 1);
    ck_assert_uint_eq(known_epoch(known), before + 1);
    span.length = 8;
    known_written_virtual(known, 0, &span, 1);
    ck_assert_uint_eq(known_epoch(known), before + 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("known");
    TCase *tcase = tcase_create("writes");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, pages_by_processor);
    tcase_add_test(tcase, only_writes_to_tables_count);
    tcase_add_test(tcase, a_table_that_is_being_read);
    tcase_add_test(tcase, what_the_stub_found_is_blind);
    tcase_add_test(tcase, virtual_writes);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
