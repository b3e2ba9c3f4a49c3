/* A client's requests on a fake target: what is answered, and what reaches the target. */
#include "base/log.h"
#include "fake_front_target.h"
#include "stub/dispatch.h"
#include "stub/report.h"
#include "stub_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct fake_front_target stub;
static struct space *space;
static struct front front;
static struct talk {
    struct client client;
    char last[65536]; /* the packet sent last */
    char console[4096];
    size_t packets;
} one, other;

static void sent(void *context, const void *payload, size_t length)
{
    struct talk *talk = context;
    const char *text = payload;
    ck_assert_uint_lt(length, sizeof talk->last);
    if (length > 1 && text[0] == 'O' && text[1] != 'K') {
        size_t at = strlen(talk->console);
        for (size_t i = 1; i + 1 < length; i += 2) {
            unsigned byte;
            ck_assert_int_eq(sscanf(text + i, "%2x", &byte), 1);
            talk->console[at++] = (char)byte;
        }
        talk->console[at] = '\0';
        return;
    }
    memcpy(talk->last, payload, length);
    talk->last[length] = '\0';
    talk->packets++;
}

static void open_talk(struct talk *talk, const char *name)
{
    struct client_link link = {.context = talk, .send = sent};
    memset(talk, 0, sizeof *talk);
    ck_assert(client_open(&talk->client, &front, name, &link));
}

static void setup(void)
{
    struct space_config config = {.policy = CACHE_WRITE_THROUGH, .cache_size = 65536};
    struct front_config how = {.policy = CACHE_WRITE_THROUGH, .attach_halt = true, .timeout = 1};
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    fake_front_target_init(&stub);
    space = space_new(&stub.fake.base, &config);
    ck_assert_ptr_nonnull(space);
    ck_assert(front_init(&front, NULL, space, &how));
    open_talk(&one, "stub#1");
    open_talk(&other, "stub#2");
}

static void teardown(void)
{
    client_close(&one.client);
    client_close(&other.client);
    front_end(&front);
    space_free(space);
    fake_front_target_free(&stub);
}

static const char *ask(struct talk *talk, const char *request)
{
    strcpy(talk->last, "(nothing)");
    talk->console[0] = '\0';
    dispatch(&talk->client, request, strlen(request));
    return talk->last;
}

#define expect(talk, request, reply) ck_assert_str_eq(ask(talk, request), reply)

static void hello(struct talk *talk)
{
    ask(talk, "qSupported:multiprocess+;swbreak+;hwbreak+");
}

static void report(struct talk *talk)
{
    ck_assert(client_stop_due(&talk->client));
    report_stop(&talk->client);
}

START_TEST(memory)
{
    memcpy(fake_byte(&stub.fake, 0x100ffc), "abcd", 4);
    expect(&one, "m1ffc,4", "61626364");
    expect(&one, "m1ffc,8", "6162636400000000");
    expect(&one, "m2ffc,8", "00000000"); /* the prefix */
    expect(&one, "m3000,4", "E14");
    expect(&one, "m1000,0", "");
    expect(&one, "M1ffc,2:3132", "OK");
    ck_assert_mem_eq(fake_byte(&stub.fake, 0x100ffc), "12cd", 4);
    expect(&one, "X1ffc,1:z", "OK");
    expect(&one, "X1ffc,0:", "OK");
    expect(&one, "M1ffc,2:31", "E22");
    expect(&one, "M2fff,2:3132", "E14");
    ck_assert_int_eq(*fake_byte(&stub.fake, 0x101fff), '1'); /* as far as it goes */
    ck_assert_int_eq(strlen(ask(&one, "m1000,ffffffffffffffff")), 2 * 0x2000);
    expect(&one, "m1000,10000000000000000", "E22");
}
END_TEST

START_TEST(eight_reads_cost_one)
{
    fake_clear_log(&stub.fake);
    for (int i = 0; i < 8; i++) {
        char request[32];
        snprintf(request, sizeof request, "m%x,4", 0x1000 + 4 * i);
        expect(&one, request, "00000000");
    }
    ck_assert_uint_eq(fake_count(&stub.fake, FAKE_READ_VIRTUAL), 1);
}
END_TEST

START_TEST(binary_reads)
{
    memcpy(fake_byte(&stub.fake, 0x100000), "E01x", 4);
    expect(&one, "x1000,4", "E01x");
    expect(&one, "x1000,3", "E"); /* not to be taken for an error */
    expect(&one, "x0,0", "OK");
    hello(&other);
    expect(&other, "x1000,3", "bE01");
    expect(&other, "x1000,0", "b");
    expect(&other, "x3000,3", "E14");
}
END_TEST

