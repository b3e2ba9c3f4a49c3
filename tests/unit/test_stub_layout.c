#include "stub/layout.h"
#include "stub_run.h"

#include <stdio.h>
#include <string.h>

/* Documents by name, ended by a NULL name. */
struct document {
    const char *name, *text;
};

static bool fetch(void *context, const char *name, struct buffer *out)
{
    for (const struct document *each = context; each->name; each++) {
        if (strcmp(each->name, name) == 0)
            return buffer_append(out, each->text, strlen(each->text));
    }
    return false;
}

static bool read_it(struct layout *layout, const char *target, const char *more)
{
    struct document documents[] = {
        {"target.xml", target}, {more ? "more.xml" : NULL, more}, {NULL, NULL}};
    return layout_read(layout, fetch, documents);
}

START_TEST(registers)
{
    struct layout layout;
    ck_assert(read_it(&layout,
                      "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
                      "<architecture>i386</architecture><xi:include href=\"more.xml\"/>"
                      "<feature name=\"x\"><reg name=\"late\" bitsize=\"1\"/></feature></target>",
                      "<feature name=\"y\"><reg name=\"a\" bitsize=\"32\"/>"
                      "<reg name=\"b\" bitsize=\"64\" regnum=\"5\"/>"
                      "<reg name=\"ip\" bitsize=\"64\" type=\"code_ptr\"/>"
                      "<reg name=\"lr\" bitsize=\"64\" type=\"code_ptr\"/></feature>"));
    ck_assert_uint_eq(layout.count, 5);
    ck_assert_int_eq(layout.pc, 2);
    ck_assert_uint_eq(layout.registers[2].number, 6);
    ck_assert_uint_eq(layout.registers[2].offset, 12);
    ck_assert_uint_eq(layout_find(&layout, 8)->size, 1); /* a bit takes a byte */
    ck_assert_ptr_null(layout_find(&layout, 1));
    ck_assert_ptr_null(layout_find(&layout, UINT64_MAX));
    ck_assert_uint_eq(layout_cover(&layout, 4), 1);
    ck_assert_uint_eq(layout_cover(&layout, 12), 2);
    ck_assert_uint_eq(layout_cover(&layout, 29), 5);
    ck_assert_uint_eq(layout_cover(&layout, 13), 0);
    ck_assert_uint_eq(layout_cover(&layout, 0), 0);
    layout_free(&layout);
    ck_assert(read_it(&layout, "<target><reg name=\"pc\" bitsize=\"32\"/></target>", NULL));
    ck_assert_int_eq(layout.pc, 0);
    layout_free(&layout);
}
END_TEST

START_TEST(refused)
{
    static const char *const bad[] = {
        "",
        "<target>",
        "<target></target>",
        "no xml",
        "<target><reg name=\"a\"/></target>",
        "<target><reg bitsize=\"8\"/></target>",
        "<target><reg name=\"a\" bitsize=\"0\"/></target>",
        "<target><reg name=\"a\" bitsize=\"-8\"/></target>",
        "<target><reg name=\"a\" bitsize=\"99999999999999999999\"/></target>",
        "<target><reg name=\"a\" bitsize=\"8\" regnum=\"x\"/></target>",
        "<target><reg name=\"a\" bitsize=\"8\" regnum=\"1\"/><reg name=\"b\" bitsize=\"8\" "
        "regnum=\"1\"/></target>",
        "<target><xi:include href=\"nowhere.xml\"/></target>",
        "<target><xi:include/></target>",
        "<target><xi:include href=\"target.xml\"/></target>", /* itself, for ever */
        "<!DOCTYPE t [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><target>&b;"
        "<reg name=\"a\" bitsize=\"8\"/></target>",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct layout layout;
        ck_assert_msg(!read_it(&layout, bad[i], NULL), "%s", bad[i]);
        ck_assert_uint_eq(layout.count, 0);
        ck_assert_ptr_null(layout.registers);
        ck_assert_int_eq(layout.pc, -1);
    }
}
END_TEST

START_TEST(too_many)
{
    struct buffer text = {0};
    struct layout layout;
    buffer_printf(&text, "<target>");
    for (unsigned i = 0; i <= LAYOUT_REGISTERS_MAX; i++)
        buffer_printf(&text, "<reg name=\"a\" bitsize=\"8\"/>");
    buffer_printf(&text, "</target>");
    buffer_append_byte(&text, 0);
    ck_assert(!read_it(&layout, (const char *)buffer_bytes(&text), NULL));
    buffer_free(&text);
    /* wide: each includes the next level many times */
    ck_assert(!read_it(
        &layout, "<target><xi:include href=\"more.xml\"/><xi:include href=\"more.xml\"/></target>",
        "<f><xi:include href=\"more.xml\"/><reg name=\"a\" bitsize=\"8\"/></f>"));
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("layout");
    tcase_add_test(tcase, registers);
    tcase_add_test(tcase, refused);
    tcase_add_test(tcase, too_many);
    return stub_run(tcase, "stub layout");
}
