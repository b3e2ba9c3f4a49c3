/* In which order the ways are asked, on rows that do nothing but tell. */
#include "upstream/ways/choose.h"

#include "upstream/run_state.h"
#include "upstream/translate/translate.h"
#include "upstream/ways/hold.h"
#include "upstream/ways/spans.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static char story[64];
static struct stub stub;
static struct way_context context;
static struct way_rows rows;
static uint8_t memory[64];
/* What "b" and "c" answer, and whether "c" takes transfers over. */
static enum target_error b_answers, c_answers;
static bool c_takes_over, b_open;

static bool is_open(const struct way *way)
{
    return strcmp(way->ops->name, "b") != 0 || b_open;
}

static enum target_error answer_of(const struct way *way)
{
    strcat(story, way->ops->name);
    return *way->ops->name == 'a' ? TARGET_OK : *way->ops->name == 'b' ? b_answers : c_answers;
}

static enum target_error spans(struct way *way, const struct way_transfer *transfer)
{
    enum target_error error = answer_of(way);
    if (error == TARGET_OK)
        spans_settle(transfer->spans, transfer->count);
    return error;
}

static enum target_error port(struct way *way, struct way_port *access, struct failure *failure)
{
    (void)failure;
    access->value = *(const unsigned char *)way->ops->name;
    return answer_of(way);
}

static enum target_error fill(struct way *way, uint64_t physical, uint64_t length, uint8_t byte,
                              uint64_t *done)
{
    (void)physical;
    (void)byte;
    *done = length;
    return answer_of(way);
}

static bool worth_translating(const struct way *way, size_t count, size_t total, bool write)
{
    (void)way;
    return !write && count == 2 && total == 24;
}

/* Does half of it, and hands on the rest. */
static bool take_over(struct way *way, const struct way_transfer *transfer,
                      const struct way_rest *rest, enum target_error *error)
{
    (void)way;
    if (!c_takes_over)
        return false;
    strcat(story, "(");
    spans_settle(transfer->spans, 1);
    *error = rest->carry(rest->context, transfer, false);
    if (*error != TARGET_OK)
        *error = rest->carry(rest->context, transfer, true);
    strcat(story, ")");
    return true;
}

static struct way *make_a(const struct way_context *of);
static struct way *make_b(const struct way_context *of);
static struct way *make_c(const struct way_context *of);

static void end(struct way *way)
{
    free(way);
}

static const struct way_ops a = {
    .name = "a", .make = make_a, .free = end, .is_open = is_open, .spans = spans, .port = port};
static const struct way_ops b = {.name = "b",
                                 .while_running = true,
                                 .make = make_b,
                                 .free = end,
                                 .is_open = is_open,
                                 .worth_translating = worth_translating,
                                 .spans = spans,
                                 .fill = fill,
                                 .port = port};
static const struct way_ops c = {.name = "c",
                                 .make = make_c,
                                 .free = end,
                                 .is_open = is_open,
                                 .take_over = take_over,
                                 .spans = spans};

static struct way *make(const struct way_ops *ops, const struct way_context *of)
{
    struct way *way = malloc(sizeof *way);
    ck_assert_ptr_nonnull(way);
    way_init(way, ops, of);
    return way;
}

static struct way *make_a(const struct way_context *of)
{
    return make(&a, of);
}

static struct way *make_b(const struct way_context *of)
{
    return make(&b, of);
}

static struct way *make_c(const struct way_context *of)
{
    return make(&c, of);
}

static struct ev_loop *loop;
static struct run_state state;

static void setup(void)
{
    static const struct way_ops *const table[] = {&a, &b, &c};
    static const struct rsp_listener nobody;
    loop = ev_loop_new(EVFLAG_AUTO);
    state = (struct run_state){0};
    stub = (struct stub){.rsp = rsp_client_new(loop, 1, &state, &nobody)};
    context = (struct way_context){.stub = &stub, .translate = translate_new(&stub)};
    rows = (struct way_rows){.context = &context};
    ck_assert(rows_make(&rows, table, 3));
    story[0] = '\0';
    b_answers = c_answers = TARGET_UNSUPPORTED;
    c_takes_over = b_open = false;
}

static void teardown(void)
{
    rows_free(&rows);
    translate_free(context.translate);
    rsp_client_free(stub.rsp);
    ev_loop_destroy(loop);
}

/* Two spans that do not lie together. */
static struct target_span two[2];

static struct way_transfer transfer(enum target_access access)
{
    two[0] = (struct target_span){.address = 0, .bytes = memory, .length = 16};
    two[1] = (struct target_span){.address = 32, .bytes = memory + 32, .length = 8};
    return (struct way_transfer){.client = 1, .access = access, .spans = two, .count = 2};
}

START_TEST(from_the_last_to_the_first)
{
    struct way_transfer natural = transfer(TARGET_ACCESS_NATURAL);
    ck_assert_int_eq(choose_natural(&rows, &natural), TARGET_OK);
    ck_assert_str_eq(story, "cba");
    ck_assert_uint_eq(two[0].done + two[1].done, 24);
}
END_TEST

