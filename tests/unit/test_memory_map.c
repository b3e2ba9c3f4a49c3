/* The memory map, on what real QEMU 7.2 machines printed (tests/unit/data) and on nonsense. */
#include "target/memory_map.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char message[256];

static char *slurp(const char *name)
{
    const char *source = getenv("srcdir");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/unit/data/%s", source ? source : ".", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    char *text = calloc(1, 1 << 20);
    size_t length = fread(text, 1, (1 << 20) - 1, file);
    ck_assert_uint_gt(length, 0);
    fclose(file);
    return text;
}

static struct memory_map machine(const char *name)
{
    struct memory_map map = {0};
    char file[64];
    snprintf(file, sizeof file, "%s.mtree", name);
    char *mtree = slurp(file);
    snprintf(file, sizeof file, "%s.pci", name);
    char *pci = slurp(file);
    bool good = memory_map_parse(&map, mtree, "memory", pci, message, sizeof message);
    ck_assert_msg(good, "%s: %s", name, message);
    free(mtree);
    free(pci);
    return map;
}

static struct target_region at(const struct memory_map *map, uint64_t address)
{
    struct target_region region;
    memset(&region, 0xa5, sizeof region);
    memory_map_find(map, address, &region);
    ck_assert(region.first <= address && address <= region.last);
    return region;
}

static void expect(const struct memory_map *map, uint64_t address, uint64_t first, uint64_t last,
                   enum region_kind kind, const char *name)
{
    struct target_region region = at(map, address);
    ck_assert_uint_eq(region.first, first);
    ck_assert_uint_eq(region.last, last);
    ck_assert_int_eq(region.kind, kind);
    ck_assert_str_eq(region.name, name);
    ck_assert(kind != REGION_NONE || (!region.pci_bar && !region.unreachable && !region.flash));
}

static bool parse(struct memory_map *map, const char *mtree, const char *pci)
{
    return memory_map_parse(map, mtree, "memory", pci, message, sizeof message);
}

/* One view of "memory" with these range lines. */
static bool parse_ranges(struct memory_map *map, const char *ranges, const char *pci)
{
    char text[4096];
    snprintf(text, sizeof text,
             "FlatView #0\n AS \"memory\", root: system\n Root memory region: system\n%s\n",
             ranges);
    return parse(map, text, pci);
}

START_TEST(pc)
{
    struct memory_map map = machine("pc");
    expect(&map, 0, 0, 0x9ffff, REGION_RAM, "pc.ram");
    expect(&map, 0xb8000, 0xa0000, 0xbffff, REGION_DEVICE, "vga-lowmem");
    expect(&map, 0xc0000, 0xc0000, 0xc9fff, REGION_ROM, "pc.ram"); /* shadowed by the chipset */
    expect(&map, 0xcafff, 0xca000, 0xccfff, REGION_RAM, "pc.ram");
    expect(&map, 0xffffff, 0x100000, 0xffffff, REGION_RAM, "pc.ram");
    expect(&map, 0x1000000, 0x1000000, 0xfbffffff, REGION_NONE, "");
    expect(&map, 0xfc123456, 0xfc000000, 0xfcffffff, REGION_RAM, "vga.vram");
    expect(&map, 0xfea00008, 0xfea00000, 0xfeafffff, REGION_DEVICE, "edu-mmio");
    expect(&map, 0xfed000f0, 0xfed00000, 0xfed003ff, REGION_DEVICE, "hpet");
    expect(&map, 0xfee00080, 0xfee00000, 0xfeefffff, REGION_DEVICE, "apic-msi");
    expect(&map, 0xffffffff, 0xfffc0000, 0xffffffff, REGION_ROM, "pc.bios");
    expect(&map, 0x100000000, 0x100000000, UINT64_MAX, REGION_NONE, "");
    expect(&map, UINT64_MAX, 0x100000000, UINT64_MAX, REGION_NONE, "");

    ck_assert(at(&map, 0xfc000000).pci_bar && at(&map, 0xfc000000).prefetchable);
    ck_assert(at(&map, 0xfea00000).pci_bar && !at(&map, 0xfea00000).prefetchable);
    ck_assert(at(&map, 0xfe800000).pci_bar); /* behind the bridge */
    ck_assert(at(&map, 0xfeb12000).pci_bar); /* the bridge's own */
    ck_assert(!at(&map, 0).pci_bar && !at(&map, 0xfed00000).pci_bar);
    ck_assert(at(&map, 0xfee00000).unreachable && !at(&map, 0xfec00000).unreachable);
    /* a BAR whose device answers nowhere (the test device's empty 64-bit one) */
    ck_assert_int_eq(at(&map, 0xf8000000).kind, REGION_NONE);

    ck_assert(memory_map_has_bus(&map, 0) && memory_map_has_bus(&map, 1));
    ck_assert(!memory_map_has_bus(&map, 2) && !memory_map_has_bus(&map, 255));
    ck_assert(!memory_map_has_bus(&map, 256) && !memory_map_has_bus(&map, UINT32_MAX));
    memory_map_free(&map);
    ck_assert(!memory_map_has_bus(&map, 0));
    expect(&map, 5, 0, UINT64_MAX, REGION_NONE, "");
}
END_TEST

