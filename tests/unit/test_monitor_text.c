/* The monitor's lines, as QEMU 7.2 printed them. */
#include "upstream/link/monitor_text.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(port_commands)
{
    char line[MONITOR_LINE_SIZE];
    ck_assert(monitor_text_port_in(line, 0x70, 1));
    ck_assert_str_eq(line, "i /b 0x70");
    ck_assert(monitor_text_port_in(line, 0xfffe, 2));
    ck_assert_str_eq(line, "i /h 0xfffe");
    ck_assert(monitor_text_port_in(line, 0xcfc, 4));
    ck_assert_str_eq(line, "i /w 0xcfc");
    ck_assert(monitor_text_port_out(line, 0x80, 1, 0xff));
    ck_assert_str_eq(line, "o /b 0x80 0xff");
    ck_assert(monitor_text_port_out(line, 0, 2, 0));
    ck_assert_str_eq(line, "o /h 0x0 0x0");
    ck_assert(monitor_text_port_out(line, 0xcf8, 4, 0xffffffff));
    ck_assert_str_eq(line, "o /w 0xcf8 0xffffffff");
    ck_assert(monitor_text_port_in(line, 0xffff, 1) && !monitor_text_port_in(line, 0xffff, 2));
    ck_assert(!monitor_text_port_in(line, 0xfffd, 4) && monitor_text_port_in(line, 0xfffc, 4));
    ck_assert(!monitor_text_port_in(line, 0, 0) && !monitor_text_port_in(line, 0, 3));
    ck_assert(!monitor_text_port_in(line, 0, 8));
    ck_assert(!monitor_text_port_out(line, 0, 1, 0x100));
    ck_assert(!monitor_text_port_out(line, 0, 2, 0x10000));
}
END_TEST

