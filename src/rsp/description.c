/* Hides how one document of a description includes another. */
#ifdef HAVE_CONFIG_H
#include <config.h> /* memmem */
#endif
#include "rsp/description.h"

#include <stdio.h>
#include <string.h>

const struct buffer *description_find(const struct description *description, const char *name)
{
    for (size_t i = 0; i < description->count; i++) {
        if (strcmp(description->documents[i].name, name) == 0)
            return &description->documents[i].text;
    }
    return NULL;
}

struct description_document *description_add(struct description *description, const char *name)
{
    if (description->count == DESCRIPTION_DOCUMENTS_MAX)
        return NULL;
    struct description_document *document = &description->documents[description->count++];
    *document = (struct description_document){0};
    snprintf(document->name, sizeof document->name, "%s", name);
    return document;
}

bool description_append(struct description *description, struct description_document *document,
                        const void *bytes, size_t length)
{
    if (length > DESCRIPTION_MOST - description->bytes ||
        !buffer_append(&document->text, bytes, length))
        return false;
    description->bytes += length;
    return true;
}

/* The file that the element at *at includes; advances *at behind it. False: there is none left. */
static bool next_include(const char **at, const char *end, char *name)
{
    static const char element[] = "<xi:include", attribute[] = "href=\"";

    for (;;) {
        const char *found = memmem(*at, (size_t)(end - *at), element, sizeof element - 1);
        if (!found)
            return false;
        *at = found + sizeof element - 1;
        const char *close = memchr(*at, '>', (size_t)(end - *at));
        if (!close)
            return false;
        const char *value = memmem(*at, (size_t)(close - *at), attribute, sizeof attribute - 1);
        *at = close;
        if (!value)
            continue;
        value += sizeof attribute - 1;
        const char *stop = memchr(value, '"', (size_t)(close - value));
        if (!stop || stop == value || stop - value >= DESCRIPTION_NAME_SIZE ||
            memchr(value, ':', (size_t)(stop - value)))
            continue;
        memcpy(name, value, (size_t)(stop - value));
        name[stop - value] = '\0';
        return true;
    }
}

bool description_missing(const struct description *description, char *name)
{
    for (size_t i = 0; i < description->count; i++) {
        const struct buffer *text = &description->documents[i].text;
        const char *at = (const char *)buffer_bytes(text), *end = at + text->length;
        while (next_include(&at, end, name)) {
            if (!description_find(description, name))
                return true;
        }
    }
    return false;
}

void description_clear(struct description *description)
{
    for (size_t i = 0; i < description->count; i++)
        buffer_free(&description->documents[i].text);
    description->count = 0;
    description->bytes = 0;
}