/* Before the firmware has run: every BAR is unmapped, no bus but the first. */
START_TEST(pc_at_reset)
{
    struct memory_map map = machine("pc-reset");
    for (size_t i = 0; i < map.count; i++)
        ck_assert(!map.regions[i].pci_bar);
    ck_assert(memory_map_has_bus(&map, 0) && !memory_map_has_bus(&map, 1));
    expect(&map, 0xc0000, 0xc0000, 0xdffff, REGION_ROM, "pc.rom");
    memory_map_free(&map);
}
END_TEST

START_TEST(q35)
{
    struct memory_map map = machine("q35");
    ck_assert(memory_map_has_bus(&map, 1) && memory_map_has_bus(&map, 2));
    ck_assert(!memory_map_has_bus(&map, 3));
    ck_assert(at(&map, 0xfe800000).pci_bar && at(&map, 0xfe600000).pci_bar);
    ck_assert_str_eq(at(&map, 0xfe600000).name, "pci-testdev-mmio");
    ck_assert(at(&map, 0xfeb13000).pci_bar);
    ck_assert(!at(&map, 0xb0000000).pci_bar); /* configuration space is no BAR */
    memory_map_free(&map);
}
END_TEST

START_TEST(virt)
{
    struct memory_map map = machine("virt");
    expect(&map, 0, 0, 0x3ffffff, REGION_ROM, "virt.flash0");
    ck_assert(at(&map, 0).flash && at(&map, 0x7ffffff).flash && !at(&map, 0x40000000).flash);
    expect(&map, 0x9000018, 0x9000000, 0x9000fff, REGION_DEVICE, "pl011");
    expect(&map, 0x40000000, 0x40000000, 0x43ffffff, REGION_RAM, "mach-virt.ram");
    expect(&map, 0xffffffffff, 0x8000000000, 0xffffffffff, REGION_DEVICE, "gpex_mmio_window");
    expect(&map, 0x902000a, 0x902000a, 0x902000f, REGION_NONE, "");
    ck_assert(memory_map_has_bus(&map, 0));
    memory_map_free(&map);
}
END_TEST

START_TEST(g3beige)
{
    struct memory_map map = machine("g3beige");
    expect(&map, 0x1000, 0, 0x3ffffff, REGION_RAM, "ppc_heathrow.ram");
    expect(&map, 0xfffffffc, 0xffc00000, 0xffffffff, REGION_ROM, "ppc_heathrow.bios");
    ck_assert(memory_map_has_bus(&map, 0));
    memory_map_free(&map);
}
END_TEST

/* The view is found by the name of the address space, wherever it stands. */
START_TEST(address_spaces)
{
    struct memory_map map = {0};
    char *text = slurp("pc-reset.mtree");
    ck_assert(memory_map_parse(&map, text, "I/O", NULL, message, sizeof message));
    expect(&map, 0x70, 0x70, 0x70, REGION_DEVICE, "rtc-index");
    ck_assert(memory_map_parse(&map, text, "cpu-memory-0", "", message, sizeof message));
    expect(&map, 0, 0, 0x9ffff, REGION_RAM, "pc.ram");
    ck_assert(memory_map_parse(&map, text, "edu", NULL, message, sizeof message));
    expect(&map, 0, 0, UINT64_MAX, REGION_NONE, ""); /* "No rendered FlatView" */
    ck_assert(memory_map_parse(&map, text, "I/O", NULL, message, sizeof message));
    ck_assert(!memory_map_parse(&map, text, "mem", NULL, message, sizeof message));
    ck_assert_ptr_nonnull(strstr(message, "\"mem\""));
    ck_assert(!memory_map_parse(&map, "", "memory", NULL, message, sizeof message));
    ck_assert(!memory_map_parse(&map, "unknown command: 'info mtree'\r\n", "memory", NULL, message,
                                sizeof message));
    /* a failure left the map as it was */
    expect(&map, 0x70, 0x70, 0x70, REGION_DEVICE, "rtc-index");
    free(text);
    memory_map_free(&map);
}
END_TEST

