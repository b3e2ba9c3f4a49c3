/* The memory map, on what real QEMU 7.2 machines printed (tests/unit/data) and on nonsense. */
#include "upstream/machine/memory_map.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text_notes notes;

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

/* The map of an address space. True where all of both texts was understood, and false where notes
 * says what was not. */
static bool parse_space(struct memory_map *map, const char *mtree, const char *space,
                        const char *pci)
{
    struct pci_bars bars = {0};
    notes = (struct text_notes){0};
    ck_assert(pci_bars_parse(&bars, pci ? pci : "", &notes));
    ck_assert(memory_map_parse(map, mtree, space, pci ? &bars : NULL, &notes));
    ck_assert(!pci || map->doubtful_bars == bars.doubtful);
    pci_bars_free(&bars);
    bool unknown = map->distrusted || map->doubtful_bars;
    for (size_t i = 0; i < map->count; i++)
        unknown = unknown || map->regions[i].unknown;
    ck_assert(!unknown || notes.count > 0);
    return notes.count == 0;
}

static bool parse(struct memory_map *map, const char *mtree, const char *pci)
{
    return parse_space(map, mtree, "memory", pci);
}

static struct memory_map machine(const char *name)
{
    struct memory_map map = {0};
    char file[64];
    snprintf(file, sizeof file, "%s.mtree", name);
    char *mtree = slurp(file);
    snprintf(file, sizeof file, "%s.pci", name);
    char *pci = slurp(file);
    ck_assert_msg(parse(&map, mtree, pci), "%s: %s", name, notes.note[0]);
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
    ck_assert(parse_space(&map, text, "I/O", NULL));
    expect(&map, 0x70, 0x70, 0x70, REGION_DEVICE, "rtc-index");
    ck_assert(parse_space(&map, text, "cpu-memory-0", ""));
    expect(&map, 0, 0, 0x9ffff, REGION_RAM, "pc.ram");
    ck_assert(parse_space(&map, text, "edu", NULL));
    expect(&map, 0, 0, UINT64_MAX, REGION_NONE, ""); /* "No rendered FlatView" */
    static const char *const wrong[] = {"", "unknown command: 'info mtree'\r\n",
                                        "FlatView #0\r\n\r\n"};
    ck_assert(!parse_space(&map, text, "mem", NULL));
    ck_assert(map.distrusted);
    expect(&map, 0x70, 0, UINT64_MAX, REGION_DEVICE, "unknown range");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert(!parse(&map, wrong[i], NULL));
        ck_assert(map.distrusted && at(&map, 0x70).unknown);
        expect(&map, 0x70, 0, UINT64_MAX, REGION_DEVICE, "unknown range");
    }
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
        "%s", notes.note[0]);
    expect(&map, 0, 0, 0xfff, REGION_RAM, "a b @c");
    expect(&map, 0x1000, 0x1000, 0x1fff, REGION_RAM, "/rom@etc/acpi");
    expect(&map, 0x2000, 0x2000, 0x2fff, REGION_DEVICE, "vfio");
    expect(&map, 0x3000, 0x3000, 0x3fff, REGION_DEVICE, "kvm-apic-msi");
    ck_assert(at(&map, 0x3000).unreachable && !at(&map, 0x2000).unreachable);
    expect(&map, 0x4000, 0x4000, 0x4fff, REGION_NONE, "");
    ck_assert(memory_map_says_none(&map, 0x4000) && !memory_map_says_none(&map, 0x3fff));
    ck_assert(!memory_map_unknown(&map, 0x3000, 0x4000));
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
                                "      memory range [0x1000, 0x1fff]\n"
                                "      id \"\"\n"),
        "%s", notes.note[0]);
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
                               "      BAR5: I/O at 0x1000 [0x1fff]\n"
                               "      id \"\"\n"),
                  "%s", notes.note[0]);
    ck_assert(!at(&map, 0x1000).pci_bar);
    ck_assert(at(&map, 0x2000).pci_bar && !at(&map, 0x2000).prefetchable);
    ck_assert(at(&map, 0x3000).pci_bar && at(&map, 0x3000).prefetchable);
    ck_assert(!at(&map, 0x4000).pci_bar);
    memory_map_free(&map);
}
END_TEST