START_TEST(whose_answer_counts)
{
    struct way_transfer natural = transfer(TARGET_ACCESS_NATURAL);
    b_answers = TARGET_FAILED;
    ck_assert_int_eq(choose_natural(&rows, &natural), TARGET_FAILED);
    ck_assert_str_eq(story, "cb");
    ck_assert_int_eq(two[1].error, TARGET_CANCELLED);
    struct way_transfer bulk = transfer(TARGET_ACCESS_BULK);
    ck_assert_int_eq(choose_bulk(&rows, &bulk), TARGET_FAILED);
    ck_assert_int_eq(two[1].error, TARGET_FAILED);
}
END_TEST

START_TEST(one_takes_over)
{
    struct way_transfer bulk = transfer(TARGET_ACCESS_BULK);
    c_takes_over = true;
    ck_assert_int_eq(choose_bulk(&rows, &bulk), TARGET_OK);
    ck_assert_str_eq(story, "(cba)");
    ck_assert_uint_eq(two[0].done + two[1].done, 24);
}
END_TEST

START_TEST(one_takes_over_and_asks_the_last_resort)
{
    struct way_transfer bulk = transfer(TARGET_ACCESS_BULK);
    c_takes_over = true;
    b_answers = TARGET_NO_MEMORY;
    ck_assert_int_eq(choose_bulk(&rows, &bulk), TARGET_OK);
    ck_assert_str_eq(story, "(cba)");
}
END_TEST

START_TEST(the_last_resort_alone)
{
    struct way_transfer bulk = transfer(TARGET_ACCESS_BULK);
    ck_assert_int_eq(choose_last_resort(&rows, &bulk), TARGET_OK);
    ck_assert_str_eq(story, "a");
}
END_TEST

START_TEST(while_it_runs)
{
    struct way_transfer natural = transfer(TARGET_ACCESS_NATURAL);
    ck_assert_int_eq(choose_running(&rows, &natural), TARGET_RUNNING);
    ck_assert_str_eq(story, "");
    b_open = true;
    b_answers = TARGET_OK;
    ck_assert_int_eq(choose_running(&rows, &natural), TARGET_OK);
    ck_assert_str_eq(story, "b");
    ck_assert(!choose_live(&rows)); /* there is no QMP */
}
END_TEST

START_TEST(ports_and_fills)
{
    struct way_port access = {.port = 0x70, .size = 1};
    uint64_t done = 1;
    ck_assert_int_eq(choose_port(&rows, &access, NULL), TARGET_OK);
    ck_assert_str_eq(story, "ba");
    ck_assert_uint_eq(access.value, 'a');
    ck_assert_int_eq(choose_ports_out(&rows, NULL, 0, NULL), TARGET_UNSUPPORTED);
    b_answers = TARGET_OK;
    ck_assert_int_eq(choose_fill(&rows, 0, 8, 0, &done), TARGET_OK);
    ck_assert_uint_eq(done, 8);
}
END_TEST

START_TEST(worth_it_for_one)
{
    transfer(TARGET_ACCESS_BULK);
    ck_assert(choose_worth_translating(&rows, two, 2, false));
    ck_assert(!choose_worth_translating(&rows, two, 1, false));
    ck_assert(!choose_worth_translating(&rows, two, 2, true));
}
END_TEST

START_TEST(what_lies_together)
{
    struct target_span span[] = {
        {.address = 0, .bytes = memory, .length = 8},
        {.address = 8, .bytes = memory + 8, .length = 8},
        {.address = 16, .bytes = memory + 16, .length = 8},
        {.address = 24, .bytes = memory, .length = 8},
    };
    size_t length = 0;
    spans_begin(span, 4);
    ck_assert_uint_eq(spans_together(span, 4, &length), 3);
    ck_assert_uint_eq(length, 24);
    /* What is done already belongs to no span that is not. */
    spans_settle(&span[1], 1);
    ck_assert_uint_eq(spans_together(span, 4, &length), 1);
    ck_assert_uint_eq(spans_together(&span[1], 3, &length), 1);
    ck_assert_uint_eq(length, 8);
    ck_assert_int_eq(spans_first_error(span, 4), TARGET_CANCELLED);
}
END_TEST

START_TEST(a_resume_is_waited_for)
{
    struct hold hold = {0};
    ck_assert(hold_begin(&hold));
    hold_take(&hold);
    ck_assert(hold_held(&hold));
    ck_assert(!hold_begin(&hold));
    hold_end(&hold);
    ck_assert(!hold_drain(&hold));
    hold_release(&hold);
    ck_assert(hold_begin(&hold));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("choose");
    TCase *tcase = tcase_create("rows");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, from_the_last_to_the_first);
    tcase_add_test(tcase, whose_answer_counts);
    tcase_add_test(tcase, one_takes_over);
    tcase_add_test(tcase, one_takes_over_and_asks_the_last_resort);
    tcase_add_test(tcase, the_last_resort_alone);
    tcase_add_test(tcase, while_it_runs);
    tcase_add_test(tcase, ports_and_fills);
    tcase_add_test(tcase, worth_it_for_one);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("parts");
    tcase_add_test(tcase, what_lies_together);
    tcase_add_test(tcase, a_resume_is_waited_for);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
