/* The command line client, run as a program against the real front on a fake machine. */
#include "client/cli.h"

#include "false_daemon.h"
#include "served_machine.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LARGE_BASE UINT64_C(0x100000000)
#define LARGE_SIZE ((size_t)8 * 1024 * 1024)

static struct served_machine served;
static char directory[64];
static char output[200000], errors[20000];

static void slurp(const char *name, char *text, size_t size)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

/* Run a line of shell with the program as $SB, in the directory; its exit code. */
static int shell(const char *line)
{
    char command[2048], program[1024];
    const char *given = getenv("SPACEBRIDGE_CLI");

    ck_assert_ptr_nonnull(realpath(given ? given : "./spacebridge", program));
    int length = snprintf(command, sizeof command,
                          "cd %s && export SPACEBRIDGE=%s SB=%s && { %s; } >out 2>err", directory,
                          served.endpoint, program, line);
    ck_assert_int_lt(length, (int)sizeof command);
    int status = system(command);
    ck_assert(WIFEXITED(status));
    slurp("out", output, sizeof output);
    slurp("err", errors, sizeof errors);
    return WEXITSTATUS(status);
}

/* Expect exactly that code and standard output, and that part of standard error ("": none at all).
 */
static void runs(const char *line, int code, const char *out, const char *err)
{
    int got = shell(line);

    ck_assert_msg(got == code && strcmp(output, out) == 0 &&
                      (err[0] != '\0' ? strstr(errors, err) != NULL : errors[0] == '\0'),
                  "%s\nexit %d, not %d\nstdout: %sexpected: %s\nstderr: %sexpected: %s", line, got,
                  code, output, out, errors, err);
}

static const struct target_transport ways[] = {
    {.name = "rsp", .open = true, .calls = 3, .bytes_read = UINT64_MAX, .bytes_written = 5},
    {.name = "qtest", .note = "it is \"off\"\n"},
};

/* A device of which the target cannot tell what it refuses. */
static enum target_error access_device(struct target *target, target_client client,
                                       const struct target_seen *seen, struct target_span *spans,
                                       size_t count, bool write, const char **doubt)
{
    (void)target;
    (void)client;
    (void)seen;
    *doubt = "nobody can tell";
    for (size_t i = 0; i < count; i++) {
        spans[i].done = spans[i].length;
        spans[i].error = TARGET_OK;
        if (!write)
            memset(spans[i].bytes, 0, spans[i].length);
    }
    return TARGET_OK;
}

static void prepare(struct machine *machine)
{
    static struct target_memory memory;

    memory = *machine->fake.base.memory;
    memory.access_device = access_device;
    machine->fake.base.memory = &memory;
    machine->fake.transports = ways;
    machine->fake.transports_count = sizeof ways / sizeof ways[0];
    for (unsigned i = 0; i < 16; i++)
        *fake_byte(&machine->fake, RAM_AT + i) = (uint8_t)('a' + i);
    fake_region(&machine->fake, REGION_RAM, LARGE_BASE, LARGE_SIZE, "large.ram");
}