START_TEST(port_answers)
{
    uint32_t value = 0;
    ck_assert(monitor_text_parse_port_in("portb[0x0070] = 0xff\r\n", 0x70, 1, &value));
    ck_assert_uint_eq(value, 0xff);
    ck_assert(monitor_text_parse_port_in("portw[0xfffe] = 0x00ff\r\n", 0xfffe, 2, &value));
    ck_assert_uint_eq(value, 0xff);
    ck_assert(monitor_text_parse_port_in("portl[0x0cfc] = 0x12378086", 0xcfc, 4, &value));
    ck_assert_uint_eq(value, 0x12378086);
    value = 7;
    static const char *const wrong[] = {
        "",
        "portb[0x0070] = 0x",
        "portb[0x0070] = 0x123\r\n",
        "portb[0x0070] = 0x12 or so\r\n",
        "portb[0x0071] = 0x12\r\n",
        "portw[0x0070] = 0x0012\r\n",
        "portb[0x0070] = 0x12\r\nportb[0x0070] = 0x12\r\n",
        " portb[0x0070] = 0x12\r\n",
        "portb[0x0070] = 12\r\n",
        "invalid char in format: 'q'\r\nTry \"help i\" for more information\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!monitor_text_parse_port_in(wrong[i], 0x70, 1, &value), "%s", wrong[i]);
    ck_assert(!monitor_text_parse_port_in("portb[0x0070] = 0xff\r\n", 0x70, 3, &value));
    ck_assert(!monitor_text_parse_port_in("portb[0x0070] = 0xff\nportb[0x0070] = 0xfe\n", 0x70, 1,
                                          &value));
    ck_assert_uint_eq(value, 7);
}
END_TEST

START_TEST(translations)
{
    char line[MONITOR_LINE_SIZE];
    uint64_t physical = 7;
    monitor_text_gva2gpa(line, 0xffffffff80001000);
    ck_assert_str_eq(line, "gva2gpa 0xffffffff80001000");
    ck_assert_int_eq(monitor_text_parse_gva2gpa("Unmapped\r\n", &physical), MONITOR_UNMAPPED);
    static const char *const wrong[] = {
        "",
        "gpa: \r\n",
        "gpa: 0x\r\n",
        "gpa: 0x10000000000000000\r\n",
        "gpa: 0x1g\r\n",
        "gpa: 01\r\n",
        "gpa: 1\r\n",
        "gpa: 0x1000\r\ngpa: 0x2000\r\n",
        "Unmapped or not\r\n",
        "No cpu\r\n",
        "unexpected end of expression\r\nTry \"help gva2gpa\" for more information\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_int_eq(monitor_text_parse_gva2gpa(wrong[i], &physical), MONITOR_UNKNOWN);
    ck_assert_uint_eq(physical, 7);
    ck_assert_int_eq(monitor_text_parse_gva2gpa("gpa: 0x1000\r\n", &physical), MONITOR_MAPPED);
    ck_assert_uint_eq(physical, 0x1000);
    ck_assert_int_eq(monitor_text_parse_gva2gpa("gpa: 0xffffffffffffffff", &physical),
                     MONITOR_MAPPED);
    ck_assert_uint_eq(physical, UINT64_MAX);
    /* 11.1 writes the prefix before a zero too */
    static const char *const zero[] = {"gpa: 0\r\n", "gpa: 0x0\r\n", "gpa: 0x0 (and more)\r\n"};
    for (size_t i = 0; i < sizeof zero / sizeof zero[0]; i++) {
        physical = 7;
        ck_assert_int_eq(monitor_text_parse_gva2gpa(zero[i], &physical), MONITOR_MAPPED);
        ck_assert_uint_eq(physical, 0);
    }
    ck_assert_int_eq(monitor_text_parse_gva2gpa("a warning\r\ngpa: 0x2000\r\nmore\r\n", &physical),
                     MONITOR_MAPPED);
    ck_assert_uint_eq(physical, 0x2000);
    ck_assert_int_eq(monitor_text_parse_gva2gpa("a warning\nUnmapped\n", &physical),
                     MONITOR_UNMAPPED);
    ck_assert_int_eq(monitor_text_parse_gva2gpa("Unmapped\ngpa: 0x1000\n", &physical),
                     MONITOR_UNKNOWN);
}
END_TEST

START_TEST(host_addresses)
{
    char line[MONITOR_LINE_SIZE], name[16] = "";
    uint64_t host = 7;
    static const struct {
        const char *text;
        enum monitor_host what;
    } others[] = {
        {"No memory is mapped at address 0x7c00\r\n", MONITOR_HOST_NOTHING},
        {"Memory at address 0x7c00 is not RAM\r\n", MONITOR_HOST_DEVICE},
        {"Memory at address 0x7c00is not RAM\r\n", MONITOR_HOST_DEVICE},
        {"a warning\nMemory at address 0x7c00 is not RAM\n", MONITOR_HOST_DEVICE},
        {"", MONITOR_HOST_UNKNOWN},
        {"unknown command: 'gpa2hva'\r\n", MONITOR_HOST_UNKNOWN},
        {"No memory is mapped at address 0x7c001\r\n", MONITOR_HOST_UNKNOWN},
        {"Memory at address 0x7c00 is RAM\r\n", MONITOR_HOST_UNKNOWN},
        {"Host virtual address for 0x7c00 (pc.ram) is 0x0\r\n", MONITOR_HOST_UNKNOWN},
        {"Host virtual address for 0x7c00 (pc.ram) is 0x7fg\r\n", MONITOR_HOST_UNKNOWN},
        {"Host virtual address for 0x7c00 (pc.ram)\r\n", MONITOR_HOST_UNKNOWN},
        {"Host virtual address for 0x7c01 (pc.ram) is 0x7f01\r\n", MONITOR_HOST_UNKNOWN},
        {"Host virtual address for 0x7c00 (a) is 0x1\nHost virtual address for 0x7c00 (a) is 0x2\n",
         MONITOR_HOST_UNKNOWN},
    };
    monitor_text_gpa2hva(line, 0x7c00);
    ck_assert_str_eq(line, "gpa2hva 0x7c00");
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_msg(monitor_text_parse_gpa2hva(others[i].text, 0x7c00, &host, name,
                                                 sizeof name) == others[i].what,
                      "%s", others[i].text);
    ck_assert_int_eq(monitor_text_parse_gpa2hva(
                         "Host virtual address for 0x7c00 (a (b) c) is 0x7f0123456c00\r\n", 0x7c00,
                         &host, name, sizeof name),
                     MONITOR_HOST_MEMORY);
    ck_assert_uint_eq(host, 0x7f0123456c00);
    ck_assert_str_eq(name, "a (b) c");
}
END_TEST

START_TEST(status)
{
    static const struct {
        const char *text;
        bool running;
        const char *state;
    } good[] = {
        {"VM status: running\r\n", true, "running"},
        {"VM status: running (single step mode)\r\n", true, "running"},
        {"VM status: paused\r\n", false, "paused"},
        {"VM status: paused (single step mode)\r\n", false, "paused"},
        {"VM status: paused (prelaunch)\r\n", false, "prelaunch"},
        {"VM status: paused (debug)\n", false, "debug"},
        {"VM status: paused (single step mode) (io-error)\r\n", false, "io-error"},
        {"VM status: paused (shutdown)", false, "shutdown"},
        {"a warning\nVM status: paused (prelaunch) since noon\n", false, "prelaunch"},
    };
    static const char *const wrong[] = {
        "",
        "VM status: \r\n",
        "VM status: runningwild\r\n",
        "VM status: paused ()\r\n",
        "VM status: paused (debug\r\n",
        "VM status: paused.\r\n",
        "running\r\n",
        "VM status: running\r\nVM status: paused\r\n",
        "VM status: run\r\n",
    };
    bool running;
    char state[32];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        running = !good[i].running;
        ck_assert_msg(monitor_text_parse_status(good[i].text, &running, state, sizeof state), "%s",
                      good[i].text);
        ck_assert_int_eq(running, good[i].running);
        ck_assert_str_eq(state, good[i].state);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!monitor_text_parse_status(wrong[i], &running, state, sizeof state), "%s",
                      wrong[i]);
    ck_assert(monitor_text_parse_status("VM status: running\r\n", &running, NULL, 0));
    ck_assert(monitor_text_parse_status("VM status: running\r\n", &running, state, 4));
    ck_assert_str_eq(state, "run");
}
END_TEST

START_TEST(messages)
{
    char text[64], small[8], one[1];
    ck_assert_str_eq(monitor_text_message("", text, sizeof text), "");
    ck_assert_str_eq(monitor_text_message("\r\n \r\n", text, sizeof text), "");
    ck_assert_str_eq(monitor_text_message("a\r\nb\033[1m\r\n", text, sizeof text), "a; b?[1m");
    ck_assert_str_eq(monitor_text_message("  a  \n\n b \n", text, sizeof text), "a; b");
    ck_assert_str_eq(monitor_text_message("0123456789", small, sizeof small), "0123456");
    ck_assert_str_eq(monitor_text_message("012345\n89", small, sizeof small), "012345");
    ck_assert_str_eq(monitor_text_message("\xff\x7f", small, sizeof small), "??");
    ck_assert_str_eq(monitor_text_message("abc", one, sizeof one), "");
    ck_assert_str_eq(monitor_text_message("abc", NULL, 0), "");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("monitor_text");
    tcase_add_test(tcase, port_commands);
    tcase_add_test(tcase, port_answers);
    tcase_add_test(tcase, translations);
    tcase_add_test(tcase, host_addresses);
    tcase_add_test(tcase, status);
    tcase_add_test(tcase, messages);
    Suite *suite = suite_create("monitor_text");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
