/* What an architecture's name says about its processors. */
#ifndef SB_TARGET_ARCHITECTURE_H
#define SB_TARGET_ARCHITECTURE_H

#include <stdbool.h>

struct architecture {
    const char *name; /* of a target description (<architecture>), or of QMP's query-target */
    unsigned bits;
    bool big_endian;
    bool ports; /* its processors have a port space */
};

/* NULL when the name is not known. A name "powerpc:xyz" that is not known by itself counts as
 * "powerpc". */
const struct architecture *architecture_find(const char *name);

#endif
