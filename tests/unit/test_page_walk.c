/* Page tables as the Intel manual draws them, and what the monitor prints about a processor. */
#include "upstream/translate/page_walk.h"

#include "upstream/ways/direct_ram.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define TABLES 8

/* Tables at 0x1000, 0x2000, … as 512 entries each. */
static uint64_t tables[TABLES][512];
static uint8_t image[TABLES][PAGE_WALK_TABLE_SIZE];
static uint64_t withheld;

static const uint8_t *table_of(void *context, uint64_t at)
{
    (void)context;
    if (at == withheld || at < 0x1000 || at >= 0x1000 * (TABLES + 1) || at % 0x1000)
        return NULL;
    uint8_t *bytes = image[at / 0x1000 - 1];
    for (unsigned i = 0; i < 512; i++)
        for (unsigned b = 0; b < 8; b++)
            bytes[8 * i + b] = (uint8_t)(tables[at / 0x1000 - 1][i] >> 8 * b);
    return bytes;
}

/* 4 levels: one small page, one of 2 MiB, one of 1 GiB; and the top half of the space. */
static void lay(void)
{
    memset(tables, 0, sizeof tables);
    withheld = 0;
    tables[0][0] = tables[0][511] = 0x2000 | 7;
    tables[1][1] = 0x3000 | 7;
    tables[1][2] = UINT64_C(0x8000000000000000) | 0x40000000 | 0x80 | 1; /* no execute */
    tables[2][0] = 0x4000 | 7;
    tables[2][3] = 0x12200000 | 0x80 | 1;
    tables[3][5] = 0x000ffffffffff000 | 1;
    tables[3][6] = 0x5000; /* not present, whatever else it says */
}

static const struct page_walk_mode four = {.known = true, .levels = 4, .root = 0x1000};

static enum page_walk_result walk(const struct page_walk_mode *mode, uint64_t page, uint64_t *found)
{
    *found = 0;
    return page_walk(mode, page, table_of, NULL, found);
}

