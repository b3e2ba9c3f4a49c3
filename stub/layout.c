/* A description read by expat, with what it includes. */
#include "stub/layout.h"

#include <expat.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct layout *layout;
    layout_fetch_fn *fetch;
    void *context;
    XML_Parser parser; /* of the document being read */
    size_t capacity;
    unsigned next;     /* the number of a register that names none */
    unsigned included; /* documents so far */
    unsigned depth;
    bool failed;
    bool pc_by_type;
};

static bool read_document(struct reading *reading, const char *name);

static const char *attribute(const XML_Char **attributes, const char *name)
{
    for (; attributes[0]; attributes += 2) {
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    }
    return NULL;
}

static bool number(const char *text, unsigned most, unsigned *value)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long found = strtoul(text, &end, 10);
    *value = (unsigned)found;
    return *end == '\0' && found <= most;
}

static struct layout_register *grow(struct reading *reading)
{
    struct layout *layout = reading->layout;

    if (layout->count == reading->capacity) {
        size_t capacity = reading->capacity ? 2 * reading->capacity : 64;
        struct layout_register *larger =
            capacity > LAYOUT_REGISTERS_MAX ? NULL
                                            : realloc(layout->registers, capacity * sizeof *larger);
        if (!larger)
            return NULL;
        layout->registers = larger;
        reading->capacity = capacity;
    }
    return &layout->registers[layout->count++];
}

static void add_register(struct reading *reading, const XML_Char **attributes)
{
    const char *name = attribute(attributes, "name"), *bits = attribute(attributes, "bitsize");
    const char *type = attribute(attributes, "type"), *own = attribute(attributes, "regnum");
    unsigned size, where = reading->next;

    if (!name || !bits || !number(bits, 65536, &size) || size == 0 ||
        (own && !number(own, 65535, &where))) {
        reading->failed = true;
        return;
    }
    struct layout_register *new = grow(reading);
    if (!new) {
        reading->failed = true;
        return;
    }
    reading->next = where + 1;
    *new = (struct layout_register){.number = where, .size = (size + 7) / 8};
    strncpy(new->name, name, sizeof new->name - 1);
    if (type && strcmp(type, "code_ptr") == 0 && !reading->pc_by_type) {
        reading->layout->pc = (int)where;
        reading->pc_by_type = true;
    } else if (reading->layout->pc < 0 && strcmp(name, "pc") == 0) {
        reading->layout->pc = (int)where;
    }
}

static void XMLCALL element(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;

    if (reading->failed)
        return;
    if (strcmp(name, "reg") == 0) {
        add_register(reading, attributes);
    } else if (strcmp(name, "xi:include") == 0) {
        const char *href = attribute(attributes, "href");
        XML_Parser outer = reading->parser;
        if (!href || !read_document(reading, href))
            reading->failed = true;
        reading->parser = outer;
    }
}

/* No entities: descriptions need none, and they are what makes small documents large. */
static void XMLCALL entity(void *context, const XML_Char *name, int parameter,
                           const XML_Char *value, int length, const XML_Char *base,
                           const XML_Char *system, const XML_Char *public, const XML_Char *notation)
{
    struct reading *reading = context;
    (void)name, (void)parameter, (void)value, (void)length;
    (void)base, (void)system, (void)public, (void)notation;
    reading->failed = true;
    XML_StopParser(reading->parser, XML_FALSE);
}

static bool read_document(struct reading *reading, const char *name)
{
    struct buffer document = {0};
    bool good = false;

    /* Depth is bounded for the stack of a task; a document may include itself. */
    if (reading->depth == 4 || ++reading->included > LAYOUT_INCLUDES_MAX)
        return false;
    reading->depth++;
    if (reading->fetch(reading->context, name, &document) &&
        document.length <= LAYOUT_DOCUMENT_MAX) {
        XML_Parser parser = XML_ParserCreate(NULL);
        if (parser) {
            reading->parser = parser;
            XML_SetUserData(parser, reading);
            XML_SetStartElementHandler(parser, element);
            XML_SetEntityDeclHandler(parser, entity);
            good = XML_Parse(parser, (const char *)buffer_bytes(&document), (int)document.length,
                             1) == XML_STATUS_OK &&
                   !reading->failed;
            XML_ParserFree(parser);
        }
    }
    buffer_free(&document);
    reading->depth--;
    return good;
}

static int by_number(const void *a, const void *b)
{
    const struct layout_register *one = a, *other = b;
    return (one->number > other->number) - (one->number < other->number);
}

bool layout_read(struct layout *layout, layout_fetch_fn *fetch, void *context)
{
    struct reading reading = {.layout = layout, .fetch = fetch, .context = context};

    *layout = (struct layout){.pc = -1};
    if (!read_document(&reading, "target.xml") || layout->count == 0)
        goto fail;
    qsort(layout->registers, layout->count, sizeof *layout->registers, by_number);
    size_t offset = 0;
    int pc = layout->pc;
    layout->pc = -1;
    for (size_t i = 0; i < layout->count; i++) {
        struct layout_register *each = &layout->registers[i];
        if (i > 0 && each->number == each[-1].number)
            goto fail;
        each->offset = offset;
        offset += each->size;
        if (pc == (int)each->number)
            layout->pc = (int)i;
    }
    return true;
fail:
    layout_free(layout);
    return false;
}

void layout_free(struct layout *layout)
{
    free(layout->registers);
    *layout = (struct layout){.pc = -1};
}

const struct layout_register *layout_find(const struct layout *layout, uint64_t number)
{
    size_t low = 0, high = layout->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (layout->registers[middle].number == number)
            return &layout->registers[middle];
        if (layout->registers[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t layout_cover(const struct layout *layout, size_t bytes)
{
    for (size_t i = 0; i < layout->count; i++) {
        const struct layout_register *each = &layout->registers[i];
        if (each->offset + each->size == bytes)
            return i + 1;
    }
    return 0;
}