static void set_up(void)
{
    strcpy(directory, "/tmp/test_cli.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    served_start(&served, prepare);
}

static void tear_down(void)
{
    char command[128];

    served_stop(&served);
    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(writes_and_reads)
{
    runs("$SB write-virtual 0xffff800000000000 90 90c3 text:h", 0, "S_OK: 4 of 4 bytes written\n",
         "");
    /* Another run sees it: it was flushed. */
    runs("$SB read-virtual 0xffff800000000000 18", 0,
         "ffff800000000000  90 90 c3 68 65 66 67 68  69 6a 6b 6c 6d 6e 6f 70  |...hefghijklmnop|\n"
         "ffff800000000010  00 00                                             |..|\n",
         "");
    runs("$SB write-virtual --uncached 0xffff800000000000 u32:0x12345678", 0,
         "S_OK: 4 of 4 bytes written\n", "");
    runs("$SB read-virtual --uncached 0xffff800000000000 2 -o -", 0, "\x78\x56", "");
    runs("$SB read-physical 0x10000 4 -o file && cat file", 0, "\x78\x56\x34\x12", "");
    runs("$SB write-physical --type cached 0x10000 00", 0, "S_OK: 1 of 1 bytes written\n", "");
    runs("printf ABC >data; printf DE | $SB write-physical 0x10000 @data @-", 0,
         "S_OK: 5 of 5 bytes written\n", "");
    runs("$SB read-physical --type cached 0x10000 5 -o -", 0, "ABCDE", "");
    runs("$SB read-virtual 0xffff800000000000 0", 0, "", "");
    runs("$SB write-virtual 0xffff800000000000 text:", 0, "S_OK: 0 of 0 bytes written\n", "");
}
END_TEST

START_TEST(warnings_are_printed)
{
    static const char says[] = "spacebridge: warning: hpet at physical 0xfed00000: nobody can tell";

    runs("$SB write-physical 0xfed00000 00", 0, "S_OK: 1 of 1 bytes written\n", says);
    runs("$SB write-virtual 0xffff800000029000 00", 0, "S_OK: 1 of 1 bytes written\n", says);
    runs("$SB read-physical 0xfed00000 1 -o - | od -An -tx1", 0, " 00\n", says);
    runs("$SB write-pointers 0xffff800000029000 1", 0, "S_OK: 1 of 1 pointers written\n", says);
    runs("$SB read-pointers 0xffff800000029000 1", 0, "0x0000000000000000\n", says);
    /* As the last member of the object, and then not on standard error. */
    static const char *const commands[] = {
        "write-physical 0xfed00000 00",        "read-physical 0xfed00000 4",
        "write-virtual 0xffff800000029000 00", "read-virtual --uncached 0xffff800000029000 4",
        "write-pointers 0xffff800000029000 1", "read-pointers 0xffff800000029000 1",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char line[128];
        snprintf(line, sizeof line, "$SB --json %s", commands[i]);
        ck_assert_int_eq(shell(line), 0);
        ck_assert_str_eq(errors, "");
        ck_assert_ptr_nonnull(strstr(output, ",\"warning\":\"hpet at physical 0xfed00000: "));
        ck_assert_str_eq(output + strlen(output) - 3, "\"}\n");
    }
    /* Where only a part is a device, and where the call is partly done. */
    runs("$SB write-physical 0xfed003fc 0011223344", 3, "S_OK: 4 of 5 bytes written\n",
         "warning: ");
    ck_assert_int_eq(shell("$SB --json write-physical 0x10000 00"), 0);
    ck_assert_ptr_null(strstr(output, "warning"));
}
END_TEST

START_TEST(partly_done_is_3)
{
    runs("$SB write-virtual 0xffff800000007ffe 01020304", 3, "S_OK: 2 of 4 bytes written\n",
         "page not mapped (0 of 2 bytes written)");
    runs("$SB read-virtual 0xffff800000007ffe 4", 3,
         "ffff800000007ffe  01 02                                             |..|\n",
         "S_OK: 2 of 4 bytes read");
    runs("$SB --json write-virtual 0xffff800000007ffe 01020304", 3,
         "{\"bytes_written\":2,\"message\":\"WriteVirtual at 0xffff800000008000: page not mapped "
         "(0 of 2 bytes written)\","
         "\"hresult\":0,\"name\":\"S_OK\"}\n",
         "");
    runs("$SB write-virtual 0xfffffffffffffffe 01020304", 3, "S_OK: 2 of 4 bytes written\n",
         "bytes");
}
END_TEST

START_TEST(failures_are_1)
{
    runs("$SB write-virtual 0xffff800000008000 01", 1, "",
         "ERROR_WRITE_FAULT (0x8007001D): WriteV");
    runs("$SB read-virtual 0xffff800000008000 1", 1, "", "ERROR_READ_FAULT (0x8007001E): ReadV");
    runs("$SB read-virtual 0xffff800000008000 1 -o file; code=$?; ls file 2>/dev/null; exit $code",
         1, "", "ERROR_READ_FAULT");
    shell("$SB --json read-virtual 0xffff800000008000 1");
    ck_assert_ptr_nonnull(strstr(output, "\"hresult\":2147942430,\"name\":\"ERROR_READ_FAULT\","
                                         "\"message\":\"ReadVirtual"));
    ck_assert_ptr_nonnull(strstr(output, "{\"bytes_read\":0,"));
    runs("$SB write-physical --type uncached 0x10000 00", 1, "", "E_INVALIDARG (0x80070057)");
    runs("$SB translate 0xffff800000008000", 1, "", "STATUS_NO_PAGEFILE (0xD0000147)");
    runs("$SB --cpu 5 status", 1, "", "E_INVALIDARG");
    runs("$SB write-virtual 0xffff800000000000 @missing", 1, "", "missing: No such file");
    runs("$SB write-virtual 0xffff800000000000 @.", 1, "", ".: Is a directory");
    runs("$SB write-virtual 0xffff800000000000 @- <&-", 1, "", "standard input: Bad file");
}
END_TEST

START_TEST(usage_is_2)
{
    runs("$SB", 2, "", "a command is needed\nTry 'spacebridge --help'.");
    runs("$SB frobnicate", 2, "", "'frobnicate' is unknown");
    runs("$SB write-virtual 0x0 9", 2, "", "in pairs");
    runs("$SB read-virtual 4k 1", 2, "", "ADDRESS '4k' is not a number");
    ck_assert_int_eq(shell("$SB --help"), 0);
    ck_assert_ptr_nonnull(strstr(output, "write-pointers ADDRESS POINTER..."));
    ck_assert_int_eq(shell("$SB --version"), 0);
    ck_assert_int_eq(strncmp(output, "spacebridge ", 12), 0);
}
END_TEST

START_TEST(no_connection_is_4)
{
    runs("$SB --connect unix:/nonexistent/sock status", 4, "", "/nonexistent/sock");
    runs("SPACEBRIDGE=tcp:127.0.0.1:1 $SB status", 4, "", "tcp:127.0.0.1:1");
    runs("$SB --connect nonsense status", 4, "", "nonsense");
    shell("$SB --json --connect unix:/nonexistent/sock status");
    ck_assert_int_eq(strncmp(output, "{\"hresult\":2147549183,\"name\":\"E_UNEXPECTED\",", 43), 0);
}
END_TEST

START_TEST(pointers_ports_and_translation)
{
    runs("$SB write-pointers 0xffff800000000000 1 0xffffffffffffffff", 0,
         "S_OK: 2 of 2 pointers written\n", "");
    runs("$SB read-pointers 0xffff800000000000 2", 0, "0x0000000000000001\n0xffffffffffffffff\n",
         "");
    runs("$SB --json read-pointers 0xffff800000000000 2", 0,
         "{\"pointers\":[\"0x1\",\"0xffffffffffffffff\"],\"hresult\":0,\"name\":\"S_OK\"}\n", "");
    runs("$SB write-io --size 2 0x70 0x1234", 0, "S_OK: 2 of 2 bytes written\n", "");
    runs("$SB read-io --size 2 0x70", 0, "0x1234\n", "");
    runs("$SB read-io --size 1 --interface pnpisabus 0x71", 0, "0x12\n", "");
    runs("$SB read-io --size 2 0x71", 1, "", "STATUS_DATATYPE_MISALIGNMENT");
    runs("$SB read-io --size 2 --interface vmebus 0x70", 1, "", "E_INVALIDARG");
    runs("$SB --json read-io 0x70 --size 2", 0,
         "{\"data\":\"3412\",\"value\":\"0x1234\",\"bytes_read\":2,\"hresult\":0,\"name\":\"S_OK\"}"
         "\n",
         "");
    runs("$SB translate 0xffff800000000005", 0, "0x0000000000010005\n", "");
    runs("$SB --cpu 1 translate 0xffff800000000005", 0, "0x0000000000050005\n", "");
    runs("$SB translate 0xffff800000000005 --json", 0,
         "{\"virtual\":\"0xffff800000000005\",\"physical\":\"0x10005\",\"hresult\":0,\"name\":\"S_"
         "OK\"}\n",
         "");
}
END_TEST

START_TEST(run_control)
{
    ck_assert_int_eq(shell("$SB status"), 0);
    ck_assert_int_eq(strncmp(output, "halted\n", 7), 0);
    runs("$SB go", 0, "S_OK: running\n", "");
    runs("$SB go", 1, "", "SetExecutionStatus");
    ck_assert_int_eq(shell("$SB --json status"), 0);
    ck_assert_ptr_nonnull(strstr(output, "{\"state\":\"running\",\"architecture\":"));
    runs("$SB wait 0", 1, "", "the target still runs after 0 seconds");
    runs("$SB wait 0.1 --json", 1,
         "{\"hresult\":1,\"name\":\"S_FALSE\",\"message\":\"the target still runs after 0.1 "
         "seconds\"}\n",
         "");
    runs("$SB read-virtual 0xffff800000000000 4", 1, "", "E_UNEXPECTED (0x8000FFFF)");
    runs("$SB halt", 0, "S_OK: halted: halted\n", "");
    runs("$SB wait", 0, "S_OK: halted: halted\n", "");
    runs("$SB halt --json", 0,
         "{\"state\":\"halted\",\"event\":\"halted\",\"hresult\":0,\"name\":\"S_OK\"}\n", "");
    runs("$SB flush", 0, "S_OK: 0 bytes flushed\n", "");
    runs("$SB flush --json", 0, "{\"bytes_flushed\":0,\"hresult\":0,\"name\":\"S_OK\"}\n", "");
}
END_TEST

START_TEST(the_ways_to_the_target)
{
    runs("$SB transports", 0,
         "rsp open: 3 calls, 18446744073709551615 bytes read, 5 bytes written\n"
         "qtest closed: 0 calls, 0 bytes read, 0 bytes written: it is \"off\"\\x0a\n",
         "");
    runs(
        "$SB --json transports", 0,
        "{\"transports\":{\"rsp\":{\"open\":true,\"calls\":3,\"bytes_read\":18446744073709551615,"
        "\"bytes_written\":5,\"note\":\"\"},\"qtest\":{\"open\":false,\"calls\":0,\"bytes_read\":0,"
        "\"bytes_written\":0,\"note\":\"it is "
        "\\\"off\\\"\\u000a\"}},\"hresult\":0,\"name\":\"S_OK\"}\n",
        "");
    runs("$SB transports more", 2, "", "transports takes no operands");
}
END_TEST

/* A daemon may have none, or answer with what is no such map. */
static void answer_with_none(int fd, void *context)
{
    script_hello(fd);
    script_hello(fd);
    uint64_t id = (uint64_t)script_request(fd, "GetTransportStatus");
    SCRIPT_SEND(fd, context ? "[iun[i{}]]" : "[iun[i{s{}}]]", 1, id, 0, "rsp");
    script_wait_end(fd);
}

START_TEST(no_ways_and_nonsense)
{
    struct false_daemon other;
    char line[300];

    for (int good = 0; good < 2; good++) {
        for (int json = 0; json < 2; json++) {
            false_daemon_start(&other, answer_with_none, good ? &other : NULL);
            snprintf(line, sizeof line, "$SB --connect %s %s transports", other.endpoint,
                     json ? "--json" : "");
            ck_assert_int_eq(shell(line), good ? 0 : 4);
            if (json && good)
                ck_assert_str_eq(output, "{\"transports\":{},\"hresult\":0,\"name\":\"S_OK\"}\n");
            else
                ck_assert(strstr(output, "rsp") == NULL);
            false_daemon_end(&other);
        }
    }
}
END_TEST

START_TEST(json_of_memory)
{
    runs("$SB --json read-virtual 0xffff800000000000 3", 0,
         "{\"data\":\"616263\",\"bytes_read\":3,\"hresult\":0,\"name\":\"S_OK\"}\n", "");
    runs("$SB --json read-virtual 0xffff800000000000 3 -o file && cat file", 0,
         "{\"bytes_read\":3,\"hresult\":0,\"name\":\"S_OK\"}\nabc", "");
    runs("$SB --json write-virtual 0xffff800000000000 0102", 0,
         "{\"bytes_written\":2,\"hresult\":0,\"name\":\"S_OK\"}\n", "");
}
END_TEST

/* Many pieces, an odd address, and the end of memory in the middle. */
START_TEST(large_files_pass_in_pieces)
{
    runs("head -c 3000001 /dev/urandom >data && $SB write-physical 0x100000003 @data", 0,
         "S_OK: 3000001 of 3000001 bytes written\n", "");
    runs("$SB read-physical 0x100000003 3000001 -o back && cmp data back", 0, "", "");
    runs("cat data | $SB write-physical 0x100000003 @- ff && "
         "$SB read-physical 0x100000003 3000001 -o - | cmp data -",
         0, "S_OK: 3000002 of 3000002 bytes written\n", "");
    runs("$SB write-physical 0x100600000 @data", 3, "S_OK: 2097152 of 3000001 bytes written\n",
         "WritePhysical");
    runs("cat data | $SB write-physical 0x100600000 @-", 3,
         "S_OK: 2097152 of at least 2621440 bytes written\n", "WritePhysical");
    runs("$SB read-physical 0x100600000 3000001 -o back; code=$?; wc -c <back; exit $code", 3,
         "2097152\n", "S_OK: 2097152 of 3000001 bytes read");
}
END_TEST

START_TEST(full_disks_and_closed_pipes)
{
    runs("$SB read-virtual 0xffff800000000000 16 -o /dev/full", 1, "", "/dev/full: No space left");
    runs("$SB read-virtual 0xffff800000000000 16 -o /nonexistent/file", 1, "",
         "/nonexistent/file: No such file");
    runs("$SB read-virtual 0xffff800000000000 16 >/dev/full", 1, "", "standard output: No space");
    runs("$SB read-virtual 0xffff800000000000 16 -o - >/dev/full", 1, "",
         "standard output: No space");
    runs("$SB status --json >/dev/full", 1, "", "standard output: No space");
    runs("$SB --help >/dev/full", 1, "", "standard output: No space");
    runs("$SB write-virtual 0xffff800000000000 90 >&-", 1, "", "standard output: ");
    /* Nobody reads: no signal kills it, it says so. */
    runs("{ $SB read-physical 0x100000000 0x800000; echo $? >code; } | head -c 10 >/dev/null; "
         "exit $(cat code)",
         1, "", "standard output: ");
}
END_TEST

/* A flush that fails is never S_OK, whatever the write before it was. */
static void fail_the_flush(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    script_hello(fd);
    uint64_t id = (uint64_t)script_request(fd, "WriteVirtual");
    SCRIPT_SEND(fd, "[iun[ii]]", 1, id, 0, 4);
    id = (uint64_t)script_request(fd, "FlushCache");
    SCRIPT_SEND(fd, "[iu[is]n]", 1, id, E_FAIL, "FlushCache: 0x1000: \x1b[2J 4 bytes lost");
    script_wait_end(fd);
}

START_TEST(a_failed_flush_is_never_ok)
{
    struct false_daemon other;
    char line[300];

    for (int json = 0; json < 2; json++) {
        false_daemon_start(&other, fail_the_flush, NULL);
        snprintf(line, sizeof line, "$SB --connect %s %s write-virtual 0x1000 01020304",
                 other.endpoint, json ? "--json" : "");
        int code = shell(line);
        ck_assert_int_eq(code, 1);
        ck_assert_ptr_null(strstr(output, "S_OK"));
        ck_assert_ptr_null(strchr(errors, '\x1b'));
        if (json)
            ck_assert_str_eq(output,
                             "{\"bytes_written\":0,\"hresult\":2147500037,\"name\":\"E_FAIL\","
                             "\"message\":\"FlushCache: 0x1000: \\u001b[2J 4 bytes lost\"}\n");
        else
            ck_assert_ptr_nonnull(
                strstr(errors, "E_FAIL (0x80004005): FlushCache: 0x1000: \\x1b[2J 4 bytes lost"));
        false_daemon_end(&other);
    }
}
END_TEST

static void vanish(int fd, void *context)
{
    (void)context;
    script_hello(fd);
    script_hello(fd);
    script_request(fd, "WriteVirtual");
}

START_TEST(a_connection_lost_on_the_way_is_4)
{
    struct false_daemon other;
    char line[300];

    false_daemon_start(&other, vanish, NULL);
    snprintf(line, sizeof line, "$SB --connect %s write-virtual 0x1000 01020304", other.endpoint);
    runs(line, 4, "", "the daemon closed the connection");
    false_daemon_end(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tcase = tcase_create("cli");

    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, writes_and_reads);
    tcase_add_test(tcase, warnings_are_printed);
    tcase_add_test(tcase, partly_done_is_3);
    tcase_add_test(tcase, failures_are_1);
    tcase_add_test(tcase, usage_is_2);
    tcase_add_test(tcase, no_connection_is_4);
    tcase_add_test(tcase, pointers_ports_and_translation);
    tcase_add_test(tcase, run_control);
    tcase_add_test(tcase, the_ways_to_the_target);
    tcase_add_test(tcase, no_ways_and_nonsense);
    tcase_add_test(tcase, json_of_memory);
    tcase_add_test(tcase, large_files_pass_in_pieces);
    tcase_add_test(tcase, full_disks_and_closed_pipes);
    tcase_add_test(tcase, a_failed_flush_is_never_ok);
    tcase_add_test(tcase, a_connection_lost_on_the_way_is_4);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