START_TEST(pages_of_every_size)
{
    uint64_t found;
    lay();
    ck_assert_int_eq(walk(&four, 0x40005000, &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0x000ffffffffff000);
    ck_assert_int_eq(walk(&four, 0x40600000, &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0x12200000);
    ck_assert_int_eq(walk(&four, 0x407ff000, &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0x123ff000);
    ck_assert_int_eq(walk(&four, 0xbfffe000, &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0x7fffe000);
    ck_assert_int_eq(walk(&four, UINT64_C(0xffffff8040005000), &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0x000ffffffffff000);
}
END_TEST

START_TEST(entries_one_by_one)
{
    struct page_walk_entry entry;
    uint64_t large = UINT64_C(0x8000000012345083) | 0x80, small = 0x5003;
    uint8_t table[PAGE_WALK_TABLE_SIZE] = {0};

    memcpy(table + 8 * 511, &large, 8);
    memcpy(table + 8, &small, 8);
    ck_assert(!page_walk_entry(&entry, table, 0, 1));
    ck_assert(page_walk_entry(&entry, table, 511, 2));
    ck_assert(entry.leaf);
    ck_assert_uint_eq(entry.size, 0x200000);
    ck_assert_uint_eq(entry.physical, 0x12200000);
    ck_assert(page_walk_entry(&entry, table, 511, 4));
    ck_assert(!entry.leaf);
    ck_assert_uint_eq(entry.physical, 0x12345000);
    ck_assert(page_walk_entry(&entry, table, 1, 1));
    ck_assert(entry.leaf && entry.size == 4096);
    ck_assert(page_walk_entry(&entry, table, 1, 3));
    ck_assert(!entry.leaf);
    ck_assert_uint_eq(entry.physical, 0x5000);
    /* The addresses of their pages, of which the upper half goes on to the top. */
    ck_assert_uint_eq(page_walk_page(0, 255, 4, 4), UINT64_C(0x00007f8000000000));
    ck_assert_uint_eq(page_walk_page(0, 256, 4, 4), UINT64_C(0xffff800000000000));
    ck_assert_uint_eq(page_walk_page(0, 511, 5, 5), UINT64_C(0xffff000000000000));
    ck_assert_uint_eq(page_walk_page(UINT64_C(0xffff800000000000), 511, 3, 4),
                      UINT64_C(0xffff807fc0000000));
    ck_assert_uint_eq(page_walk_page(UINT64_C(0xffffffffffe00000), 511, 1, 4),
                      UINT64_C(0xfffffffffffff000));
}
END_TEST

START_TEST(pages_that_are_not_there)
{
    static const uint64_t pages[] = {0,
                                     0x40006000,
                                     0x40007000,
                                     0x40200000,
                                     0xc0000000,
                                     0x8000000000,
                                     0x800000000000,
                                     0xffff7fffffffffff,
                                     0x1000040005000};
    uint64_t found;
    lay();
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        ck_assert_int_eq(walk(&four, pages[i] & ~UINT64_C(0xfff), &found), PAGE_WALK_UNMAPPED);
}
END_TEST

START_TEST(tables_that_are_not_at_hand)
{
    uint64_t found;
    lay();
    for (unsigned level = 0; level < 4; level++) {
        withheld = 0x1000 * (level + 1);
        ck_assert_int_eq(walk(&four, 0x40005000, &found), PAGE_WALK_NEEDS);
        ck_assert_uint_eq(found, withheld);
    }
}
END_TEST

START_TEST(five_levels_and_none)
{
    struct page_walk_mode five = {.known = true, .levels = 5, .root = 0x8000};
    struct page_walk_mode none = {.known = true, .levels = 0};
    uint64_t found;
    lay();
    tables[7][3] = 0x1000 | 1;
    ck_assert_int_eq(walk(&five, (UINT64_C(3) << 48) + 0x40600000, &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0x12200000);
    ck_assert_int_eq(walk(&five, 0x40600000, &found), PAGE_WALK_UNMAPPED);
    ck_assert_int_eq(walk(&five, UINT64_C(1) << 56, &found), PAGE_WALK_UNMAPPED);
    ck_assert_int_eq(walk(&none, 0xfffff000, &found), PAGE_WALK_MAPPED);
    ck_assert_uint_eq(found, 0xfffff000);
}
END_TEST

#define REGISTERS(smm, a20, cr0, cr4, efer)                                                        \
    "RIP=0000000000100000 RFL=00000002 [-------] CPL=0 II=0 A20=" a20 " SMM=" smm " HLT=0\r\n"     \
    "ES =0010 0000000000000000 ffffffff 00c09300 DPL=0 DS   [-WA]\r\n"                             \
    "CR0=" cr0 " CR2=0000000000000000 CR3=0000000001234018 CR4=" cr4 "\r\n"                        \
    "EFER=" efer "\r\n"

START_TEST(how_a_processor_stands)
{
    struct page_walk_mode mode;
    ck_assert(
        page_walk_parse(&mode, REGISTERS("0", "1", "80010033", "00000020", "0000000000000500")));
    ck_assert(!mode.smm && mode.known && mode.levels == 4 && mode.root == 0x1234000);
    ck_assert(
        page_walk_parse(&mode, REGISTERS("0", "1", "80010033", "00001020", "0000000000000500")));
    ck_assert(mode.known && mode.levels == 5);
    ck_assert(
        page_walk_parse(&mode, REGISTERS("1", "1", "80010033", "00000020", "0000000000000500")));
    ck_assert(mode.smm);
    ck_assert(
        page_walk_parse(&mode, REGISTERS("0", "0", "80010033", "00000020", "0000000000000500")));
    ck_assert(!mode.known); /* an address line is off */
    ck_assert(
        page_walk_parse(&mode, REGISTERS("0", "1", "80000011", "00000020", "0000000000000000")));
    ck_assert(!mode.known); /* tables of another kind */
    ck_assert(
        page_walk_parse(&mode, REGISTERS("0", "1", "00000010", "00000000", "0000000000000000")));
    ck_assert(mode.known && mode.levels == 0);
    ck_assert(!page_walk_parse(&mode, "PC=ffff0000 X00=0000000000000000\r\n"));
    ck_assert(!page_walk_parse(&mode, ""));
    ck_assert(page_walk_parse(&mode, "A20=1 SMM=0 HLT=0\r\n") && !mode.known);
}
END_TEST

START_TEST(host_addresses)
{
    uint64_t host = 0;
    ck_assert(direct_ram_parse_host(
        "Host virtual address for 0x7c00 (pc.ram) is 0x7f12345678c0\r\n", 0x7c00, "pc.ram", &host));
    ck_assert_uint_eq(host, UINT64_C(0x7f12345678c0));
    static const char *const wrong[] = {
        "",
        "No memory is mapped at address 0x7c00\r\n",
        "Memory at address 0x7c00is not RAM\r\n",
        "Host virtual address for 0x7c01 (pc.ram) is 0x7f12345678c0\r\n",
        "Host virtual address for 0x7c00 (pc.bios) is 0x7f12345678c0\r\n",
        "Host virtual address for 0x7c00 (pc.ram) is 0x\r\n",
        "Host virtual address for 0x7c00 (pc.ram) is 0x0\r\n",
        "Host virtual address for 0x7c00 (pc.ram) is 0x7f12345678c0 or so\r\n",
        "Host virtual address for 0x7c00 (pc.ram) is 0x17f12345678c00000\r\n",
        "Host virtual address for 0x7c00 (pc.ram) is (nil)\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!direct_ram_parse_host(wrong[i], 0x7c00, "pc.ram", &host), "%s", wrong[i]);
}
END_TEST

START_TEST(who_may_be_written_to)
{
    static const char *const filled[] = {"kvm support: disabled\r\n",
                                         "kvm support: not compiled\r\n",
                                         "kvm support: ",
                                         "",
                                         "enabled",
                                         "unknown command"};
    ck_assert_int_eq(direct_ram_parse_writes("kvm support: enabled\r\n"), DIRECT_RAM_PLAIN);
    for (size_t i = 0; i < sizeof filled / sizeof *filled; i++)
        ck_assert_int_eq(direct_ram_parse_writes(filled[i]), DIRECT_RAM_FILLED_FIRST);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("page_walk");
    TCase *walks = tcase_create("walks");
    tcase_add_test(walks, pages_of_every_size);
    tcase_add_test(walks, entries_one_by_one);
    tcase_add_test(walks, pages_that_are_not_there);
    tcase_add_test(walks, tables_that_are_not_at_hand);
    tcase_add_test(walks, five_levels_and_none);
    tcase_add_test(walks, how_a_processor_stands);
    suite_add_tcase(suite, walks);
    TCase *direct = tcase_create("direct RAM");
    tcase_add_test(direct, host_addresses);
    tcase_add_test(direct, who_may_be_written_to);
    suite_add_tcase(suite, direct);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
