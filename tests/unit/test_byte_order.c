/* Who is believed about the byte order, and who is not. */
#include "upstream/machine/byte_order.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN BYTE_ORDER_UNKNOWN
#define LITTLE  BYTE_ORDER_LITTLE
#define BIG     BYTE_ORDER_BIG

static const struct {
    const char *architecture, *build;
    bool qemu, asked;
    enum byte_order processor, expected;
} cases[] = {
    /* one order only, whoever says the name */
    {"i386:x86-64", "", false, false, UNKNOWN, LITTLE},
    {"s390:64-bit", "", true, false, UNKNOWN, BIG},
    {"riscv:rv64", "riscv64", true, true, UNKNOWN, LITTLE},
    /* QEMU's machines start in one; a process may have the other */
    {"powerpc:common64", "", true, false, UNKNOWN, BIG},
    {"powerpc:common64", "", false, false, UNKNOWN, UNKNOWN},
    {"powerpc:common64", "", false, false, LITTLE, LITTLE},
    {"aarch64", "", false, false, UNKNOWN, UNKNOWN},
    {"aarch64", "", false, false, BIG, BIG},
    {"arm", "aarch64", true, true, UNKNOWN, LITTLE},
    /* the program's name tells, a description's does not */
    {"mips", "mipsel", true, false, UNKNOWN, LITTLE},
    {"mips", "mips", true, false, UNKNOWN, BIG},
    {"mips", "", true, false, UNKNOWN, UNKNOWN},
    {"xtensa", "xtensaeb", true, false, UNKNOWN, BIG},
    {"sh4", "sh4eb", true, true, UNKNOWN, BIG},
    /* the processor knows best */
    {"mips", "mips", true, true, LITTLE, LITTLE},
    {"microblaze", "microblaze", true, true, LITTLE, LITTLE},
    {"microblaze", "microblaze", true, true, UNKNOWN, BIG},
    {"microblaze", "microblaze", true, false, UNKNOWN, UNKNOWN},
    {"microblaze", "microblazeel", true, false, UNKNOWN, LITTLE},
    /* nobody knows */
    {"", "", true, true, UNKNOWN, UNKNOWN},
    {"pdp11", "pdp11", true, true, UNKNOWN, UNKNOWN},
};

START_TEST(who_is_believed)
{
    struct stub stub = {
        .qemu = cases[_i].qemu,
        .processor_asked = cases[_i].asked,
        .processor_order = cases[_i].processor,
    };
    snprintf(stub.architecture, sizeof stub.architecture, "%s", cases[_i].architecture);
    snprintf(stub.build, sizeof stub.build, "%s", cases[_i].build);
    byte_order_decide(&stub);
    ck_assert_int_eq(stub.order, cases[_i].expected);
}
END_TEST

START_TEST(qtest_speaks_of_the_build)
{
    struct stub stub = {.qemu = true, .architecture = "mips"};
    byte_order_decide(&stub);
    byte_order_by_qtest(&stub, false);
    ck_assert_int_eq(stub.order, LITTLE);
    byte_order_by_qtest(&stub, true); /* what is known stays */
    ck_assert_int_eq(stub.order, LITTLE);
    stub = (struct stub){.qemu = true, .architecture = "microblaze"};
    byte_order_by_qtest(&stub, true); /* its machine may have been told another */
    ck_assert_int_eq(stub.order, UNKNOWN);
    stub = (struct stub){.qemu = true};
    byte_order_by_qtest(&stub, true);
    ck_assert_int_eq(stub.order, UNKNOWN);
}
END_TEST

static enum byte_order parse(const char *bytes, size_t length, size_t size)
{
    return byte_order_parse_auxv((const uint8_t *)bytes, length, size);
}

START_TEST(an_auxiliary_vector)
{
    ck_assert_int_eq(parse("\x21\0\0\0\0\0\0\0\0\x10", 10, 8), LITTLE);
    ck_assert_int_eq(parse("\0\0\0\0\0\0\0\x16", 8, 8), BIG);
    ck_assert_int_eq(parse("\0\0\0\x10\xff", 5, 4), BIG);
    ck_assert_int_eq(parse("\x10\0\0\0", 4, 4), LITTLE);
    ck_assert_int_eq(parse("\0\0\0\0\0\0\0\0", 8, 8), UNKNOWN);
    ck_assert_int_eq(parse("\x21\0\0\x21", 4, 4), UNKNOWN);
    ck_assert_int_eq(parse("\x21\0\0", 3, 4), UNKNOWN);
    ck_assert_int_eq(parse("\x21\0\0\0\0\0\0", 7, 8), UNKNOWN);
    ck_assert_int_eq(parse("", 0, 4), UNKNOWN);
    ck_assert_int_eq(parse("\x21", 1, 1), UNKNOWN);
    ck_assert_int_eq(parse("\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, 16), UNKNOWN);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("byte_order");
    TCase *tcase = tcase_create("byte_order");
    tcase_add_loop_test(tcase, who_is_believed, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tcase, qtest_speaks_of_the_build);
    tcase_add_test(tcase, an_auxiliary_vector);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
