/* What can be believed of `info mtree -f`. The text is made for people: lines may look otherwise in
 * another version, or be damaged. What is hidden here is how little each costs. */
#include "upstream/machine/flat_view.h"

#include <stdlib.h>
#include <string.h>

/* Digits of an address in a range, and how many in a row may be what is left of one. */
#define ADDRESS_DIGITS 16
#define ADDRESS_TRACE  8

enum place {
    BETWEEN, /* behind an empty line, or at the beginning */
    HEADER,  /* in a view, before its ranges */
    RANGES,
};

struct reader {
    struct flat_view *view;
    struct text_notes *notes;
    const char *name;
    enum place place;
    bool ours;                  /* in the view of that name, or behind it */
    bool elsewhere;             /* another view has the root that ours should have */
    bool empty;                 /* "No rendered FlatView" in ours */
    unsigned views, found;      /* views begun; the one that ours is, from 1 */
    struct text root, rendered; /* of ours: what its address space names, and the view */
};

static void distrust(struct reader *reader, const char *why)
{
    if (!reader->view->distrusted)
        text_note(reader->notes, "the memory map is not believed: %s", why);
    reader->view->distrusted = true;
}

static void distrust_line(struct reader *reader, const struct text *line)
{
    char shown[TEXT_EXCERPT_SIZE];
    text_excerpt(line->start, line->length, shown);
    text_note(reader->notes,
              "the memory map is not believed: its line '%s' is not understood, nor its range",
              shown);
    reader->view->distrusted = true;
}

/* Lines of ranges */

/* What the map calls a kind of range. "container" is what QEMU 11 calls the root of an address
 * space where nothing is assigned: in the map of memory nobody answers there. */
static bool kind_parse(struct text *line, struct target_region *region)
{
    static const struct {
        const char *name;
        enum region_kind kind;
        bool flash;
    } kinds[] = {
        /* longer names first: "ram" is the beginning of "ramd" */
        {"ramd", REGION_DEVICE, false}, /* RAM of a real device (VFIO): widths matter there */
        {"ram", REGION_RAM, false},        {"romd", REGION_ROM, true},
        {"rom", REGION_ROM, false},        {"i/o", REGION_DEVICE, false},
        {"container", REGION_NONE, false},
    };
    text_word(line, "nv-");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (text_word(line, kinds[i].name)) {
            region->kind = kinds[i].kind;
            region->flash = kinds[i].flash;
            return true;
        }
    }
    return false;
}

/* The name goes up to " @OFFSET", " owner:" or " KVM"; it may hold spaces and '@' itself. */
static size_t name_length(const struct text *rest)
{
    for (size_t i = 0; i < rest->length; i++) {
        struct text tail = {rest->start + i, rest->length - i};
        uint64_t offset;
        if (rest->start[i] != ' ')
            continue;
        if (text_word(&tail, " owner:"))
            return i;
        if (text_word(&tail, " KVM") && tail.length == 0)
            return i;
        tail = (struct text){rest->start + i, rest->length - i};
        if (text_word(&tail, " @") && text_hex(&tail, ADDRESS_DIGITS, &offset) &&
            (tail.length == 0 || tail.start[0] == ' '))
            return i;
    }
    return rest->length;
}

static void name_take(struct target_region *region, const struct text *rest)
{
    size_t length = name_length(rest);
    if (length >= sizeof region->name)
        length = sizeof region->name - 1;
    memcpy(region->name, rest->start, length);
    region->name[length] = '\0';
    /* "apic-msi", "kvm-apic-msi", "xen-apic-msi": the local APIC belongs to the processor that
     * accesses it, and neither a stub's nor a monitor's access is any processor's */
    static const char apic[] = "apic-msi";
    region->unreachable = region->kind == REGION_DEVICE && length >= sizeof apic - 1 &&
                          strcmp(region->name + length - (sizeof apic - 1), apic) == 0;
}