#define RANGE(first, last, rest) "  " first "-" last " (prio 0, " rest "\n"
#define A_RANGE_LOW              RANGE("0000000000001000", "0000000000001fff", "ram): b")
#define A_RANGE                  RANGE("0000000000008000", "0000000000008fff", "ram): a")

/* A line that is not understood costs its range, and no more. */
START_TEST(unknown_ranges)
{
    static const char *const lines[] = {
        RANGE("0000000000001000", "0000000000001fff", "wax): kind"),
        RANGE("0000000000001000", "0000000000001fff", "rammed): kind"),
        RANGE("0000000000001000", "0000000000001fff", "ram)"),
        "  0000000000001000-0000000000001fff (prio x, ram): priority\n",
        "  0000000000001000-0000000000001fff (prio 99999999999, ram): priority\n",
        "  0000000000001000-0000000000001fff\n",
        "  0000000000001000-0000000000001fff prio ram @0000000000001000\n",
        "  new: 0000000000001000-0000000000001fff (prio 0, ram): words before\n",
        " 0000000000001000-0000000000001fff (prio 0, ram): one blank\n",
        "0000000000001000-0000000000001fff (prio 0, ram): none\n",
        /* two lines for some of it, or one: it cannot be told which is right */
        RANGE("0000000000001000", "0000000000001fff", "ram): a")
            RANGE("0000000000001000", "0000000000001fff", "i/o): b"),
        RANGE("0000000000001000", "0000000000001fff", "ram): a")
            RANGE("0000000000001800", "0000000000001fff", "container): b"),
        RANGE("0000000000001800", "0000000000001fff", "ram): order")
            RANGE("0000000000001000", "00000000000017ff", "ram): a")
                RANGE("0000000000001000", "0000000000001fff", "i/o): b"),
        ("  0000000000001000-00000000000017ff (prio 0, ram): a  "
         "0000000000001800-0000000000001fff (prio 0, i/o): b\n"),
    };
    struct memory_map map = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s%s", lines[i], A_RANGE);
        ck_assert_msg(!parse_ranges(&map, text, NULL), "%s", lines[i]);
        ck_assert_msg(!map.distrusted, "%s", lines[i]);
        ck_assert(at(&map, 0x1000).unknown && at(&map, 0x1fff).unknown);
        ck_assert_int_eq(at(&map, 0x1000).kind, REGION_DEVICE);
        ck_assert_int_eq(at(&map, 0x1fff).kind, REGION_DEVICE);
        ck_assert_int_eq(at(&map, 0xfff).kind, REGION_NONE);
        ck_assert_int_eq(at(&map, 0x2000).kind, REGION_NONE);
        ck_assert(!at(&map, 0x8000).unknown);
        expect(&map, 0x8123, 0x8000, 0x8fff, REGION_RAM, "a");
        ck_assert(memory_map_unknown(&map, 0x1ff8, 8) && memory_map_unknown(&map, 0, 0x1001));
        ck_assert(!memory_map_unknown(&map, 0x8000, 0x1000));
        ck_assert(!memory_map_unknown(&map, 0x1000, 0));
        /* a hole may be a line that was lost */
        ck_assert(memory_map_unknown(&map, 0x8000, 0x1001) && memory_map_unknown(&map, 0, 1));
    }
    memory_map_free(&map);
}
END_TEST

