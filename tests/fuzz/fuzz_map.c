/* Damages what real QEMUs printed (tests/unit/data: 7.2, 10.0 and 11.1; pc, q35 and virt) and looks
 * whether the memory map still tells the truth, or says that it does not know:
 *
 *  - no damage makes a page of RAM fail whose line is whole,
 *  - none makes RAM or ROM of a device or a hole,
 *  - none hides a BAR whose line is whole.
 *
 * What is true is told by a reader of its own, which knows the whole texts' form and nothing else.
 *
 * The limit. A line that damage has made into another good line, which contradicts no other, cannot
 * be told from a true one: so the map as it is parsed is excused for addresses within such a line.
 * The daemon then asks gpa2hva about both ends of all memory (fresh_map.c). Here the truth
 * answers, and after that nothing is excused but what lies between two true ends. */
#include "upstream/machine/memory_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINES_MOST 600
#define TEXT_MOST  65536

/* Holds in every build, assert() does not. */
#define HOLDS(condition, text)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n%s", __FILE__, __LINE__, #condition, text);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The truth */

struct range {
    uint64_t first, last, offset;
    char type[16], name[64];
    bool touched; /* its line */
};

struct truth {
    char text[TEXT_MOST];
    size_t begin[LINES_MOST]; /* of each line, in text */
    size_t lines, length;
    struct range range[LINES_MOST]; /* of the view "memory", or BARs */
    size_t of_line[LINES_MOST];     /* its range, from 1; 0: none */
    size_t ranges;
    bool pci;
};

/* The form of a range line, and nothing but that. */
static bool range_of(const char *line, size_t length, struct range *range)
{
    char copy[256], priority[32];
    int used = 0;
    *range = (struct range){0};
    if (length >= sizeof copy || strnlen(line, length) != length)
        return false;
    memcpy(copy, line, length);
    copy[length] = '\0';
    if (strncmp(copy, "  ", 2) != 0 || copy[2] == ' ' || strcspn(copy + 2, "-") != 16 ||
        strspn(copy + 2, "0123456789abcdef") != 16 || strspn(copy + 19, "0123456789abcdef") != 16 ||
        sscanf(copy, "  %16" SCNx64 "-%16" SCNx64 " (prio %31[0-9-], %15[a-z/-]): %n",
               &range->first, &range->last, priority, range->type, &used) != 4 ||
        used == 0 || range->first > range->last || strchr(priority + 1, '-'))
        return false;
    snprintf(range->name, sizeof range->name, "%.*s", (int)strcspn(copy + used, "@"), copy + used);
    const char *offset = strstr(copy + used, " @");
    if (offset)
        range->offset = strtoull(offset + 2, NULL, 16);
    return strstr(copy + used, "(prio") == NULL;
}

static bool bar_of(const char *line, size_t length, struct range *range)
{
    char copy[256];
    unsigned number, bits;
    int used = 0;
    *range = (struct range){0};
    if (length >= sizeof copy || strnlen(line, length) != length)
        return false;
    memcpy(copy, line, length);
    copy[length] = '\0';
    char *prefetchable = strstr(copy, "prefetchable ");
    if (prefetchable)
        memmove(prefetchable, prefetchable + 13, strlen(prefetchable + 13) + 1);
    return sscanf(copy, " BAR%u: %u bit memory at 0x%" SCNx64 " [0x%" SCNx64 "]%n", &number, &bits,
                  &range->first, &range->last, &used) == 4 &&
           used > 0 && range->first != UINT64_MAX && range->first <= range->last;
}

static void read_lines(struct truth *truth)
{
    bool ours = false;
    for (const char *at = truth->text; *at; truth->lines++) {
        size_t length = strcspn(at, "\r");
        struct range *range = &truth->range[truth->ranges];
        HOLDS(truth->lines + 1 < LINES_MOST, "too many lines\n");
        truth->begin[truth->lines] = (size_t)(at - truth->text);
        truth->of_line[truth->lines] = 0;
        if (strncmp(at, " AS \"memory\"", 12) == 0)
            ours = true;
        else if (length == 0)
            ours = false;
        if (truth->pci ? bar_of(at, length, range) : ours && range_of(at, length, range))
            truth->of_line[truth->lines] = ++truth->ranges;
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    HOLDS(truth->ranges > 0, truth->text);
}

static void load(struct truth *truth, const char *name)
{
    const char *source = getenv("srcdir");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/unit/data/%s", source ? source : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "cannot open %s: set srcdir\n", path);
        exit(EXIT_FAILURE);
    }
    *truth = (struct truth){.pci = strstr(name, ".pci") != NULL};
    truth->length = fread(truth->text, 1, sizeof truth->text - 1, file);
    fclose(file);
    read_lines(truth);
}