/* START-END, with nothing like a digit around it. */
static bool bounds_parse(struct text *line, uint64_t *first, uint64_t *last)
{
    struct text rest = *line;
    if (!text_hex(&rest, ADDRESS_DIGITS, first) || !text_word(&rest, "-") ||
        !text_hex(&rest, ADDRESS_DIGITS, last) || *first > *last)
        return false;
    *line = rest;
    return true;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Is there another range within this line: two lines that have become one? */
static bool holds_range(struct text line)
{
    for (; line.length > 0; line.start++, line.length--) {
        struct text rest = line;
        uint64_t first, last;
        if (line.start[0] != '(' && !is_hex(line.start[0]))
            continue;
        if (text_word(&rest, "(prio") || bounds_parse(&rest, &first, &last))
            return true;
    }
    return false;
}

static bool range_parse(struct text line, struct target_region *region)
{
    unsigned priority;
    if (!text_word(&line, "  ") || !bounds_parse(&line, &region->first, &region->last) ||
        !text_word(&line, " (prio "))
        return false;
    text_word(&line, "-");
    if (!text_decimal(&line, &priority) || !text_word(&line, ", ") || !kind_parse(&line, region) ||
        !text_word(&line, "): ") || holds_range(line))
        return false;
    name_take(region, &line);
    return true;
}

static void make_unknown(struct target_region *region)
{
    *region = (struct target_region){
        .first = region->first, .last = region->last, .kind = REGION_DEVICE, .unknown = true};
    strcpy(region->name, "unknown range");
}

/* False: out of memory. */
static bool range_add(struct reader *reader, const struct target_region *region)
{
    struct flat_view *view = reader->view;
    if (view->count >= FLAT_VIEW_RANGES_MAX) {
        distrust(reader, "there are too many ranges");
        return true;
    }
    if ((view->count & (view->count - 1)) == 0) { /* capacities are powers of two */
        size_t capacity = view->count ? 2 * view->count : 1;
        struct target_region *ranges = realloc(view->ranges, capacity * sizeof *ranges);
        if (!ranges)
            return false;
        view->ranges = ranges;
    }
    view->ranges[view->count++] = *region;
    return true;
}

/* The next run of hexadecimal digits that may be an address, or a piece of one. */
static bool next_trace(const struct text *line, size_t *at, size_t *length)
{
    for (*at += *length; *at < line->length; *at += *length ? *length : 1) {
        for (*length = 0; *at + *length < line->length && is_hex(line->start[*at + *length]);)
            (*length)++;
        if (*length >= ADDRESS_TRACE)
            return true;
    }
    return false;
}

static bool beside_dash(const struct text *line, size_t at, size_t length)
{
    return (at > 0 && line->start[at - 1] == '-') ||
           (at + length < line->length && line->start[at + length] == '-');
}

static unsigned count_words(struct text line, const char *word)
{
    unsigned count = 0;
    for (; line.length > 0; line.start++, line.length--) {
        struct text rest = line;
        count += text_word(&rest, word);
    }
    return count;
}

/* The ranges that a line names, as unknown ones; how many. -1: there are traces of others.
 * -2: out of memory. */
static int ranges_named(struct reader *reader, const struct text *line)
{
    size_t at = 0, length = 0;
    int found = 0;
    while (next_trace(line, &at, &length)) {
        struct text rest = {line->start + at, line->length - at};
        struct target_region region = {0};
        if (!beside_dash(line, at, length))
            continue;
        if (!bounds_parse(&rest, &region.first, &region.last) ||
            (rest.length > 0 && is_hex(rest.start[0])))
            return -1;
        length = 2 * ADDRESS_DIGITS + 1;
        make_unknown(&region);
        if (!range_add(reader, &region))
            return -2;
        found++;
    }
    return count_words(*line, "(prio") > (unsigned)found ? -1 : found;
}

/* A line that is not understood costs the ranges that it names, or all of them. */
static bool unknown_line(struct reader *reader, const struct text *line)
{
    char shown[TEXT_EXCERPT_SIZE];
    int found = ranges_named(reader, line);
    if (found == -2)
        return false;
    if (found <= 0)
        distrust_line(reader, line);
    else
        text_note(reader->notes,
                  "the memory map's line '%s' is not understood: its range is unknown",
                  text_excerpt(line->start, line->length, shown));
    return true;
}

/* Lines around them */

/* Is this ` AS "NAME", root: …` of that address space? root is what is left. */
static bool is_address_space(struct text *line, const char *name)
{
    return text_word(line, " AS \"") && text_word(line, name) && text_word(line, "\", root: ");
}

/* A view begins; the one before should have ended with an empty line. */
static void view_begins(struct reader *reader)
{
    if (reader->ours && reader->place == RANGES)
        distrust(reader, "its list does not end where it should");
    reader->ours = false;
    reader->place = HEADER;
    reader->views++;
}

static void address_space_line(struct reader *reader, struct text line)
{
    bool late = reader->place == RANGES;
    if (reader->place != HEADER)
        view_begins(reader);
    if (!is_address_space(&line, reader->name))
        return;
    if (late || (reader->found && reader->found != reader->views))
        distrust(reader, "its address space is listed twice, or in the middle");
    reader->found = reader->views;
    reader->root = line;
    reader->ours = true;
}

static void root_line(struct reader *reader, struct text line)
{
    if (reader->place != HEADER)
        view_begins(reader);
    if (reader->ours)
        reader->rendered = line;
}

/* A line of our view that begins nothing. */
static bool inner_line(struct reader *reader, const struct text *line)
{
    struct target_region region = {0};
    struct text rest = *line;
    size_t at = 0, length = 0;
    if (text_word(&rest, "  No rendered FlatView") && rest.length == 0) {
        reader->empty = true;
        reader->place = RANGES;
        return true;
    }
    if (range_parse(*line, &region)) {
        reader->place = RANGES;
        return range_add(reader, &region);
    }
    /* Before and behind the ranges other versions may say something else. */
    if (reader->place != RANGES && !next_trace(line, &at, &length) &&
        !(line->length > 1 && line->start[0] == ' ' && line->start[1] == ' '))
        return true;
    return unknown_line(reader, line);
}

static bool line_take(struct reader *reader, const struct text *line)
{
    struct text rest = *line;
    if (line->length == 0)
        reader->place = BETWEEN;
    else if (text_word(&rest, "FlatView #"))
        view_begins(reader);
    else if (text_word(&rest, " AS \""))
        address_space_line(reader, *line);
    else if (text_word(&rest, " Root memory region: "))
        root_line(reader, rest);
    else if (reader->ours)
        return inner_line(reader, line);
    else if (reader->place == HEADER && text_word(&rest, "  "))
        reader->place = RANGES;
    return true;
}

/* Our view has another root than its address space, and another view has that one. */
static void check_root(struct reader *reader, const char *text)
{
    struct text line;
    if (text_same(&reader->root, &reader->rendered))
        return;
    while (text_line(&text, &line) > 0)
        if (text_word(&line, " Root memory region: ") && text_same(&line, &reader->root))
            reader->elsewhere = true;
    if (reader->elsewhere)
        distrust(reader, "its address space is listed with another's ranges");
}

/* Ranges that name the same addresses */

static int range_compare(const void *left, const void *right)
{
    const struct target_region *a = left, *b = right;
    if (a->first != b->first)
        return a->first > b->first ? 1 : -1;
    return (a->last > b->last) - (a->last < b->last);
}

static bool range_same(const struct target_region *a, const struct target_region *b)
{
    return a->first == b->first && a->last == b->last && a->kind == b->kind &&
           a->flash == b->flash && a->unknown == b->unknown && strcmp(a->name, b->name) == 0;
}

/* Sort; what lies over one another becomes one range, unknown unless all say the same. */
static void settle(struct reader *reader)
{
    struct flat_view *view = reader->view;
    size_t count = 0;
    if (view->count > 1)
        qsort(view->ranges, view->count, sizeof *view->ranges, range_compare);
    for (size_t i = 0; i < view->count; i++) {
        struct target_region *range = &view->ranges[i];
        struct target_region *before = count ? &view->ranges[count - 1] : NULL;
        if (!before || before->last < range->first) {
            view->ranges[count++] = *range;
            continue;
        }
        if (range_same(before, range))
            continue;
        text_note(reader->notes, "the memory map names addresses twice ('%s', '%s'): unknown",
                  before->name, range->name);
        if (before->last < range->last)
            before->last = range->last;
        make_unknown(before);
    }
    view->count = count;
}

bool flat_view_parse(struct flat_view *view, const char *text, const char *address_space,
                     struct text_notes *notes)
{
    struct reader reader = {.view = view, .notes = notes, .name = address_space};
    const char *cursor = text;
    struct text line;
    int more;
    while ((more = text_line(&cursor, &line)) > 0)
        if (!line_take(&reader, &line))
            return false;
    if (!reader.found)
        distrust(&reader, "its address space is not listed");
    else if (more < 0 || reader.place != BETWEEN)
        distrust(&reader, "the text is cut short");
    else if (reader.empty == (view->count > 0))
        distrust(&reader, "its list is empty and is not");
    if (reader.found)
        check_root(&reader, text);
    settle(&reader);
    return true;
}

void flat_view_free(struct flat_view *view)
{
    free(view->ranges);
    *view = (struct flat_view){0};
}
