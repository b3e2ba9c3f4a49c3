/* The registers of a target as its description (target.xml) lays them out: pure parsing, by expat.
 * Source: the GDB manual, "Target Descriptions". */
#ifndef SB_STUB_LAYOUT_H
#define SB_STUB_LAYOUT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAYOUT_REGISTERS_MAX 4096u
/* The longest document that is taken. */
#define LAYOUT_DOCUMENT_MAX ((size_t)1024 * 1024)
#define LAYOUT_INCLUDES_MAX 64u

struct layout_register {
    char name[24];
    unsigned number;
    size_t size;   /* bytes */
    size_t offset; /* in a g reply, of the registers before it; only true within the g reply */
};

/* Zero-initialise. */
struct layout {
    struct layout_register *registers; /* by number, each number once */
    size_t count;
    int pc; /* index of the program counter (the first of type code_ptr, or called pc), -1: unknown
             */
};

/* Gets the document called name ("target.xml"); false when there is none. */
typedef bool layout_fetch_fn(void *context, const char *name, struct buffer *document);

/* Read target.xml and what it includes. False when a document is missing, malformed or beyond the
 * limits: the layout is empty then. fetch may suspend. */
bool layout_read(struct layout *layout, layout_fetch_fn *fetch, void *context);
void layout_free(struct layout *layout);
/* The register of that number, NULL: none. */
const struct layout_register *layout_find(const struct layout *layout, uint64_t number);
/* How many registers, in order of their numbers, a g reply of that many bytes holds, exactly.
 * 0: the layout does not explain that length. */
size_t layout_cover(const struct layout *layout, size_t bytes);

#endif