static const struct range *true_range(const struct truth *truth, uint64_t address)
{
    for (size_t i = 0; i < truth->ranges; i++)
        if (truth->range[i].first <= address && address <= truth->range[i].last)
            return &truth->range[i];
    return NULL;
}

static bool is_memory(const char *type)
{
    return strcmp(type, "ram") == 0 || strcmp(type, "rom") == 0 || strcmp(type, "romd") == 0;
}

static uint64_t block_of(const char *name)
{
    uint64_t digest = 5381;
    while (*name && *name != ' ')
        digest = digest * 33 + (unsigned char)*name++;
    return digest << 40;
}

/* What gpa2hva would tell: 0 where no memory is. */
static uint64_t true_host(const struct truth *truth, uint64_t address)
{
    const struct range *range = true_range(truth, address);
    if (!range || !is_memory(range->type))
        return 0;
    return block_of(range->name) + range->offset + (address - range->first);
}

/* Damage */

struct chooser {
    const uint8_t *data;
    size_t size;
};

static size_t choose(struct chooser *chooser, size_t count)
{
    size_t value = 0;
    for (int i = 0; i < 2 && chooser->size > 0; i++, chooser->data++, chooser->size--)
        value = value << 8 | *chooser->data;
    return count ? value % count : 0;
}

struct damaged {
    char text[2 * TEXT_MOST];
    size_t length;
};

/* Put length bytes in the place of gone bytes at at. */
static void splice(struct damaged *out, size_t at, size_t gone, const char *bytes, size_t length)
{
    if (at > out->length)
        at = out->length;
    if (gone > out->length - at)
        gone = out->length - at;
    if (out->length - gone + length >= sizeof out->text)
        return;
    memmove(out->text + at + length, out->text + at + gone, out->length - at - gone + 1);
    memcpy(out->text + at, bytes, length);
    out->length = out->length - gone + length;
}

static size_t line_at(const struct truth *truth, size_t offset)
{
    size_t line = 0;
    while (line + 1 < truth->lines && truth->begin[line + 1] <= offset)
        line++;
    return line;
}

static size_t begin_of(const struct truth *truth, size_t line)
{
    return line < truth->lines ? truth->begin[line] : truth->length;
}

/* Lines of the text that damage from there to there reaches; a line's end is the next one's too. */
static void touch(struct truth *truth, size_t from, size_t to)
{
    for (size_t line = line_at(truth, from); line < truth->lines; line++) {
        if (begin_of(truth, line) > to)
            break;
        if (truth->of_line[line])
            truth->range[truth->of_line[line] - 1].touched = true;
    }
}

static const char *const words[] = {
    "x",
    "0",
    "f",
    " ",
    "  ",
    "-",
    "(prio 0, ram): ",
    "(prio 0, i/o): pc.ram",
    "ram",
    "rom",
    "nv-",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "0000000000000000-ffffffffffffffff",
    "00000000fee00000-",
    " @0000000000001000",
    "\t",
    "\x01",
    "\xff",
    "prefetchable ",
    " (not mapped)",
    "0xffffffffffffffff",
    "] [0x0",
};

static const char *const lines[] = {
    "\r\n",
    "FlatView #9\r\n",
    " AS \"memory\", root: system\r\n",
    " AS \"other\", root: io\r\n",
    " Root memory region: system\r\n",
    "  No rendered FlatView\r\n",
    "  Dispatch\r\n",
    "   Physical sections\r\n",
    "words of no meaning\r\n",
    "  0000000000000000-ffffffffffffffff (prio 0, i/o): all\r\n",
    "  0000000000000000-ffffffffffffffff (prio 0, ram): all\r\n",
    "  0000000000008000-0000000000008fff (prio 0, wax): part\r\n",
    "  00000000e0000000-00000000e0000fff (prio 0, ram): in a hole\r\n",
    "      BAR9: 32 bit memory\r\n",
    "      id \"\"\r\n",
};

static void insert_line(struct damaged *out, const struct truth *truth, struct chooser *chooser)
{
    size_t at = begin_of(truth, choose(chooser, truth->lines + 1));
    size_t count = sizeof lines / sizeof lines[0];
    size_t which = choose(chooser, count + truth->lines);
    if (which < count) {
        splice(out, at, 0, lines[which], strlen(lines[which]));
        return;
    }
    size_t from = begin_of(truth, which - count), to = begin_of(truth, which - count + 1);
    splice(out, at, 0, truth->text + from, to - from);
}

