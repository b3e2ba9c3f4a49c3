#include "stub/features.h"
#include "stub_run.h"

#include <string.h>

static struct client_features parse(const char *text)
{
    struct client_features features;
    struct request request = {text, strlen(text)};
    features_parse_client(&features, &request);
    return features;
}

static const char *text_of(struct buffer *buffer)
{
    ck_assert(buffer_append_byte(buffer, 0));
    buffer->length--;
    return (const char *)buffer_bytes(buffer);
}

START_TEST(who_is_it)
{
    struct client_features features =
        parse("qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;error-message+");
    ck_assert_int_eq(features.kind, CLIENT_GDB);
    ck_assert(features.multiprocess && features.swbreak && features.hwbreak &&
              features.error_message);
    features =
        parse("qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+;fork-events+;vfork-events+");
    ck_assert_int_eq(features.kind, CLIENT_LLDB);
    ck_assert(!features.multiprocess); /* it says so, and does not name processes */
    ck_assert_int_eq(parse("qSupported:xmlRegisters=i386,arm,mips").kind, CLIENT_IDA);
    ck_assert_int_eq(parse("qSupported").kind, CLIENT_IDA);
    ck_assert_int_eq(parse("qSupported:xmlRegisters=i386").kind, CLIENT_OTHER);
    features = parse("qSupported:multiprocess+x;xswbreak+;;;");
    ck_assert(!features.multiprocess && !features.swbreak);
    ck_assert(features.any && !features.modern && features.announced);
    /* a later lldb announces more, and is the same in that */
    features = parse("qSupported:xmlRegisters=i386,arm,mips,arc;multiprocess+;fork-events+;"
                     "vfork-events+;swbreak+;hwbreak+");
    ck_assert(!features.multiprocess && features.swbreak && features.modern && features.any);
    ck_assert_int_eq(features.kind, CLIENT_LLDB);
    features = parse("qSupported:swbreak+");
    ck_assert(features.modern);
    ck_assert(!parse("qSupported").any && !parse("qSupported:xmlRegisters=i386,arm,mips").any);
    ck_assert(!parse("qSupported:+").any && !parse("qSupported:a-;b?;c=+1").any);
    parse("qSupported:");
    parse("qSupported;");
}
END_TEST

START_TEST(what_is_offered)
{
    struct buffer reply = {0};
    struct client_features gdb = parse("qSupported:multiprocess+;swbreak+;hwbreak+");
    struct client_features ida = parse("qSupported");
    struct stub_offer offer = {.description = true, .memory_map = true, .breaks = true};
    ck_assert(features_reply(&reply, &gdb, &offer));
    const char *text = text_of(&reply);
    ck_assert(features_have(text, "PacketSize=20000") && features_have(text, "multiprocess+"));
    ck_assert(features_have(text, "swbreak+") && features_have(text, "QStartNoAckMode+"));
    ck_assert(features_have(text, "qXfer:features:read+") &&
              features_have(text, "qXfer:memory-map:read+"));
    ck_assert(!strstr(text, "Reverse"));
    buffer_clear(&reply);
    ck_assert(features_reply(&reply, &ida, &offer));
    text = text_of(&reply);
    ck_assert(!strstr(text, "multiprocess") && !strstr(text, "break") && !strstr(text, "binary"));
    buffer_clear(&reply);
    /* advertising less is always safe */
    offer = (struct stub_offer){
        .reverse_step = true,
        .upstream = "PacketSize=47ff;QPassSignals+;qXfer:auxv:read+;qXfer:threads:read+;"
                    "qXfer:features:read+;qXfer:btrace:read+;qXfer:traceframe-info:read+;QNonStop+;"
                    "ConditionalBreakpoints+;multiprocess+;tracenz+;vContSupported+;fork-events+"};
    ck_assert(features_reply(&reply, &gdb, &offer));
    text = text_of(&reply);
    ck_assert(features_have(text, "QPassSignals+") && features_have(text, "qXfer:auxv:read+"));
    ck_assert(features_have(text, "ReverseStep+") && !features_have(text, "ReverseContinue+"));
    static const char *const kept_back[] = {"47ff", "NonStop",  "Conditional", "trac",
                                            "fork", "features", "swbreak"};
    for (size_t i = 0; i < sizeof kept_back / sizeof *kept_back; i++)
        ck_assert_msg(!strstr(text, kept_back[i]), "%s", kept_back[i]);
    ck_assert_ptr_eq(strstr(strstr(text, "qXfer:threads:read+") + 1, "qXfer:threads"), NULL);
    buffer_free(&reply);
}
END_TEST

START_TEST(having)
{
    ck_assert(features_have("a;b+;c", "b+") && features_have("b+", "b+"));
    ck_assert(!features_have("ab+;b", "b+") && !features_have("", "b+") &&
              !features_have(";;", "b+"));
}
END_TEST

static void chunk(uint64_t offset, uint64_t length, size_t most, const char *expected)
{
    struct buffer document = {0}, reply = {0};
    ck_assert(buffer_append(&document, "0123456789", 10));
    ck_assert(features_chunk(&reply, &document, offset, length, most));
    ck_assert_str_eq(text_of(&reply), expected);
    buffer_free(&document);
    buffer_free(&reply);
}

START_TEST(chunks)
{
    chunk(0, 4, 100, "m0123");
    chunk(4, 4, 100, "m4567");
    chunk(8, 4, 100, "l89");
    chunk(8, 2, 100, "l89");
    chunk(8, 1, 100, "m8");
    chunk(10, 4, 100, "l");
    chunk(UINT64_MAX, UINT64_MAX, 100, "l");
    chunk(0, UINT64_MAX, 100, "l0123456789");
    chunk(0, UINT64_MAX, 3, "m012");
    chunk(0, 0, 100, "m");
}
END_TEST

START_TEST(ida_and_i8086)
{
    struct buffer document = {0};
    buffer_printf(&document, "<target><architecture>i8086</architecture><x/></target>");
    features_for_old(&document);
    ck_assert_str_eq(text_of(&document), "<target><architecture>i386</architecture> <x/></target>");
    buffer_clear(&document);
    buffer_printf(&document, "<target><architecture>i386:x86-64</architecture></target>");
    features_for_old(&document);
    ck_assert_str_eq(text_of(&document),
                     "<target><architecture>i386:x86-64</architecture></target>");
    buffer_clear(&document);
    features_for_old(&document);
    buffer_free(&document);
}
END_TEST

START_TEST(maps)
{
    struct buffer document = {0};
    ck_assert(features_memory_map(&document, 8));
    ck_assert(
        strstr(text_of(&document), "start=\"0x8000000000000000\" length=\"0x8000000000000000\""));
    buffer_clear(&document);
    ck_assert(features_memory_map(&document, 4));
    ck_assert(strstr(text_of(&document), "length=\"0x100000000\""));
    buffer_clear(&document);
    ck_assert(features_xml_text(&document, "a<b>&\"\x01\xff"));
    ck_assert_str_eq(text_of(&document), "a&lt;b&gt;&amp;&quot;??");
    buffer_free(&document);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("features");
    tcase_add_test(tcase, who_is_it);
    tcase_add_test(tcase, what_is_offered);
    tcase_add_test(tcase, having);
    tcase_add_test(tcase, chunks);
    tcase_add_test(tcase, ida_and_i8086);
    tcase_add_test(tcase, maps);
    return stub_run(tcase, "stub features");
}
