/* The target's description, kept from the attach on. */
#include "rsp/description.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct description description;

static void put(const char *name, const char *text)
{
    struct description_document *document = description_add(&description, name);
    ck_assert_ptr_nonnull(document);
    ck_assert(description_append(&description, document, text, strlen(text)));
}

START_TEST(includes)
{
    char name[DESCRIPTION_NAME_SIZE];
    ck_assert(!description_missing(&description, name));
    put("target.xml",
        "<target><xi:include href=\"a.xml\"/><xi:include parse='x' href=\"b.xml\"/></target>");
    ck_assert(description_missing(&description, name));
    ck_assert_str_eq(name, "a.xml");
    put("a.xml", "<feature><xi:include href=\"c.xml\"/><xi:include href=\"a.xml\"/></feature>");
    ck_assert(description_missing(&description, name));
    ck_assert_str_eq(name, "b.xml");
    put("b.xml", "");
    ck_assert(description_missing(&description, name));
    ck_assert_str_eq(name, "c.xml");
    put("c.xml", "");
    ck_assert(!description_missing(&description, name));
    ck_assert_uint_eq(description_find(&description, "b.xml")->length, 0);
    ck_assert_ptr_null(description_find(&description, "d.xml"));
    description_clear(&description);
    ck_assert_ptr_null(description_find(&description, "a.xml"));
}
END_TEST

START_TEST(nonsense)
{
    static const char *const texts[] = {
        "<xi:include",
        "<xi:include>",
        "<xi:include href=>",
        "<xi:include href=\"",
        "<xi:include href=\"a",
        "<xi:include href=\"\"/>",
        "<xi:include href=\"a:b\"/>",
        "<xi:include "
        "href=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"/>"};
    char name[DESCRIPTION_NAME_SIZE];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put("target.xml", texts[i]);
        ck_assert_msg(!description_missing(&description, name), "%s", texts[i]);
        description_clear(&description);
    }
}
END_TEST

START_TEST(bounded)
{
    struct description_document *document = description_add(&description, "large");
    char *bytes = calloc(1, DESCRIPTION_MOST);
    ck_assert(!description_append(&description, document, bytes, SIZE_MAX));
    ck_assert(description_append(&description, document, bytes, DESCRIPTION_MOST));
    ck_assert(!description_append(&description, document, bytes, 1));
    for (size_t i = 1; i < DESCRIPTION_DOCUMENTS_MAX; i++)
        ck_assert_ptr_nonnull(description_add(&description, "more"));
    ck_assert_ptr_null(description_add(&description, "too many"));
    free(bytes);
    description_clear(&description);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("description");
    tcase_add_test(tcase, includes);
    tcase_add_test(tcase, nonsense);
    tcase_add_test(tcase, bounded);
    Suite *suite = suite_create("description");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
