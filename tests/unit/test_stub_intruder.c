#include "stub/intruder.h"
#include "stub_run.h"

#include <string.h>

static enum intruder first(const char *text)
{
    return intruder_first((const uint8_t *)text, strlen(text));
}

START_TEST(first_bytes)
{
    static const char *const good[] = {"+", "-", "$m0,4#fd", "%", "\x03", "+$qSupported"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ck_assert_int_eq(first(good[i]), INTRUDER_NONE);
    static const char *const strangers[] = {"hello", " $",         "\x16\x03\x01", "G",
                                            "GE",    "\n$m0,4#fd", "POS"};
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
        ck_assert_int_eq(first(strangers[i]), INTRUDER_STRANGER);
    static const char *const http[] = {"GET / HTTP/1.1", "POST /x",        "post / ",  "Host: x",
                                       "OPTIONS *",      "PRI * HTTP/2.0", "\r\nGET /"};
    for (size_t i = 0; i < sizeof http / sizeof *http; i++)
        ck_assert_int_eq(first(http[i]), INTRUDER_HTTP);
    uint8_t zero = 0;
    ck_assert_int_eq(intruder_first(&zero, 1), INTRUDER_STRANGER);
    ck_assert_int_eq(intruder_first(&zero, 0), INTRUDER_NONE);
}
END_TEST

START_TEST(once_a_minute)
{
    struct intruder_log log = {0};
    unsigned long suppressed = 99;
    ck_assert(intruder_tell(&log, 1000, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    ck_assert(!intruder_tell(&log, 1000, &suppressed) && !intruder_tell(&log, 1059.9, &suppressed));
    ck_assert(intruder_tell(&log, 1060, &suppressed));
    ck_assert_uint_eq(suppressed, 2);
    ck_assert(intruder_tell(&log, 10, &suppressed)); /* the clock was set back */
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("intruder");
    tcase_add_test(tcase, first_bytes);
    tcase_add_test(tcase, once_a_minute);
    return stub_run(tcase, "stub intruder");
}