START_TEST(kinds_and_names)
{
    struct memory_map map = {0};
    ck_assert_msg(
        parse_ranges(
            &map,
            "  0000000000000000-0000000000000fff (prio 0, ram): a b @c owner:{dev id=x} KVM\n"
            "  0000000000001000-0000000000001fff (prio -1, nv-ram): /rom@etc/acpi "
            "@0000000000001000\n"
            "  0000000000002000-0000000000002fff (prio 0, ramd): vfio @0000000000000000 KVM\n"
            "  0000000000003000-0000000000003fff (prio 4096, i/o): kvm-apic-msi\n"
            "  0000000000004000-0000000000004fff (prio 0, container): io @0000000000004000\n"
            "  0000000000005000-0000000000005fff (prio 0, nv-romd): flash KVM\n"
            "  0000000000006000-0000000000006fff (prio 0, rom): \n"
            "  0000000000007000-ffffffffffffffff (prio 0, i/o): "
            "0123456789012345678901234567890123456789012345678901234567890123456789\n",
            NULL),
        "%s", message);
    expect(&map, 0, 0, 0xfff, REGION_RAM, "a b @c");
    expect(&map, 0x1000, 0x1000, 0x1fff, REGION_RAM, "/rom@etc/acpi");
    expect(&map, 0x2000, 0x2000, 0x2fff, REGION_DEVICE, "vfio");
    expect(&map, 0x3000, 0x3000, 0x3fff, REGION_DEVICE, "kvm-apic-msi");
    ck_assert(at(&map, 0x3000).unreachable && !at(&map, 0x2000).unreachable);
    expect(&map, 0x4000, 0x4000, 0x4fff, REGION_NONE, "");
    ck_assert(at(&map, 0x5000).flash && at(&map, 0x5000).kind == REGION_ROM);
    ck_assert(!at(&map, 0x6000).flash && at(&map, 0x6000).kind == REGION_ROM);
    struct target_region top = at(&map, UINT64_MAX);
    ck_assert_uint_eq(top.last, UINT64_MAX);
    ck_assert_uint_eq(strlen(top.name), sizeof top.name - 1);
    memory_map_free(&map);
}
END_TEST

#define BAR(flags, first, last) "      BAR0: 32 bit " flags "memory at 0x" first " [0x" last "].\n"

/* A BAR over parts of regions splits them; holes stay holes; overlapping BARs promise less. */
START_TEST(bars_split_regions)
{
    struct memory_map map = {0};
    static const char ranges[] = "  0000000000001000-0000000000004fff (prio 0, ram): one\n"
                                 "  0000000000005000-0000000000005fff (prio 0, i/o): two\n"
                                 "  0000000000008000-ffffffffffffffff (prio 0, ram): three\n";
    ck_assert_msg(
        parse_ranges(
            &map, ranges,
            BAR("prefetchable ", "9000", "9fff") BAR("", "fffffffffffff000", "ffffffffffffffff")
                BAR("", "4000", "87ff") BAR("prefetchable ", "2000", "2fff") BAR("prefetchable ",
                                                                                 "9800", "a7ff")
                    BAR("", "9c00",
                        "9cff") "      BAR1: I/O at 0x9000 [0x90ff].\n"
                                "      BAR2: 32 bit memory at 0xffffffffffffffff [0x00000ffe].\n"
                                "      memory range [0x1000, 0x1fff]\n"),
        "%s", message);
    static const struct {
        uint64_t first, last;
        bool bar, prefetchable;
    } pieces[] = {
        {0x1000, 0x1fff, false, false},
        {0x2000, 0x2fff, true, true},
        {0x3000, 0x3fff, false, false},
        {0x4000, 0x4fff, true, false},
        {0x5000, 0x5fff, true, false},
        {0x6000, 0x7fff, false, false},
        {0x8000, 0x87ff, true, false},
        {0x8800, 0x8fff, false, false},
        {0x9000, 0x97ff, true, true},
        {0x9800, 0x9bff, true, true},
        {0x9c00, 0x9cff, true, false},
        {0x9d00, 0x9fff, true, true},
        {0xa000, 0xa7ff, true, true},
        {0xa800, 0xffffffffffffefff, false, false},
        {0xfffffffffffff000, UINT64_MAX, true, false},
    };
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct target_region low = at(&map, pieces[i].first), high = at(&map, pieces[i].last);
        ck_assert_uint_eq(low.first, pieces[i].first);
        ck_assert_uint_eq(low.last, pieces[i].last);
        ck_assert_uint_eq(high.first, low.first);
        ck_assert_int_eq(low.pci_bar, pieces[i].bar);
        ck_assert_int_eq(low.prefetchable, pieces[i].prefetchable);
    }
    ck_assert_str_eq(at(&map, 0x3000).name, "one");
    memory_map_free(&map);
}
END_TEST

