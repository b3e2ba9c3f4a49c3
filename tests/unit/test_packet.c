#include "rsp/packet.h"

#include "base/hex.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct packet_reader reader;
static struct buffer out;
static const uint8_t *input;
static size_t left;

static void set_up(void)
{
    packet_reader_init(&reader, 100000);
    out = (struct buffer){0};
    input = NULL;
    left = 0;
}

static void tear_down(void)
{
    packet_reader_free(&reader);
    buffer_free(&out);
}

static void feed(const void *bytes, size_t size)
{
    ck_assert_uint_eq(left, 0);
    input = bytes;
    left = size;
}

static void feed_text(const char *text)
{
    feed(text, strlen(text));
}

static enum packet_event next(void)
{
    return packet_next(&reader, &input, &left);
}

static void expect(enum packet_event event)
{
    enum packet_event got = next();
    ck_assert_msg(got == event, "event %d, not %d, before \"%.*s\"", got, event, (int)left,
                  left ? (const char *)input : "");
}

static void expect_payload(enum packet_event event, const void *payload, size_t length)
{
    expect(event);
    ck_assert_uint_eq(reader.length, length);
    ck_assert_mem_eq(reader.payload, payload, length);
    ck_assert_int_eq(reader.payload[length], 0);
}

static void expect_text(const char *text)
{
    expect_payload(PACKET_DATA, text, strlen(text));
}

static void expect_end(void)
{
    expect(PACKET_NONE);
    ck_assert_uint_eq(left, 0);
}

/* Feed a packet whose checksum is right, whatever its body is. */
static void feed_body(const char *body)
{
    static char text[512];
    unsigned sum = 0;
    for (const char *at = body; *at; at++)
        sum += (uint8_t)*at;
    snprintf(text, sizeof(text), "$%s#%02x", body, sum & 0xff);
    feed_text(text);
}

static void expect_frame(const char *text)
{
    ck_assert_uint_eq(out.length, strlen(text));
    ck_assert_mem_eq(buffer_bytes(&out), text, out.length);
    buffer_clear(&out);
}

/* Framing */

START_TEST(frames_are_as_the_manual_says)
{
    ck_assert(packet_frame(&out, NULL, 0, false));
    expect_frame("$#00");
    ck_assert(packet_frame(&out, "OK", 2, false));
    expect_frame("$OK#9a");
    ck_assert(packet_frame(&out, "OK", 2, true));
    expect_frame("$OK#9a");
    ck_assert(packet_frame(&out, "a#b$c}d*e", 9, true));
    expect_frame("$a}\x03"
                 "b}\x04"
                 "c}]d}\ne#51");
    ck_assert(packet_frame(&out, "qSupported", 10, false));
    ck_assert(packet_frame(&out, "g", 1, false)); /* appended */
    expect_frame("$qSupported#37$g#67");
    ck_assert(!packet_frame(&out, "x", SIZE_MAX / 2, true));
    ck_assert(!packet_frame_rle(&out, "x", SIZE_MAX / 2));
    ck_assert_uint_eq(out.length, 0);
}
END_TEST

static void expect_rle(size_t run, const char *body)
{
    char text[300];
    memset(text, '0', sizeof(text));
    ck_assert(packet_frame_rle(&out, text, run));
    ck_assert_uint_eq(out.length, strlen(body) + 4);
    ck_assert_mem_eq(buffer_bytes(&out) + 1, body, strlen(body));
    buffer_clear(&out);
}

START_TEST(runs_are_shortened_by_the_rules)
{
    expect_rle(1, "0");
    expect_rle(3, "000");
    expect_rle(4, "0* ");
    expect_rle(6, "0*\"");
    expect_rle(7, "0*\"0");  /* not '#' */
    expect_rle(8, "0*\"00"); /* not '$' */
    expect_rle(9, "0*%");
    expect_rle(15, "0*)00"); /* neither '+' nor '*' */
    expect_rle(17, "0*,0");  /* not '-' */
    expect_rle(98, "0*~");
    expect_rle(99, "0*~0");
    expect_rle(102, "0*~0* ");
    ck_assert(packet_frame_rle(&out, "#####", 5)); /* a pair is never the base of a run */
    expect_frame("$}\x03}\x03}\x03}\x03}\x03#80");
    ck_assert(packet_frame_rle(&out, "#\x03\x03\x03\x03\x03", 6));
    ck_assert_mem_eq(buffer_bytes(&out), "$}\x03\x03*!#", 7);
}
END_TEST

/* Long payloads are looked at in blocks: what is to be shortened or escaped is found wherever it
 * lies, and nothing else is. */