/* As lldb 14 to 19 do, whatever we have announced. */
START_TEST(binary_reads_of_one_that_asks_for_none_first)
{
    memcpy(fake_byte(&stub.fake, 0x100000), "abcd", 4);
    hello(&one);
    expect(&one, "x0,0", "OK");
    expect(&one, "x1000,4", "abcd");
    expect(&one, "x1000,0", "OK");
    hello(&one);
    expect(&one, "x1000,4", "abcd");
    hello(&other);
    expect(&other, "x", "E22"); /* no read at all decides nothing */
    expect(&other, "x3000,3", "E14");
    expect(&other, "x0,0", "b");
    expect(&other, "x1000,4", "babcd");
}
END_TEST

START_TEST(what_was_agreed_stays)
{
    char first[sizeof one.last];
    memcpy(fake_byte(&stub.fake, 0x100000), "abcd", 4);
    hello(&one);
    strcpy(first, one.last);
    ck_assert_ptr_nonnull(strstr(first, "binary-upload+"));
    ask(&one, "QThreadSuffixSupported");
    static const char *const others[] = {"qSupported", "qSupported:xmlRegisters=i386,arm,mips",
                                         "qSupported:xmlRegisters=i386,arm,mips,arc;error-message+",
                                         "qSupported:swbreak-"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        expect(&one, others[i], first);
        expect(&one, "x1000,4", "babcd");
        expect(&one, "m1000,g", "E22"); /* no text: that was not announced */
    }
    /* and what was not is not there by a second one */
    ask(&other, "qSupported");
    strcpy(first, other.last);
    ck_assert_ptr_null(strstr(first, "binary-upload+"));
    hello(&other);
    ck_assert_str_eq(other.last, first);
    expect(&other, "x1000,4", "abcd");
    expect(&other, "qC", "QC1");
}
END_TEST

START_TEST(physical_mode)
{
    *fake_byte(&stub.fake, 0x103000) = 0x5a;
    expect(&one, "Qqemu.PhyMemMode:1", "OK");
    expect(&one, "m103000,1", "5a");
    expect(&one, "qqemu.PhyMemMode", "1");
    expect(&other, "qqemu.PhyMemMode", "0");
    expect(&other, "m103000,1", "E14");
    expect(&one, "M103000,1:66", "OK");
    ck_assert_int_eq(*fake_byte(&stub.fake, 0x103000), 0x66);
    ck_assert_ptr_null(strstr((const char *)buffer_bytes(&stub.log), "PhyMemMode"));
}
END_TEST

START_TEST(search_and_crc)
{
    memcpy(fake_byte(&stub.fake, 0x100ffe), "ne", 2); /* over the page's end */
    memcpy(fake_byte(&stub.fake, 0x101000), "edle", 4);
    expect(&one, "qSearch:memory:1000;2000;needle", "1,1ffe");
    expect(&one, "qSearch:memory:1000;3000;needle", "1,1ffe");
    expect(&one, "qSearch:memory:1000;2000;absent", "0");
    expect(&one, "qSearch:memory:1000;3000;absent", "E14");
    expect(&one, "qSearch:memory:1000;0;n", "0");
    memcpy(fake_byte(&stub.fake, 0x100000), "123456789", 9);
    expect(&one, "M1000,1:31", "OK"); /* the view learns of it */
    expect(&other, "qCRC:1000,9", "C376e6e7");
    expect(&other, "qCRC:1000,0", "Cffffffff");
    expect(&other, "qCRC:3000,1", "E14");
}
END_TEST

START_TEST(registers)
{
    stub.registers[1][0] = 0x77;
    expect(&one, "p0", "00000000");
    expect(&one, "Hg2", "OK");
    expect(&one, "p0", "77000000");
    ck_assert_uint_eq(fake_front_target_count(&stub, "2:g"),
                      1); /* before the first p, for KVM's sake */
    expect(&one, "p0", "77000000");
    ck_assert_uint_eq(fake_front_target_count(&stub, "2:g"), 1);
    expect(&one, "p0;thread:0001;", "00000000");
    expect(&one, "P0=01020304", "OK");
    expect(&one, "P0=0102", "E22"); /* the stub would make up the rest */
    expect(&one, "Hg3", "E22");
    expect(&one, "Hgp1.0", "OK");
    expect(&other, "g;thread:2;", "0102030400000000000000000000000000000000");
    /* G as P of what differs */
    buffer_clear(&stub.log);
    expect(&other, "G;thread:2;", "E22");
    expect(&other, "G0102030400000000000000050000000000000000;thread:2;", "OK");
    ck_assert_uint_eq(fake_front_target_count(&stub, "2:P1=0000000000000005"), 1);
    ck_assert_uint_eq(fake_front_target_count(&stub, "2:P0=01020304"), 0);
    expect(&other, "G01", "E22");
    expect(&other, "G0102030400000000000000050000000000000000ff", "E22");
}
END_TEST