static void swap_lines(struct damaged *out, struct truth *truth, struct chooser *chooser)
{
    size_t one = choose(chooser, truth->lines), other = choose(chooser, truth->lines);
    if (choose(chooser, 2))
        other = one + 1 < truth->lines ? one + 1 : one;
    if (one > other) {
        size_t swap = one;
        one = other;
        other = swap;
    }
    if (one == other)
        return;
    size_t a = begin_of(truth, one), a_end = begin_of(truth, one + 1);
    size_t b = begin_of(truth, other), b_end = begin_of(truth, other + 1);
    splice(out, b, b_end - b, truth->text + a, a_end - a);
    splice(out, a, a_end - a, truth->text + b, b_end - b);
    touch(truth, a, a_end - 1);
    touch(truth, b, b_end - 1);
}

/* Returns the line that has changed and is still one, or truth->lines. */
static size_t damage(struct damaged *out, struct truth *truth, struct chooser *chooser)
{
    size_t same = truth->lines;
    size_t kind = choose(chooser, 8);
    size_t at = choose(chooser, truth->length), span = 1;
    size_t line = line_at(truth, at);
    switch (kind) {
    case 0: { /* a character */
        char byte = (char)(choose(chooser, 2) ? "0123456789abcdef"[choose(chooser, 16)]
                                              : (char)(1 + choose(chooser, 255)));
        splice(out, at, 1, &byte, 1);
        same = byte == '\n' || truth->text[at] == '\n' ? same : line;
        break;
    }
    case 1: /* some are missing */
        span = 1 + choose(chooser, choose(chooser, 2) ? 200 : 3);
        splice(out, at, span, "", 0);
        break;
    case 2: { /* a word too many */
        const char *word = words[choose(chooser, sizeof words / sizeof words[0])];
        splice(out, at, 0, word, strlen(word));
        same = strchr(word, '\n') ? same : line;
        break;
    }
    case 3: /* a line too many */
        insert_line(out, truth, chooser);
        return same;
    case 4: /* one twice */
        splice(out, begin_of(truth, line), 0, truth->text + begin_of(truth, line),
               begin_of(truth, line + 1) - begin_of(truth, line));
        return same;
    case 5:
        swap_lines(out, truth, chooser);
        return same;
    case 6: /* a line is missing */
        at = begin_of(truth, line);
        span = begin_of(truth, line + 1) - at;
        splice(out, at, span, "", 0);
        span--; /* the next one is whole */
        break;
    default: /* the rest is missing */
        out->text[at] = '\0';
        out->length = at;
        span = truth->length - at;
        break;
    }
    /* what joins a line to the one before touches both */
    touch(truth, at ? at - 1 : 0, at + span);
    return same;
}

/* What must hold */

/* Is there a line in the damaged text, and not in the whole one, that is good memory there and
 * contradicts no whole line? */
static bool excused(const struct truth *truth, const struct damaged *text, uint64_t address)
{
    for (const char *at = text->text; *at;) {
        size_t length = strcspn(at, "\n");
        size_t shown = length && at[length - 1] == '\r' ? length - 1 : length;
        struct range range;
        if (range_of(at, shown, &range) && is_memory(range.type + (range.type[0] == 'n' ? 3 : 0)) &&
            range.first <= address && address <= range.last) {
            bool consistent = true;
            for (size_t i = 0; i < truth->ranges; i++)
                if (!truth->range[i].touched && truth->range[i].first <= range.last &&
                    range.first <= truth->range[i].last)
                    consistent = false;
            if (consistent)
                return true;
        }
        at += length + (at[length] == '\n');
    }
    return false;
}

static void check_order(const struct memory_map *map, const char *text)
{
    for (size_t i = 0; i < map->count; i++) {
        HOLDS(map->regions[i].first <= map->regions[i].last, text);
        HOLDS(i == 0 || map->regions[i - 1].last < map->regions[i].first, text);
    }
}

static void check_address(const struct truth *truth, const struct damaged *text,
                          const struct memory_map *map, uint64_t address, bool asked)
{
    const struct range *range = true_range(truth, address);
    struct target_region found;
    memory_map_find(map, address, &found);
    HOLDS(found.first <= address && address <= found.last, text->text);
    if (range && strcmp(range->type, "ram") == 0 && !range->touched)
        HOLDS(found.kind == REGION_RAM || (found.kind == REGION_DEVICE && found.unknown),
              text->text);
    bool memory = !found.unknown && (found.kind == REGION_RAM || found.kind == REGION_ROM);
    if (memory && (!range || !is_memory(range->type)))
        HOLDS(!asked && excused(truth, text, address), text->text);
}