START_TEST(runs_are_found_at_every_place_of_a_long_payload)
{
    static const char digits[] = "0123456789abcdef";
    char plain[300], text[300], body[300];
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = digits[i % 16];
    for (size_t at = 0; at + 4 <= sizeof text; at++) {
        memcpy(text, plain, sizeof text);
        memset(text + at, 'z', 4);
        memcpy(body, plain, at);
        memcpy(body + at, "z* ", 3);
        memcpy(body + at + 3, plain + at + 4, sizeof plain - at - 4);
        ck_assert(packet_frame_rle(&out, text, sizeof text));
        ck_assert_uint_eq(out.length, sizeof body - 1 + 4);
        ck_assert_mem_eq(buffer_bytes(&out) + 1, body, sizeof body - 1);
        buffer_clear(&out);
        text[at + 1] = "#$}*"[at % 4]; /* no run any more, but something to escape */
        ck_assert(packet_frame_rle(&out, text, sizeof text));
        ck_assert_uint_eq(out.length, sizeof text + 1 + 4);
        ck_assert_uint_eq(buffer_bytes(&out)[1 + at + 1], '}');
        buffer_clear(&out);
    }
    ck_assert(packet_frame_rle(&out, plain, sizeof plain));
    ck_assert_uint_eq(out.length, sizeof plain + 4);
    ck_assert_mem_eq(buffer_bytes(&out) + 1, plain, sizeof plain);
    buffer_clear(&out);
}
END_TEST

/* Two ways in which run-length encoding and escapes are read out there: gdb expands runs of what is
 * on the wire, QEMU's stub repeats the byte that was meant. Both must understand what we frame. */
static size_t decode(const uint8_t *body, size_t size, bool repeat_meant, uint8_t *decoded)
{
    uint8_t *raw = malloc(size * 100 + 1);
    bool *meant = calloc(size * 100 + 1, sizeof(*meant));
    size_t used = 0, length = 0;
    bool fine = true;
    ck_assert(raw && meant);
    for (size_t i = 0; i < size; i++) {
        if (body[i] == '*') {
            uint8_t count = body[++i];
            fine = fine && used > 0 && count >= 32 && count <= 126 && !strchr("#$+-", count);
            for (int repeat = count - 29; repeat > 0; repeat--, used++) {
                raw[used] = raw[used - 1];
                meant[used] = meant[used - 1];
            }
        } else if (body[i] == '}' && repeat_meant) {
            raw[used] = body[++i] ^ 0x20;
            meant[used++] = true;
        } else {
            fine = fine && body[i] != '#' && body[i] != '$';
            raw[used++] = body[i];
        }
    }
    ck_assert(fine); /* once: an assertion for each byte takes its time */
    for (size_t i = 0; i < used; i++) {
        if (raw[i] == '}' && !meant[i])
            decoded[length++] = raw[++i] ^ 0x20;
        else
            decoded[length++] = raw[i];
    }
    free(raw);
    free(meant);
    return length;
}

/* Random bytes, in runs about as often as not, with the special ones more often than by chance. */
static size_t random_payload(uint8_t *payload, size_t most, unsigned *seed)
{
    static const uint8_t favourites[] = "#$}*+-%\x03\x04\x0a]0";
    size_t length = 0, wanted = (size_t)rand_r(seed) % most;
    while (length < wanted) {
        uint8_t byte = rand_r(seed) % 2 ? favourites[(size_t)rand_r(seed) % sizeof(favourites)]
                                        : (uint8_t)(rand_r(seed) >> 8);
        size_t run = rand_r(seed) % 2 ? 1 : 1 + (size_t)rand_r(seed) % 220;
        for (; run > 0 && length < wanted; run--)
            payload[length++] = byte;
    }
    return length;
}

START_TEST(what_is_framed_is_read_again)
{
    static uint8_t payload[3000], decoded[400000];
    unsigned seed = (unsigned)_i + 1;
    for (int round = 0; round < 60; round++) {
        size_t length = random_payload(payload, sizeof(payload), &seed);
        for (int kind = 0; kind < 2; kind++) {
            buffer_clear(&out);
            ck_assert(kind == 0 ? packet_frame(&out, payload, length, true)
                                : packet_frame_rle(&out, payload, length));
            const uint8_t *wire = buffer_bytes(&out);
            for (int reading = 0; reading < 2; reading++) {
                ck_assert_uint_eq(decode(wire + 1, out.length - 4, reading, decoded), length);
                ck_assert_mem_eq(decoded, payload, length);
            }
            feed(wire, out.length);
            expect_payload(PACKET_DATA, payload, length);
            /* And in pieces. */
            enum packet_event event = PACKET_NONE;
            for (size_t at = 0; at < out.length && event == PACKET_NONE;) {
                left = 1 + (size_t)rand_r(&seed) % (round % 2 ? 1 : 50);
                if (left > out.length - at)
                    left = out.length - at;
                input = wire + at;
                at += left;
                event = next();
            }
            ck_assert_uint_eq(left, 0);
            ck_assert_int_eq(event, PACKET_DATA);
            ck_assert_uint_eq(reader.length, length);
            ck_assert_mem_eq(reader.payload, payload, length);
            expect_end();
        }
    }
}
END_TEST