/* The answer is there, and so is the loss: nothing more is sent, nothing is taken for written. */
START_TEST(registers_of_a_target_that_is_lost_meanwhile)
{
    static const char *const last[] = {"g", "P0"};
    ask(&one, "?");
    expect(&one, "Hg1", "OK");
    stub.lose_behind = last[_i];
    buffer_clear(&stub.log);
    expect(&one, "G0102030400000000000000050000000000000000", "E05");
    ck_assert_uint_eq(fake_front_target_count(&stub, "1:P0=01020304"), (size_t)_i);
    ck_assert_uint_eq(fake_front_target_count(&stub, "1:P1=0000000000000005"), 0);
}
END_TEST

START_TEST(threads)
{
    hello(&one);
    expect(&one, "qfThreadInfo", "mp1.1,p1.2");
    expect(&one, "qsThreadInfo", "l");
    expect(&one, "qC", "QCp1.1");
    expect(&other, "qfThreadInfo", "m1,2");
    expect(&other, "qC", "QC1");
    expect(&one, "Tp1.2", "OK");
    expect(&one, "T3", "E22");
    expect(&one, "qThreadExtraInfo,p1.1", "435055");
    ck_assert(strstr(ask(&other, "qXfer:threads:read::0,1000"), "<thread id=\"2\""));
    expect(&other, "qAttached", "1");
}
END_TEST

START_TEST(breakpoints)
{
    expect(&one, "Z0,1000,1", "OK");
    expect(&other, "Z0,1000,1", "OK");
    ck_assert_uint_eq(fake_front_target_count(&stub, "0:Z0,1000,1"), 1);
    expect(&one, "z0,1000,1", "OK");
    ck_assert_uint_eq(fake_front_target_count(&stub, "0:z0,1000,1"), 0);
    stub.refuse_z = true;
    expect(&other, "z0,1000,1", "E22");
    expect(&other, "Z1,1000,1", "E22");
    stub.refuse_z = false;
    expect(&other, "z0,1000,1", "OK");
    ck_assert_uint_eq(fake_front_target_count(&stub, "0:z0,1000,1"), 2);
    expect(&other, "Z0,1000,1;X1,00", "E22");
}
END_TEST

START_TEST(running_and_stopping)
{
    hello(&one);
    expect(&one, "?", "T05thread:p1.1;");
    expect(&other, "?", "T05thread:1;");
    expect(&one, "vCont;c:p1.-1", "(nothing)");
    ck_assert_uint_eq(fake_front_target_count(&stub, "resume 0:vCont;c"), 1);
    ck_assert(one.client.waiting && !client_stop_due(&one.client));
    /* the other is at its prompt */
    expect(&other, "g", "E16");
    expect(&other, "M1000,1:00", "E16");
    expect(&other, "Z0,1000,1", "E16");
    expect(&other, "m1000,4", "00000000");
    expect(&other, "vCont;s:1", "E16");
    ck_assert(strstr(other.console, "another client runs the target"));
    expect(&other, "c", "(nothing)"); /* joins */
    fake_front_target_stop(&stub, "T05thread:02;");
    report(&one);
    report(&other);
    ck_assert_str_eq(one.last, "T05thread:p1.2;");
    ck_assert_str_eq(other.last, "T05thread:2;");
    expect(&one, "qC", "QCp1.2"); /* the thread that stopped is the one it looks at */
    ck_assert_uint_eq(fake_front_target_count(&stub, "resume 0:vCont;c"), 1);
}
END_TEST

