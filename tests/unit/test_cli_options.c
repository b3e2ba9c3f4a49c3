#include "client/cli_options.h"

#include "spacebridge/hresult.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct cli_options options;
static char error[CLI_ERROR_SIZE];

/* Words are separated by blanks. */
static enum cli_parsed parse(const char *line)
{
    static char words[512];
    char *argv[32];
    int argc = 0;

    strcpy(words, line);
    argv[argc++] = words + strlen(words); /* the program's name */
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    error[0] = '\0';
    return cli_options_parse(&options, argc, argv, error);
}

static void good(const char *line)
{
    ck_assert_msg(parse(line) == CLI_RUN, "%s: %s", line, error);
}

START_TEST(options_stand_anywhere)
{
    static const char *const lines[] = {
        "--connect unix:/s --cpu 3 --json read-virtual --uncached 0x1000 16 -o file",
        "read-virtual 0x1000 16 -o file --uncached --json --cpu 3 --connect unix:/s",
        "read-virtual --cpu=0x3 0x1000 -ofile --json 16 --connect=unix:/s --uncached",
        "--output file --uncached --json --connect unix:/s --cpu 3 -- read-virtual 0x1000 16",
    };

    good(lines[_i]);
    ck_assert_int_eq(options.command, CLI_READ_VIRTUAL);
    ck_assert_str_eq(options.endpoint, "unix:/s");
    ck_assert(options.have_cpu && options.cpu == 3);
    ck_assert(options.json && options.uncached);
    ck_assert_str_eq(options.output, "file");
    ck_assert_uint_eq(options.address, 0x1000);
    ck_assert_uint_eq(options.size, 16);
    cli_options_free(&options);
}
END_TEST

START_TEST(every_command)
{
    good("write-virtual 0x1000 90 90c3 text:a");
    ck_assert_int_eq(options.command, CLI_WRITE_VIRTUAL);
    ck_assert_uint_eq(options.data.count, 3);
    ck_assert(!options.uncached && !options.json && !options.have_cpu && !options.endpoint);
    cli_options_free(&options);
    good("write-physical --type write-combined 0xe0000000 u32:1");
    ck_assert(options.have_type && options.type == DEBUG_PHYSICAL_WRITE_COMBINED);
    cli_options_free(&options);
    good("read-physical 4096 1");
    ck_assert(!options.have_type && !options.output);
    cli_options_free(&options);
    good("write-pointers 0x1000 1 0xffffffffffffffff");
    ck_assert_uint_eq(options.size, 2);
    ck_assert_uint_eq(options.pointers[1], UINT64_MAX);
    cli_options_free(&options);
    good("read-pointers 0x1000 2");
    good("write-io --size 2 --interface pcibus --bus 1 0xcf8 0xffff");
    ck_assert_int_eq(options.interface_type, SB_INTERFACE_PCI_BUS);
    ck_assert_uint_eq(options.bus, 1);
    ck_assert_uint_eq(options.io_size, 2);
    ck_assert_uint_eq(options.value, 0xffff);
    good("read-io --size 4 0x70");
    ck_assert_int_eq(options.interface_type, SB_INTERFACE_ISA);
    ck_assert_uint_eq(options.bus, 0);
    good("translate 0xffffffffffffffff");
    ck_assert_uint_eq(options.address, UINT64_MAX);
    good("status");
    good("transports");
    ck_assert_int_eq(options.command, CLI_TRANSPORTS);
    good("go");
    good("halt");
    good("step");
    good("flush");
    good("wait");
    ck_assert_uint_eq(options.wait_ms, UINT32_MAX);
    good("wait 1.5");
    ck_assert_uint_eq(options.wait_ms, 1500);
}
END_TEST

static const struct {
    const char *line, *says;
} bad[] = {
    {"", "a command is needed"},
    {"--json", "a command is needed"},
    {"frobnicate", "'frobnicate' is unknown"},
    {"Status", "'Status' is unknown"},
    {"--verbose status", "'--verbose' is unknown"},
    {"-x status", "'-x' is unknown"},
    {"status --connect", "needs a value"},
    {"read-virtual 1 2 -o", "needs a value"},
    {"status extra", "status takes no operands"},
    {"write-virtual 0x1000", "write-virtual takes ADDRESS DATA..."},
    {"read-virtual 0x1000", "takes ADDRESS SIZE"},
    {"read-virtual 0x1000 1 2", "takes ADDRESS SIZE"},
    {"read-virtual ffff 1", "begin with 0x"},
    {"read-virtual 0x1000 -5", "unknown"},
    {"read-virtual 0x1000 many", "SIZE 'many'"},
    {"write-virtual 0x1000 9", "in pairs"},
    {"write-virtual -o f 0x1000 90", "-o does not belong"},
    {"write-virtual --type cached 0x1000 90", "--type does not belong"},
    {"write-physical --uncached 0x1000 90", "--uncached does not belong"},
    {"write-physical --type hot 0x1000 90", "--type 'hot'"},
    {"read-virtual --bus 1 0x1000 1", "does not belong"},
    {"status --size 4", "--size does not belong"},
    {"read-io 0x70", "read-io takes --size"},
    {"read-io --size 8 0x70", "--size '8' is none of 1 2 4"},
    {"read-io --size 1 --interface usb 0x70", "--interface 'usb'"},
    {"write-io --size 1 0x70", "takes --size"},
    {"write-io --size 1 0x70 256", "VALUE '256' is over 255"},
    {"write-io --size 2 0x70 65536", "over 65535"},
    {"write-io --size 4 0x70 0x100000000", "over 4294967295"},
    {"--cpu -1 status", "--cpu '-1'"},
    {"--cpu 4294967296 status", "--cpu"},
    {"write-pointers 0x1000", "takes ADDRESS POINTER"},
    {"write-pointers 0x1000 1 x", "POINTER 'x'"},
    {"wait soon", "SECONDS 'soon'"},
    {"wait 1 2", "wait takes"},
    {"--json read-virtual 0x1000 1 -o -", "both use standard output"},
};

START_TEST(mistakes_are_named)
{
    ck_assert_msg(parse(bad[_i].line) == CLI_EXIT_USAGE, "'%s' passed", bad[_i].line);
    ck_assert_msg(strstr(error, bad[_i].says), "'%s': \"%s\"", bad[_i].line, error);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_options");
    TCase *tcase = tcase_create("cli_options");

    tcase_add_loop_test(tcase, options_stand_anywhere, 0, 4);
    tcase_add_test(tcase, every_command);
    tcase_add_loop_test(tcase, mistakes_are_named, 0, (int)(sizeof bad / sizeof bad[0]));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