/* Where the range cannot be told either, nothing of the map is believed. */
START_TEST(malformed_ranges)
{
    static const char *const lines[] = {
        RANGE("0000000000001000", "0000000000000fff", "ram): backwards"),
        RANGE("000000000000100", "0000000000000fff", "ram): short"),
        RANGE("00000000000001000", "0000000000001fff", "ram): long"),
        RANGE("0000000000001000", "00000000000001fff", "ram): long"),
        RANGE("0000000000001000", "000000000000lfff", "ram): letter"),
        RANGE("0000000000001000", "0000000000001fff", "wax): and 00000000beef0000-"),
        RANGE("0000000000001000", "0000000000001fff", "ram): a (prio 1, i/o): b"),
        RANGE("0000000000001000", "0000000000001fff", "ram): (prio 1, i/o): b"),
        "  gggg\n",
        "  \n",
        "  Dispatch\n",
        " AS \"other\", root: system\n",
        " AS \"memory\", root: system\n",
        " Root memory region: system\n",
        "FlatView #1\n",
        "  No rendered FlatView\n",
    };
    struct memory_map map = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        for (unsigned before = 0; before < 2; before++) {
            char text[1024];
            bool header = strncmp(lines[i], " AS \"", 5) == 0 || strstr(lines[i], "Root");
            snprintf(text, sizeof text, "%s%s%s", before ? "" : A_RANGE, lines[i],
                     before ? A_RANGE : "");
            if (before && header)
                continue; /* it is where such a line belongs */
            ck_assert_msg(!parse_ranges(&map, text, NULL), "%s", lines[i]);
            ck_assert_msg(map.distrusted, "%s", lines[i]);
            ck_assert_uint_eq(map.count, 1);
            ck_assert(at(&map, 0x8000).unknown && at(&map, 0x8000).kind == REGION_DEVICE);
            expect(&map, 0x1000, 0, UINT64_MAX, REGION_DEVICE, "unknown range");
            ck_assert(memory_map_unknown(&map, UINT64_MAX, 1));
        }
    }
    memory_map_free(&map);
}
END_TEST

/* What is only out of place costs nothing. */
START_TEST(harmless_lines)
{
    static const char *const lines[] = {
        A_RANGE A_RANGE,
        "\n" A_RANGE,
        A_RANGE "\n\n",
        A_RANGE "\n" A_RANGE,
        " Something of a newer version: yes\n" A_RANGE,
        A_RANGE "\nSomething else\n",
    };
    struct memory_map map = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        ck_assert_msg(parse_ranges(&map, lines[i], NULL), "%s", lines[i]);
        expect(&map, 0x8123, 0x8000, 0x8fff, REGION_RAM, "a");
    }
    memory_map_free(&map);
}
END_TEST

/* Views that have changed places. */
START_TEST(wrong_views)
{
    static const char view[] = "FlatView #0\n AS \"%s\", root: %s\n Root memory region: %s\n%s\n";
    struct memory_map map = {0};
    char text[2048];
    size_t used = (size_t)sprintf(text, view, "memory", "system", "ram", A_RANGE);
    ck_assert(parse(&map, text, NULL)); /* as on a machine with nothing but RAM */
    sprintf(text + used, view, "edu", "bus", "system", A_RANGE);
    ck_assert(!parse(&map, text, NULL) && map.distrusted);
    sprintf(text + used, view, "memory", "system", "ram", A_RANGE);
    ck_assert(!parse(&map, text, NULL) && map.distrusted);
    sprintf(text, "FlatView #0\n AS \"memory\", root: \n%s\n", A_RANGE);
    ck_assert(parse(&map, text, NULL)); /* nothing names a root, and nothing contradicts that */
    memory_map_free(&map);
}
END_TEST

/* What query-pci gives. */
START_TEST(pci_objects)
{
    static const char *const versions[] = {"7.2", "10.0", "11.1"};
    static const char *const machines[] = {"pc", "q35", "virt"};
    for (size_t i = 0; i < 9; i++) {
        char name[64];
        struct pci_bars by_text = {0}, by_object = {0};
        snprintf(name, sizeof name, "%s-%s.pci", versions[i % 3], machines[i / 3]);
        char *text = slurp(name);
        snprintf(name, sizeof name, "%s-%s.query-pci", versions[i % 3], machines[i / 3]);
        char *objects = slurp(name);
        json_t *answer = json_loads(objects, 0, NULL);
        ck_assert(pci_bars_parse(&by_text, text, &notes));
        ck_assert(pci_bars_take(&by_object, answer, &notes));
        ck_assert(!by_text.doubtful && !by_object.doubtful);
        ck_assert_uint_gt(by_object.count, 0);
        ck_assert_uint_eq(by_object.count, by_text.count);
        for (size_t b = 0; b < by_text.count; b++) {
            const struct pci_bar *one = &by_object.items[b], *other = &by_text.items[b];
            ck_assert_uint_eq(one->first, other->first);
            ck_assert_uint_eq(one->last, other->last);
            ck_assert(one->known && other->known && !one->unknown && !other->unknown);
            ck_assert_int_eq(one->prefetchable, other->prefetchable);
        }
        ck_assert_mem_eq(by_object.buses, by_text.buses, sizeof by_text.buses);
        /* behind a bridge, and behind another on pc and q35 */
        ck_assert_uint_eq(by_object.buses[0], i / 3 == 0 ? 0x7 : i / 3 == 1 ? 0x1f : 0x3);
        json_decref(answer);
        pci_bars_free(&by_text);
        pci_bars_free(&by_object);
        free(text);
        free(objects);
    }
}
END_TEST

