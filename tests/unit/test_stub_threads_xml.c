#include "stub/threads_xml.h"
#include "stub_run.h"

#include <string.h>

static bool rewrite(const char *text, bool multiprocess, char *out, size_t size)
{
    struct buffer document = {0}, result = {0};
    ck_assert(buffer_append(&document, text, strlen(text)));
    bool good = threads_xml_rewrite(&result, &document, multiprocess, 0x7c33);
    ck_assert(good || result.length == 0);
    ck_assert_uint_lt(result.length, size);
    memcpy(out, buffer_bytes(&result), result.length);
    out[result.length] = '\0';
    buffer_free(&document);
    buffer_free(&result);
    return good;
}

START_TEST(rewriting)
{
    char out[512];
    ck_assert(rewrite("<threads><thread id=\"7c34\" core=\"1\" name=\"a&amp;b\"/></threads>", true,
                      out, sizeof out));
    ck_assert_str_eq(out, "<?xml version=\"1.0\"?>\n<threads>\n"
                          "<thread id=\"p7c33.7c34\" core=\"1\" name=\"a&amp;b\"/>\n</threads>\n");
    ck_assert(rewrite("<threads/>", false, out, sizeof out));
    static const char *const bad[] = {"", "<threads>", "<threads><thread id=\"x\"/></threads>",
                                      "<threads><thread id=\"1;\"/></threads>"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!rewrite(bad[i], true, out, sizeof out), "%s", bad[i]);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("threads_xml");
    tcase_add_test(tcase, rewriting);
    return stub_run(tcase, "stub threads_xml");
}