START_TEST(steps)
{
    static const char *const forms[] = {"s", "vCont;s:1", "vCont;s:0001", "vCont;s:p1.1",
                                        "vCont;s:0"};
    static const char *const sent_as[] = {"resume 1:vCont;s:1;c", "resume 1:vCont;s:1",
                                          "resume 1:vCont;s:1", "resume 1:vCont;s:1",
                                          "resume 1:vCont;s:1"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        buffer_clear(&stub.log);
        expect(&one, forms[i], "(nothing)");
        ck_assert_msg(fake_front_target_count(&stub, sent_as[i]) == 1, "%s", forms[i]);
        fake_front_target_stop(&stub, "T05thread:01;");
        report(&one);
    }
    buffer_clear(&stub.log);
    expect(&one, "vCont;s:p1.2;c:p1.-1;s:1", "(nothing)");
    ck_assert_uint_eq(fake_front_target_count(&stub, "resume 2:vCont;s:2;c"), 1);
    fake_front_target_stop(&stub, "T05thread:02;");
    report(&one);
    expect(&one, "vCont;s:3", "E22");
    expect(&one, "vCont;t", "E22");
    expect(&one, "bs", "");
    /* the way of stepping is each client's own */
    expect(&one, "qqemu.sstep", "0x7");
    expect(&one, "Qqemu.sstep=1", "OK");
    expect(&other, "qqemu.sstep", "0x7");
    buffer_clear(&stub.log);
    expect(&one, "s", "(nothing)");
    ck_assert_uint_eq(fake_front_target_count(&stub, "0:Qqemu.sstep=1"), 1);
}
END_TEST

START_TEST(refused_resumes)
{
    stub.resume_error = TARGET_FAILED;
    expect(&one, "c", "E01");
    ck_assert(strstr(one.console, "could not be resumed"));
    ck_assert(!one.client.waiting);
    stub.resume_error = TARGET_OK;
    one.client.features.error_message = true;
    expect(&one, "vCont;s:9", "E.there is no thread 9");
    one.client.features.error_message = false;
    expect(&one, "QEnableErrorStrings", "OK");
    expect(&one, "T9", "E22;7468657265206973206e6f207375636820746872656164");
}
END_TEST

START_TEST(interrupts)
{
    hello(&one);
    expect(&one, "?", "T05thread:p1.1;");
    client_interrupt(&one.client); /* halted: it crossed the stop */
    ck_assert(!one.client.waiting);
    expect(&one, "c", "(nothing)");
    ask(&other, "m1000,1");
    /* that was its first request: it has attached, and halted the target */
    report(&one);
    ck_assert_str_eq(one.last, "T02thread:p1.1;");
    expect(&one, "c", "(nothing)");
    client_interrupt(&other.client); /* at its prompt */
    report(&one);
    report(&other);
    ck_assert_str_eq(other.last, "T02thread:1;");
}
END_TEST

/* QEMU names the processor that it resumed last, from 8.2 on; that is nobody's thread. */
START_TEST(an_interrupt_is_about_the_thread_that_is_selected)
{
    hello(&one);
    expect(&one, "?", "T05thread:p1.1;");
    expect(&one, "vCont;c:p1.-1", "(nothing)");
    expect(&other, "c", "(nothing)");
    fake_front_target_stop(&stub, "T02thread:02;");
    report(&one);
    report(&other);
    ck_assert_str_eq(one.last, "T02thread:p1.1;");
    ck_assert_str_eq(other.last, "T02thread:1;");
    expect(&one, "qC", "QCp1.1");
    expect(&one, "Hgp1.2", "OK");
    expect(&one, "?", "T02thread:p1.1;"); /* it was told so */
    expect(&one, "Hgp1.2", "OK");
    expect(&one, "c", "(nothing)");
    expect(&other, "c", "(nothing)");
    fake_front_target_stop(&stub, "T02thread:01;");
    report(&one);
    report(&other);
    ck_assert_str_eq(one.last, "T02thread:p1.2;");
    ck_assert_str_eq(other.last, "T02thread:1;");
    /* a step or a breakpoint is the processor's own */
    expect(&one, "c", "(nothing)");
    expect(&other, "c", "(nothing)");
    fake_front_target_stop(&stub, "T05thread:02;");
    report(&other);
    ck_assert_str_eq(other.last, "T05thread:2;");
    /* a step without a thread steps the one that was told */
    fake_front_target_stop(&stub, "T02thread:01;");
    expect(&one, "?", "T02thread:p1.2;");
    buffer_clear(&stub.log);
    expect(&one, "s", "(nothing)");
    ck_assert_uint_eq(fake_front_target_count(&stub, "resume 2:vCont;s:2;c"), 1);
}
END_TEST