/* As QEMU 10.0 and 11.1 print them: no dot, and words for a BAR that is mapped nowhere. */
START_TEST(bars_of_newer_versions)
{
    struct memory_map map = {0};
    ck_assert_msg(parse_ranges(&map, "  0000000000001000-0000000000004fff (prio 0, ram): one\n",
                               "      BAR0: 32 bit memory at 0x00002000 [0x00002fff]\n"
                               "      BAR1: 64 bit prefetchable memory at 0x00003000 [0x00003fff]\n"
                               "      BAR2: 32 bit memory (not mapped)\n"
                               "      BAR3: 64 bit prefetchable memory (not mapped)\n"
                               "      BAR4: I/O (not mapped)\n"
                               "      BAR5: I/O at 0x1000 [0x1fff]\n"),
                  "%s", message);
    ck_assert(!at(&map, 0x1000).pci_bar);
    ck_assert(at(&map, 0x2000).pci_bar && !at(&map, 0x2000).prefetchable);
    ck_assert(at(&map, 0x3000).pci_bar && at(&map, 0x3000).prefetchable);
    ck_assert(!at(&map, 0x4000).pci_bar);
    memory_map_free(&map);
}
END_TEST

START_TEST(malformed_ranges)
{
    static const char *const lines[] = {
        "  0000000000001000-0000000000000fff (prio 0, ram): backwards\n",
        "  000000000000100-0000000000000fff (prio 0, ram): short\n",
        "  00000000000001000-0000000000001fff (prio 0, ram): long\n",
        "  0000000000001000-0000000000001fff (prio 0, wax): kind\n",
        "  0000000000001000-0000000000001fff (prio 0, rammed): kind\n",
        "  0000000000001000-0000000000001fff (prio x, ram): priority\n",
        "  0000000000001000-0000000000001fff (prio 99999999999, ram): priority\n",
        "  0000000000001000-0000000000001fff (prio 0, ram)\n",
        "  0000000000001000-0000000000001fff\n",
        "  gggg\n",
        "  0000000000002000-0000000000002fff (prio 0, ram): a\n"
        "  0000000000001000-0000000000001fff (prio 0, ram): order\n",
        "  0000000000002000-0000000000002fff (prio 0, ram): a\n"
        "  0000000000002fff-0000000000003fff (prio 0, ram): overlap\n",
    };
    struct memory_map map = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        message[0] = '\0';
        ck_assert_msg(!parse_ranges(&map, lines[i], NULL), "%s", lines[i]);
        ck_assert_str_ne(message, "");
        ck_assert_ptr_null(map.regions);
    }
    ck_assert(!memory_map_parse(&map, "", "memory", "", NULL, 0));
}
END_TEST

