/* Who is let in, and in which order. */
#include "upstream/ways/gate.h"

#include <check.h>
#include <string.h>

static struct ev_loop *loop;
static struct gate gate;
static char story[64];

static void tell(const char *what)
{
    strcat(story, what);
}

/* Takes two turns inside. */
static void visitor(void *arg)
{
    gate_enter(&gate);
    tell(arg);
    task_yield();
    task_yield();
    tell(arg);
    gate_leave(&gate);
}

/* Comes in, is alone for two turns, and is in again. */
static void owner(void *arg)
{
    gate_enter(&gate);
    gate_shut(&gate);
    tell(arg);
    ck_assert_uint_eq(gate.inside, 0);
    task_yield();
    task_yield();
    ck_assert_uint_eq(gate.inside, 0);
    tell(arg);
    gate_open(&gate);
    gate_leave(&gate);
}

static void go(const char *expected)
{
    ev_run(loop, 0);
    ck_assert_str_eq(story, expected);
    ck_assert_uint_eq(gate.inside, 0);
    ck_assert(!gate.shut);
    ck_assert_uint_eq(task_count(), 0);
}

static void setup(void)
{
    loop = ev_loop_new(EVFLAG_AUTO);
    gate = (struct gate){0};
    story[0] = '\0';
}

static void teardown(void)
{
    ev_loop_destroy(loop);
}

static void come(task_fn *fn, const char *name)
{
    ck_assert_ptr_nonnull(task_spawn(loop, name, fn, (void *)name));
}

START_TEST(without_a_task)
{
    gate_enter(&gate);
    gate_shut(&gate);
    gate_open(&gate);
    gate_leave(&gate);
    go("");
}
END_TEST

START_TEST(many_are_in_at_once)
{
    come(visitor, "a");
    come(visitor, "b");
    go("abab");
}
END_TEST

START_TEST(one_is_alone)
{
    come(visitor, "a");
    come(owner, "X");
    come(visitor, "b");
    go("aaXXbb");
}
END_TEST

/* Shuts it again at once. */
static void busy_owner(void *arg)
{
    gate_enter(&gate);
    for (int i = 0; i < 3; i++) {
        gate_shut(&gate);
        tell(arg);
        task_yield();
        gate_open(&gate);
    }
    gate_leave(&gate);
}

START_TEST(who_shuts_it_again_and_again_keeps_nobody_out)
{
    come(busy_owner, "X");
    come(visitor, "a");
    go("XaaXX");
}
END_TEST

START_TEST(who_waits_comes_between_two)
{
    come(owner, "X");
    come(owner, "Y");
    come(visitor, "a");
    go("XXaaYY");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gate");
    TCase *cases = tcase_create("gate");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, without_a_task);
    tcase_add_test(cases, many_are_in_at_once);
    tcase_add_test(cases, one_is_alone);
    tcase_add_test(cases, who_shuts_it_again_and_again_keeps_nobody_out);
    tcase_add_test(cases, who_waits_comes_between_two);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