START_TEST(whose_breakpoint_it_is)
{
    hello(&one);
    hello(&other);
    expect(&one, "Z0,1234,1", "OK");
    expect(&other, "Z2,2000,4", "OK");
    expect(&one, "c", "(nothing)");
    expect(&other, "c", "(nothing)");
    memcpy(stub.registers[0] + 12, "\x34\x12", 2);
    fake_front_target_stop(&stub, "T05thread:01;");
    report(&one);
    report(&other);
    ck_assert_str_eq(one.last, "T05swbreak:;thread:p1.1;");
    ck_assert_str_eq(other.last, "T05thread:p1.1;"); /* it would go on by itself */
    expect(&one, "vCont;s:1", "(nothing)");
    fake_front_target_stop(&stub, "T05thread:01;watch:2000;");
    report(&one);
    ck_assert_str_eq(one.last, "T05thread:p1.1;");
}
END_TEST

/* Back from where another's breakpoint is: nothing goes forward for that. */
START_TEST(reverse)
{
    stub.fake.info.features = "ReverseStep+;ReverseContinue+";
    hello(&one);
    hello(&other);
    expect(&other, "Z0,1234,1", "OK");
    memcpy(stub.registers[0] + 12, "\x34\x12", 2);
    buffer_clear(&stub.log);
    expect(&one, "bc", "(nothing)");
    ck_assert_uint_eq(fake_front_target_count(&stub, "resume 1:bc"), 1);
    ck_assert_ptr_null(strstr((const char *)buffer_bytes(&stub.log), "vCont"));
    fake_front_target_stop(&stub, "T05thread:01;");
    report(&one);
    expect(&one, "bs", "(nothing)");
    ck_assert_uint_eq(fake_front_target_count(&stub, "resume 1:bs"), 1);
    fake_front_target_stop(&stub, "T05thread:01;");
    report(&one);
    stub.fake.info.features = "";
    expect(&one, "bc", "");
}
END_TEST

/* Somebody resumes the target before its halt is settled: nobody waits for that any more. */
START_TEST(resumed_before_it_is_settled)
{
    hello(&one);
    ask(&one, "?");
    ask(&other, "?");
    expect(&one, "c", "(nothing)");
    front.seen.now = FRONT_SETTLING;
    fake_resume_by_others(&stub.fake);
    ck_assert(front.seen.now != FRONT_SETTLING);
    expect(&other, "m1000,1", "00");
    expect(&other, "g", "E16");
}
END_TEST

/* Ctrl-C while a halt is looked at that may be nobody's. */
START_TEST(interrupts_a_halt_that_is_not_settled)
{
    hello(&one);
    ask(&one, "?");
    expect(&one, "c", "(nothing)");
    fake_front_target_stop(&stub, "T05thread:01;");
    front.stops--; /* as before it is told */
    front.seen.now = FRONT_SETTLING;
    client_interrupt(&one.client);
    ck_assert(front_run_is(&front.seen, FRONT_HALT_ASKED) && one.client.waiting);
    front_publish(&front);
    report(&one);
}
END_TEST

START_TEST(leaving)
{
    fake_resume_by_others(&stub.fake);
    hello(&one);
    ck_assert_int_eq(stub.fake.state, TARGET_STATE_RUNNING); /* said hello, no more */
    ask(&one, "?");
    ask(&other, "?");
    ck_assert_int_eq(stub.fake.state, TARGET_STATE_HALTED);
    expect(&one, "Z0,1000,1", "OK");
    expect(&one, "D;1", "OK");
    ck_assert_uint_eq(fake_front_target_count(&stub, "0:z0,1000,1"), 1);
    ck_assert_int_eq(stub.fake.state, TARGET_STATE_HALTED); /* the other is there */
    expect(&one, "m1000,1", "E01");
    expect(&one, "k", "(nothing)"); /* refused */
    ck_assert(one.client.ending);
    expect(&other, "vKill;1", "E13");
    client_close(&other.client);
    ck_assert_int_eq(stub.fake.state, TARGET_STATE_RUNNING); /* as it was found */
    open_talk(&other, "stub#3");
}
END_TEST