START_TEST(malformed_pci)
{
    static const char *const lines[] = {
        BAR("", "2000", "1fff"),
        BAR("", "", "1fff"),
        BAR("", "10000000000000000", "1fff"),
        BAR("", "1000", "1fff") "      BAR0",
        "BAR0\n",
        "BAR0: 32 bit wax at 0x0 [0x1].\n",
        "BAR0: 32 bit memory at 0x0 [0x1\n",
        "BARx: 32 bit memory at 0x0 [0x1].\n",
        "Bus  0, device",
    };
    struct memory_map map = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        message[0] = '\0';
        ck_assert_msg(!parse_ranges(&map, "", lines[i]), "%s", lines[i]);
        ck_assert_str_ne(message, "");
    }
    ck_assert(parse_ranges(&map, "",
                           "  Bus 256, device 0, function 0:\nsecondary bus 99999999999.\n"
                           "  Bus -1, device 0\nsecondary bus \n  Bus 7\n"));
    for (unsigned bus = 0; bus < 300; bus++)
        ck_assert(!memory_map_has_bus(&map, bus));
    memory_map_free(&map);
}
END_TEST

/* A whole map or none: every way to cut a real text short is noticed or changes nothing that
 * counts. */
START_TEST(truncated)
{
    char *text = slurp("q35.mtree"), *pci = slurp("q35.pci");
    struct memory_map whole = machine("q35"), map = {0};
    size_t length = strlen(text);
    for (size_t cut = length; cut-- > 0;) {
        text[cut] = '\0';
        if (parse(&map, text, NULL))
            ck_assert_uint_eq(at(&map, 0xffffffff).last, at(&whole, 0xffffffff).last);
    }
    memory_map_free(&map);
    length = strlen(pci);
    for (size_t cut = length; cut-- > 0;) {
        pci[cut] = '\0';
        bool good = parse_ranges(&map, "", pci);
        ck_assert(good == (cut == 0 || pci[cut - 1] == '\n'));
    }
    memory_map_free(&map);
    memory_map_free(&whole);
    free(text);
    free(pci);
}
END_TEST

/* Any byte may be wrong: the answer may be too, but nothing breaks (run under sanitizers). */
START_TEST(mutated)
{
    char *text = slurp("g3beige.mtree"), *pci = slurp("g3beige.pci");
    size_t length = strlen(text), pci_length = strlen(pci);
    uint32_t random = 12345;
    for (unsigned round = 0; round < 4000; round++) {
        random = random * 1664525 + 1013904223;
        size_t where = random % length, pci_where = (random >> 8) % pci_length;
        char was = text[where], pci_was = pci[pci_where];
        text[where] = (char)(random >> 24 ? random >> 24 : '\n');
        pci[pci_where] = (char)(random >> 16 & 0xff ? random >> 16 & 0xff : 'f');
        struct memory_map map = {0};
        struct target_region region;
        if (parse(&map, text, pci))
            memory_map_find(&map, (uint64_t)random << 8, &region);
        memory_map_free(&map);
        text[where] = was;
        pci[pci_where] = pci_was;
    }
    free(text);
    free(pci);
}
END_TEST

START_TEST(too_many_ranges)
{
    struct memory_map map = {0};
    size_t size = (MEMORY_MAP_RANGES_MAX + 2) * 64;
    char *text = malloc(size);
    for (unsigned extra = 0; extra < 2; extra++) {
        size_t used = (size_t)sprintf(text, "FlatView #0\n AS \"memory\", root: system\n");
        for (size_t i = 0; i < MEMORY_MAP_RANGES_MAX + extra; i++)
            used +=
                (size_t)sprintf(text + used, "  %016zx-%016zx (prio 0, ram): r\n", i * 2, i * 2);
        strcpy(text + used, "\n");
        ck_assert(parse(&map, text, NULL) == (extra == 0));
    }
    expect(&map, 131070, 131070, 131070, REGION_RAM, "r");
    expect(&map, 131069, 131069, 131069, REGION_NONE, "");
    memory_map_free(&map);
    free(text);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("memory_map");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, pc);
    tcase_add_test(tcase, pc_at_reset);
    tcase_add_test(tcase, q35);
    tcase_add_test(tcase, virt);
    tcase_add_test(tcase, g3beige);
    tcase_add_test(tcase, address_spaces);
    tcase_add_test(tcase, kinds_and_names);
    tcase_add_test(tcase, bars_split_regions);
    tcase_add_test(tcase, bars_of_newer_versions);
    tcase_add_test(tcase, malformed_ranges);
    tcase_add_test(tcase, malformed_pci);
    tcase_add_test(tcase, truncated);
    tcase_add_test(tcase, mutated);
    tcase_add_test(tcase, too_many_ranges);
    Suite *suite = suite_create("memory_map");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
