#include "stub/breakpoints.h"
#include "stub_run.h"

static const struct breakpoint_key point = {.address = 0x1000, .kind = 1, .type = 0};
static const struct breakpoint_key watch = {.address = 0x2000, .kind = 4, .type = 2};

START_TEST(counted)
{
    struct breakpoints all = {0};
    ck_assert_int_eq(breakpoints_add(&all, &point, 1), BREAKPOINT_TELL);
    ck_assert_uint_eq(breakpoints_count(&all), 0); /* not before the target has it */
    ck_assert(breakpoints_inserted(&all, &point, 1));
    ck_assert_int_eq(breakpoints_add(&all, &point, 1), BREAKPOINT_NOTHING);
    ck_assert_int_eq(breakpoints_add(&all, &point, 2), BREAKPOINT_NOTHING);
    ck_assert_int_eq(breakpoints_remove(&all, &point, 3), BREAKPOINT_NOTHING);
    ck_assert_int_eq(breakpoints_remove(&all, &point, 1), BREAKPOINT_NOTHING);
    ck_assert_int_eq(breakpoints_remove(&all, &point, 1), BREAKPOINT_NOTHING);
    ck_assert(breakpoints_at(&all, 0x1000, 0, 2) && !breakpoints_at(&all, 0x1000, 0, 1));
    ck_assert_int_eq(breakpoints_remove(&all, &point, 2), BREAKPOINT_TELL);
    ck_assert(breakpoints_at(&all, 0x1000, 0, 2)); /* the target may refuse */
    breakpoints_removed(&all, &point);
    ck_assert(!breakpoints_at(&all, 0x1000, -1, 0));
    breakpoints_clear(&all);
}
END_TEST

START_TEST(kinds_differ)
{
    struct breakpoints all = {0};
    struct breakpoint_key hardware = point, wide = point;
    hardware.type = 1;
    wide.kind = 2;
    ck_assert(breakpoints_inserted(&all, &point, 1));
    ck_assert_int_eq(breakpoints_add(&all, &hardware, 1), BREAKPOINT_TELL);
    ck_assert_int_eq(breakpoints_add(&all, &wide, 1), BREAKPOINT_TELL);
    ck_assert(!breakpoints_at(&all, 0x1000, 1, 0) && breakpoints_at(&all, 0x1000, -1, 0));
    breakpoints_clear(&all);
}
END_TEST

START_TEST(abandoned)
{
    struct breakpoints all = {0};
    ck_assert(breakpoints_inserted(&all, &point, 1) && breakpoints_inserted(&all, &point, 2));
    ck_assert(breakpoints_inserted(&all, &watch, 1));
    ck_assert_uint_eq(breakpoints_held(&all, 1), 2);
    ck_assert(breakpoints_watched(&all, 0x2003, 0) && breakpoints_watched(&all, 0x2003, 1));
    ck_assert(!breakpoints_watched(&all, 0x2004, 0) && !breakpoints_watched(&all, 0x1fff, 0));
    ck_assert(!breakpoints_watched(&all, 0x2000, 2));
    ck_assert_ptr_null(breakpoints_orphan(&all));
    ck_assert_uint_eq(breakpoints_abandon(&all, 1), 1);
    const struct breakpoint *orphan = breakpoints_orphan(&all);
    ck_assert_ptr_nonnull(orphan);
    ck_assert_uint_eq(orphan->key.address, watch.address);
    ck_assert(!breakpoints_watched(&all, 0x2000, 0)); /* nobody's */
    /* somebody takes it over before it is gone */
    ck_assert_int_eq(breakpoints_add(&all, &watch, 3), BREAKPOINT_NOTHING);
    ck_assert_ptr_null(breakpoints_orphan(&all));
    breakpoints_clear(&all);
    ck_assert_uint_eq(breakpoints_count(&all), 0);
}
END_TEST

START_TEST(bounded)
{
    struct breakpoints all = {0};
    struct breakpoint_key key = point;
    for (unsigned i = 0; i < BREAKPOINTS_EACH_MAX; i++) {
        key.address = i;
        ck_assert(breakpoints_inserted(&all, &key, 1));
    }
    key.address = BREAKPOINTS_EACH_MAX;
    ck_assert_int_eq(breakpoints_add(&all, &key, 1), BREAKPOINT_REFUSED);
    ck_assert_int_eq(breakpoints_add(&all, &key, 2), BREAKPOINT_TELL);
    breakpoints_clear(&all);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("breakpoints");
    tcase_add_test(tcase, counted);
    tcase_add_test(tcase, kinds_differ);
    tcase_add_test(tcase, abandoned);
    tcase_add_test(tcase, bounded);
    return stub_run(tcase, "stub breakpoints");
}
