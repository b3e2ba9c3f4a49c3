/* The stub's description of the target (target.xml and what it includes), as fetched when we
 * attached: it must be at hand while the target runs, when nothing may be asked. */
#ifndef SB_RSP_DESCRIPTION_H
#define SB_RSP_DESCRIPTION_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define DESCRIPTION_DOCUMENTS_MAX 32
#define DESCRIPTION_NAME_SIZE     96
/* Bytes of all documents together. */
#define DESCRIPTION_MOST ((size_t)1024 * 1024)

struct description_document {
    char name[DESCRIPTION_NAME_SIZE]; /* "target.xml" */
    struct buffer text;
};

/* Zero-initialise. */
struct description {
    struct description_document documents[DESCRIPTION_DOCUMENTS_MAX];
    size_t count;
    size_t bytes;
};

/* The document of that name, NULL: there is none. */
const struct buffer *description_find(const struct description *description, const char *name);
/* Begin a document; NULL when there are too many. Its text is appended by description_append. */
struct description_document *description_add(struct description *description, const char *name);
/* False when out of memory, or beyond DESCRIPTION_MOST. */
bool description_append(struct description *description, struct description_document *document,
                        const void *bytes, size_t length);
/* The first include (by <xi:include href="…"/>) of any document that is not there yet, into name
 * (DESCRIPTION_NAME_SIZE bytes). False: nothing is missing. */
bool description_missing(const struct description *description, char *name);
void description_clear(struct description *description);

#endif