/* Reading */

START_TEST(a_stream_is_taken_apart)
{
    feed_text("+$OK#9a-\x03x%Stop:T05#99$#00+");
    expect(PACKET_ACK);
    expect_text("OK");
    expect(PACKET_NAK);
    expect(PACKET_INTERRUPT);
    expect(PACKET_GARBAGE);
    ck_assert_int_eq(reader.byte, 'x');
    expect_payload(PACKET_NOTIFICATION, "Stop:T05", 8);
    expect_text("");
    expect(PACKET_ACK);
    expect_end();
    expect_end();
}
END_TEST

START_TEST(signs_inside_a_packet_are_payload)
{
    feed_body("+-%\x03:");
    expect_text("+-%\x03:");
}
END_TEST

START_TEST(a_wrong_checksum_is_told)
{
    feed_text("$OK#9b$OK#9a$OK#g0$OK#9g$OK#9A");
    expect(PACKET_BAD_CHECKSUM);
    expect_text("OK");
    expect(PACKET_BAD_CHECKSUM);
    expect(PACKET_BAD_CHECKSUM);
    expect_text("OK"); /* digits of either case */
    expect_end();
    reader.ignore_checksum = true;
    feed_text("$OK#00$OK#zz%OK#!!");
    expect_text("OK");
    expect_text("OK");
    expect_payload(PACKET_NOTIFICATION, "OK", 2);
    expect_end();
}
END_TEST

START_TEST(a_packet_begun_anew_spoils_the_one_before)
{
    static const char *const begins[] = {"$", "$abc", "%abc", "$a}", "$0*", "$abc#", "$abc#2"};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        feed_text(begins[i]);
        expect_end();
        feed_text("$OK#9a");
        expect(PACKET_BAD_CHECKSUM);
        expect_text("OK");
        expect_end();
    }
}
END_TEST

START_TEST(runs_are_expanded)
{
    char zeros[99];
    memset(zeros, '0', sizeof(zeros) - 1);
    zeros[98] = '\0';
    feed_body("0* ");
    expect_text("0000");
    feed_body("0*~");
    expect_text(zeros);
    feed_body("a0*\"b* c");
    expect_text("a000000bbbbc");
    feed_body("0* * 1");
    expect_text("00000001"); /* a run of a run, as gdb reads it */
    feed_body("0*+1*-2**");
    expect_text("000000000000000"
                "11111111111111111"
                "22222222222222");
    expect_end();
}
END_TEST

START_TEST(broken_runs_are_bad_packets)
{
    static const char *const bodies[] = {"*",      "* ",     "*~0",    "0*",   "0*\x1f",
                                         "0*\x7f", "0*\x01", "0*\xff", "0*\n0"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        feed_body(bodies[i]);
        expect(PACKET_BAD_CHECKSUM);
        expect_end();
        reader.ignore_checksum = true;
        feed_body(bodies[i]);
        expect(PACKET_BAD_CHECKSUM);
        reader.ignore_checksum = false;
    }
    feed_text("%*#2a");
    expect(PACKET_BAD_CHECKSUM);
    /* '#' and '$' are no counts: the one ends the packet, the other begins the next. */
    feed_text("$0*#5a$0*$OK#9a");
    expect(PACKET_BAD_CHECKSUM);
    expect(PACKET_BAD_CHECKSUM);
    expect_text("OK");
    expect_end();
}
END_TEST

START_TEST(escapes_are_taken_off)
{
    feed_body("a}\x03}\x04}]}\n}Ab");
    expect_text("a#$}*ab");
    feed_body("}");
    expect(PACKET_BAD_CHECKSUM);
    feed_body("a}");
    expect(PACKET_BAD_CHECKSUM);
    /* What is repeated is what stood on the wire. */
    feed_body("}\x03* ");
    expect_text("#\x03\x03\x03");
    feed_body("}* "); /* }}}} is ]] */
    expect_text("]]");
    feed_body("}*!"); /* }}}}} is ]] and an escape that escapes nothing */
    expect(PACKET_BAD_CHECKSUM);
    feed_body("}*!\x03");
    expect_text("]]#");
    feed_body("}}* ");
    expect(PACKET_BAD_CHECKSUM);
    feed_body("}}* ]");
    expect_text("]]}");
    expect_end();
}
END_TEST