START_TEST(hostile_pci_objects)
{
    static const struct {
        const char *text;
        size_t bars;
    } wrong[] = {
        {"{}", 0},
        {"[1]", 0},
        {"[{\"bus\": 0}]", 0},
        {"[{\"bus\": 0, \"devices\": {}}]", 0},
        {"[{\"bus\": -1, \"devices\": [{}]}]", 0},
        {"[{\"devices\": [{\"regions\": [3]}]}]", 0},
        {"[{\"devices\": [{\"regions\": [{\"type\": \"memory\", \"size\": 4096}]}]}]", 0},
        {"[{\"devices\": [{\"regions\": [{\"type\": \"memory\", \"address\": 4096}]}]}]", 0},
        {"[{\"devices\": [{\"regions\": [{\"type\": \"memory\", \"address\": 0, \"size\": "
         "0}]}]}]",
         0},
        {"[{\"devices\": [{\"regions\": [{\"type\": \"memory\", \"address\": -2, \"size\": "
         "3}]}]}]",
         0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct pci_bars bars = {0};
        json_t *answer = json_loads(wrong[i].text, 0, NULL);
        ck_assert_ptr_nonnull(answer);
        ck_assert(pci_bars_take(&bars, answer, NULL));
        ck_assert_msg(bars.doubtful, "%s", wrong[i].text);
        ck_assert_uint_eq(bars.count, wrong[i].bars);
        json_decref(answer);
        pci_bars_free(&bars);
    }
    struct pci_bars bars = {0};
    json_t *answer = json_loads("[{\"bus\": 255, \"devices\": [{\"regions\": ["
                                "{\"type\": \"tape\", \"address\": 4096, \"size\": 4096},"
                                "{\"type\": \"memory\", \"address\": -1, \"size\": 4096},"
                                "{\"type\": \"io\", \"address\": 0}]}]}]",
                                0, NULL);
    ck_assert(pci_bars_take(&bars, answer, NULL));
    ck_assert(!bars.doubtful && bars.count == 1);
    ck_assert(bars.items[0].unknown && !bars.items[0].known && bars.items[0].first == 4096);
    json_decref(answer);
    pci_bars_free(&bars);
    /* deeper than there are buses */
    answer = json_pack("[]");
    for (unsigned i = 0; i < 2000; i++)
        answer = json_pack("[{s: [], s: {s: o}}]", "regions", "pci_bridge", "devices", answer);
    answer = json_pack("[{s: o}]", "devices", answer);
    ck_assert(pci_bars_take(&bars, answer, NULL));
    ck_assert(bars.doubtful);
    json_decref(answer);
    pci_bars_free(&bars);
}
END_TEST

/* A BAR that cannot be read may be anywhere; one of which only the range can is unknown. */
START_TEST(malformed_pci)
{
    static const struct {
        const char *text;
        bool everywhere;
    } lines[] = {
        {BAR("", "2000", "1fff"), true},
        {BAR("", "", "1fff"), true},
        {BAR("", "10000000000000000", "1fff"), true},
        {BAR("", "1000", "1fffg"), true},
        {BAR("", "1000", "1fff") "      BAR0", true},
        {"BAR0\n", true},
        {"BAR0: 32 bit memory (not mapppd)\n", true},
        {"      BAR0: 32 bit memory at 0x1000 [0x1fff-2fff]\n", true},
        {"      BAR0: 32 bit memory at] [0x0 0x1000 [0x1fff]\n", true},
        {"      BAR0: 32 bit wax at 0x1000 [0x1fff].\n", false},
        {"      BAR0: 32 bit memory from 0x1000 to 0x1fff\n", false},
        {"      BAR0: 32 bit memory at 0x1000 [0x1fff\n", false},
        {"      BARx: 32 bit memory at 0x1000 [0x1fff].\n", false},
        {"      BAR 0: 32 bit memory at 0x1000 [0x1fff]\n", false},
        {"      Region 0: memory at 0x1000 [0x1fff]\n", false},
        {"  Bus  0, device", true},
        {"      BAR0: I/O at 0x10 [0x1f]\n", true}, /* no device ends so */
    };
    struct memory_map map = {0};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s%s", lines[i].text,
                 lines[i].everywhere ? "" : "      id \"\"\n");
        ck_assert_msg(!parse_ranges(&map, A_RANGE_LOW A_RANGE, text), "%s", text);
        ck_assert_msg(map.doubtful_bars == lines[i].everywhere, "%s", text);
        ck_assert(!map.distrusted);
        ck_assert(at(&map, 0x1000).unknown);
        ck_assert_int_eq(at(&map, 0x1000).kind, REGION_RAM);
        ck_assert_int_eq(at(&map, 0x8000).unknown, lines[i].everywhere);
    }
    ck_assert(parse_ranges(&map, A_RANGE,
                           "  Bus 256, device 0, function 0:\nsecondary bus 99999999999.\n"
                           "  Bus -1, device 0\nsecondary bus \n  Bus 7\n"
                           "    Memory controller: PCI device 1af4:1100\n      id \"\"\n"));
    for (unsigned bus = 0; bus < 300; bus++)
        ck_assert(!memory_map_has_bus(&map, bus));
    memory_map_free(&map);
}
END_TEST

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t most = strlen(end);
    return length >= most && memcmp(text + length - most, end, most) == 0;
}