static void check_addresses(const struct truth *truth, const struct damaged *text,
                            const struct memory_map *map, bool asked)
{
    for (size_t i = 0; i < truth->ranges; i++) {
        const struct range *range = &truth->range[i];
        check_address(truth, text, map, range->first, asked);
        check_address(truth, text, map, range->last, asked);
        check_address(truth, text, map, range->first + (range->last - range->first) / 2, asked);
        check_address(truth, text, map, range->first - 1, asked);
        check_address(truth, text, map, range->last + 1, asked);
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct target_region *region = &map->regions[i];
        check_address(truth, text, map, region->first, asked);
        check_address(truth, text, map, region->last, asked);
    }
}

/* As check_memory in fresh_map.c, with the truth for an answer. */
static void ask(const struct truth *truth, struct memory_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct target_region *region = &map->regions[i];
        uint64_t low = true_host(truth, region->first), high = true_host(truth, region->last);
        if ((region->kind == REGION_RAM || region->kind == REGION_ROM) &&
            (!low || !high || high - low != region->last - region->first))
            memory_map_doubt(map, i);
    }
}

static void check_map(struct truth *truth, const struct damaged *text)
{
    struct memory_map map = {0};
    HOLDS(memory_map_parse(&map, text->text, "memory", NULL, NULL), text->text);
    check_order(&map, text->text);
    check_addresses(truth, text, &map, false);
    ask(truth, &map);
    check_addresses(truth, text, &map, true);
    memory_map_free(&map);
}

static bool in_bars(const struct pci_bars *bars, uint64_t address)
{
    for (size_t i = 0; i < bars->count; i++)
        if (bars->items[i].first <= address && address <= bars->items[i].last)
            return true;
    return bars->doubtful;
}

/* Is the BAR's line a good one for another range now, or for none? */
static bool bar_moved(const struct truth *truth, const struct damaged *text, size_t line)
{
    char copy[256];
    struct range range;
    const char *at = text->text + begin_of(truth, line);
    size_t length = strcspn(at, "\r\n");
    snprintf(copy, sizeof copy, "%.*s", (int)length, at);
    return bar_of(at, length, &range) || strstr(copy, "memory (not mapped)") != NULL;
}

/* A BAR with a whole line is there, and one whose line was changed, unless that has become another
 * good line. The rest of a text that ends with a device's last line cannot be told from a whole
 * one. */
static void check_bars(const struct truth *truth, const struct damaged *text, size_t changed)
{
    struct pci_bars bars = {0};
    HOLDS(pci_bars_parse(&bars, text->text, NULL), text->text);
    for (size_t i = 0; i < bars.count; i++) {
        HOLDS(bars.items[i].first <= bars.items[i].last, text->text);
        HOLDS(bars.items[i].known || bars.items[i].unknown, text->text);
        HOLDS(i == 0 || bars.items[i - 1].last < bars.items[i].first, text->text);
    }
    for (size_t line = 0; line < truth->lines; line++) {
        if (!truth->of_line[line])
            continue;
        const struct range *range = &truth->range[truth->of_line[line] - 1];
        if (!range->touched || (line == changed && !bar_moved(truth, text, line)))
            HOLDS(in_bars(&bars, range->first) && in_bars(&bars, range->last), text->text);
    }
    pci_bars_free(&bars);
}

static const char *const names[] = {
    "7.2-pc.mtree",
    "10.0-pc.mtree",
    "11.1-pc.mtree",
    "7.2-q35.mtree",
    "10.0-q35.mtree",
    "11.1-q35.mtree",
    "7.2-virt.mtree",
    "10.0-virt.mtree",
    "11.1-virt.mtree",
    "7.2-virt-secure.mtree",
    "10.0-virt-secure.mtree",
    "11.1-virt-secure.mtree",
    "7.2-pc.pci",
    "10.0-pc.pci",
    "11.1-pc.pci",
    "7.2-q35.pci",
    "10.0-q35.pci",
    "11.1-q35.pci",
    "7.2-virt.pci",
    "10.0-virt.pci",
    "11.1-virt.pci",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct truth whole[sizeof names / sizeof names[0]], truth;
    static struct damaged text;
    struct chooser chooser = {data, size};
    size_t which = choose(&chooser, sizeof names / sizeof names[0]);
    if (whole[which].lines == 0)
        load(&whole[which], names[which]);
    truth = whole[which];
    memcpy(text.text, truth.text, truth.length + 1);
    text.length = truth.length;
    size_t changed = damage(&text, &truth, &chooser);
    if (truth.pci)
        check_bars(&truth, &text, changed);
    else
        check_map(&truth, &text);
    return 0;
}