START_TEST(escapes_are_kept_for_a_proxy)
{
    reader.keep_escapes = true;
    feed_body("a}\x03}]0* ");
    expect_text("a}\x03}]0000");
    feed_body("}* ");
    expect_text("}}}}");
    expect_end();
}
END_TEST

START_TEST(without_runs_a_star_is_a_star)
{
    reader.no_rle = true;
    feed_body("*0* }*");
    expect_text("*0* \n");
    reader.keep_escapes = true;
    feed_body("*}*");
    expect_text("*}*");
    expect_end();
}
END_TEST

START_TEST(the_limit_holds_for_what_is_expanded)
{
    packet_reader_free(&reader);
    packet_reader_init(&reader, 8);
    feed_body("12345678");
    expect_text("12345678");
    feed_body("123456789");
    expect(PACKET_TOO_LONG);
    feed_body("0*%"); /* nine */
    expect(PACKET_TOO_LONG);
    feed_body("0*\"00"); /* eight */
    expect_text("00000000");
    feed_body("}\x03}\x03}\x03}\x03}\x03}\x03}\x03}\x03");
    expect_text("########");
    feed_body("123456789}");
    expect(PACKET_TOO_LONG); /* the first reason */
    feed_text("$123456789#zz+");
    expect(PACKET_TOO_LONG);
    expect(PACKET_ACK);
    feed_text("$123456789$OK#9a");
    expect(PACKET_TOO_LONG);
    expect_text("OK");
    expect_end();
    /* One at a time, and without keeping what is swallowed. */
    feed_text("$");
    expect_end();
    for (int i = 0; i < 100000; i++) {
        input = (const uint8_t *)"x";
        left = 1;
        if (next() != PACKET_NONE || left != 0)
            ck_abort_msg("byte %d", i);
    }
    ck_assert_uint_lt(reader.text.capacity, 4096);
    feed_text("#00+");
    expect(PACKET_TOO_LONG);
    expect(PACKET_ACK);
    expect_end();
}
END_TEST

START_TEST(a_limit_of_nothing_takes_empty_packets)
{
    packet_reader_free(&reader);
    packet_reader_init(&reader, 0);
    feed_text("$#00$x#78");
    expect_text("");
    expect(PACKET_TOO_LONG);
    expect_end();
}
END_TEST

START_TEST(a_reset_forgets_what_was_begun)
{
    reader.no_rle = true;
    feed_text("$abc");
    expect_end();
    packet_reader_reset(&reader);
    ck_assert(reader.no_rle); /* settings stay */
    ck_assert_uint_eq(reader.limit, 100000);
    feed_text("+$OK#9a");
    expect(PACKET_ACK);
    expect_text("OK");
    packet_reader_reset(&reader);
    expect_end();
}
END_TEST

START_TEST(a_packet_does_not_leak_into_the_next)
{
    feed_text("$0*#5a$* #4a$}#7d$\x03#03");
    expect(PACKET_BAD_CHECKSUM);
    expect(PACKET_BAD_CHECKSUM);
    expect(PACKET_BAD_CHECKSUM);
    expect_text("\x03");
    expect_end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packet");
    TCase *tcase = tcase_create("packet");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, frames_are_as_the_manual_says);
    tcase_add_test(tcase, runs_are_shortened_by_the_rules);
    tcase_add_test(tcase, runs_are_found_at_every_place_of_a_long_payload);
    tcase_add_loop_test(tcase, what_is_framed_is_read_again, 0, 8);
    tcase_add_test(tcase, a_stream_is_taken_apart);
    tcase_add_test(tcase, signs_inside_a_packet_are_payload);
    tcase_add_test(tcase, a_wrong_checksum_is_told);
    tcase_add_test(tcase, a_packet_begun_anew_spoils_the_one_before);
    tcase_add_test(tcase, runs_are_expanded);
    tcase_add_test(tcase, broken_runs_are_bad_packets);
    tcase_add_test(tcase, escapes_are_taken_off);
    tcase_add_test(tcase, escapes_are_kept_for_a_proxy);
    tcase_add_test(tcase, without_runs_a_star_is_a_star);
    tcase_add_test(tcase, the_limit_holds_for_what_is_expanded);
    tcase_add_test(tcase, a_limit_of_nothing_takes_empty_packets);
    tcase_add_test(tcase, a_reset_forgets_what_was_begun);
    tcase_add_test(tcase, a_packet_does_not_leak_into_the_next);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