/* A whole map or none: every way to cut a real text short is noticed. */
START_TEST(truncated)
{
    char *text = slurp("q35.mtree"), *pci = slurp("q35.pci");
    struct memory_map whole = machine("q35"), map = {0};
    size_t length = strlen(text);
    for (size_t cut = length; cut-- > 0;) {
        text[cut] = '\0';
        parse(&map, text, NULL);
        if (!map.distrusted)
            ck_assert_uint_eq(at(&map, 0xffffffff).last, at(&whole, 0xffffffff).last);
        /* between two views nothing tells, and nothing of ours is lost */
        ck_assert(map.distrusted || ends_with(text, cut, "\r\n\r\n"));
    }
    memory_map_free(&map);
    length = strlen(pci);
    for (size_t cut = length; cut-- > 0;) {
        pci[cut] = '\0';
        parse_ranges(&map, A_RANGE, pci);
        /* a device's last line has its name, in quotes */
        ck_assert(map.doubtful_bars == !(cut == 0 || ends_with(pci, cut, "\"\r\n")));
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
        parse(&map, text, pci);
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
    size_t size = (FLAT_VIEW_RANGES_MAX + 2) * 64;
    char *text = malloc(size);
    for (unsigned round = 0; round < 2; round++) {
        size_t extra = 1 - round; /* the good one last */
        size_t used = (size_t)sprintf(text, "FlatView #0\n AS \"memory\", root: system\n");
        for (size_t i = 0; i < FLAT_VIEW_RANGES_MAX + extra; i++)
            used +=
                (size_t)sprintf(text + used, "  %016zx-%016zx (prio 0, ram): r\n", i * 2, i * 2);
        strcpy(text + used, "\n");
        ck_assert(parse(&map, text, NULL) == (extra == 0));
        ck_assert(map.distrusted == (extra == 1));
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
    tcase_add_test(tcase, unknown_ranges);
    tcase_add_test(tcase, malformed_ranges);
    tcase_add_test(tcase, harmless_lines);
    tcase_add_test(tcase, wrong_views);
    tcase_add_test(tcase, pci_objects);
    tcase_add_test(tcase, hostile_pci_objects);
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