START_TEST(monitor_commands)
{
    expect(&one, "qRcmd,696e666f", "OK"); /* info */
    ck_assert_str_eq(one.console, "printed by info\r\n");
    expect(&one, "qRcmd,7472616e736c61746520307831303031", "OK"); /* translate 0x1001 */
    ck_assert(strstr(one.console, "0x1001 -> 0x100001 RAM pc.ram"));
    expect(&one, "qRcmd,636f6e6e656374696f6e73", "OK"); /* connections */
    ck_assert(strstr(one.console, "stub#1 (this one)") && strstr(one.console, "stub#2"));
    expect(&one, "qRcmd,6361636865", "OK"); /* cache */
    ck_assert(strstr(one.console, "policy write-through"));
    expect(&one, "qRcmd,0", "E01");
    expect(&one, "qRcmd,00", "E01");
    expect(&one, "qRcmd,610a62", "E01"); /* one line is one command */
    expect(&one, "qRcmd,", "OK");
}
END_TEST

START_TEST(lldb)
{
    ck_assert(strstr(ask(&one, "qHostInfo"), "endian:little"));
    ck_assert(strstr(ask(&one, "qProcessInfo"), "pid:1;"));
    expect(&one, "qMemoryRegionInfo:1234",
           "start:1000;size:2000;permissions:rwx;name:70632e72616d;");
    ck_assert(strstr(ask(&one, "qMemoryRegionInfo:3000"), "start:3000;size:"));
    ck_assert_ptr_null(strstr(one.last, "permissions"));
    expect(&one, "qMemoryRegionInfo:ffffffffffffffff", "start:fffffffffffff000;size:1000;");
    expect(&one, "QListThreadsInStopReply", "OK");
    expect(&one, "?", "T05thread:1;threads:1,2;");
    expect(&one, "qThreadStopInfo2", "T00thread:2;");
    expect(&one, "qThreadStopInfo1", "T05thread:1;");
    expect(&one, "qThreadStopInfo9", "E22");
    expect(&one, "jThreadsInfo", "");
}
END_TEST

/* As long as a packet of QEMU may be, with what matters at its end. */
START_TEST(a_long_stop_reply_is_told_whole)
{
    char words[4096] = "T05";

    for (unsigned i = 0; strlen(words) + 20 <= 4000 - strlen("thread:02;"); i++)
        snprintf(words + strlen(words), sizeof words - strlen(words), "%02x:%016x;", i, i);
    char *end = words + strlen(words);
    strcpy(end, "thread:02;");
    ck_assert_uint_ge(strlen(words), 3980);
    expect(&one, "c", "(nothing)");
    fake_front_target_stop(&stub, words);
    report(&one);
    strcpy(end, "thread:2;");
    ck_assert_str_eq(one.last, words);
    expect(&one, "?", words);
}
END_TEST

START_TEST(the_target_is_lost)
{
    ask(&one, "?");
    expect(&one, "c", "(nothing)");
    ask(&other, "qSupported");
    stub.stop[0] = '\0';
    fake_lose(&stub.fake);
    report(&one);
    ck_assert(one.client.ending);
    expect(&other, "?", "E05");
    expect(&other, "m1000,1", "E05");
    expect(&other, "c", "E05");
    expect(&other, "qfThreadInfo", "E05");
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("client");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, memory);
    tcase_add_test(tcase, eight_reads_cost_one);
    tcase_add_test(tcase, binary_reads);
    tcase_add_test(tcase, binary_reads_of_one_that_asks_for_none_first);
    tcase_add_test(tcase, what_was_agreed_stays);
    tcase_add_test(tcase, physical_mode);
    tcase_add_test(tcase, search_and_crc);
    tcase_add_test(tcase, registers);
    tcase_add_loop_test(tcase, registers_of_a_target_that_is_lost_meanwhile, 0, 2);
    tcase_add_test(tcase, threads);
    tcase_add_test(tcase, breakpoints);
    tcase_add_test(tcase, running_and_stopping);
    tcase_add_test(tcase, steps);
    tcase_add_test(tcase, refused_resumes);
    tcase_add_test(tcase, interrupts);
    tcase_add_test(tcase, an_interrupt_is_about_the_thread_that_is_selected);
    tcase_add_test(tcase, whose_breakpoint_it_is);
    tcase_add_test(tcase, reverse);
    tcase_add_test(tcase, resumed_before_it_is_settled);
    tcase_add_test(tcase, interrupts_a_halt_that_is_not_settled);
    tcase_add_test(tcase, leaving);
    tcase_add_test(tcase, monitor_commands);
    tcase_add_test(tcase, lldb);
    tcase_add_test(tcase, a_long_stop_reply_is_told_whole);
    tcase_add_test(tcase, the_target_is_lost);
    return stub_run(tcase, "stub client");
}
