/* What an architecture's name says about its processors. */
#ifndef SB_UPSTREAM_MACHINE_ARCHITECTURE_H
#define SB_UPSTREAM_MACHINE_ARCHITECTURE_H

#include <stdbool.h>

/* Where the byte order of that name holds. */
enum architecture_order {
    ORDER_EVERYWHERE, /* there is no other */
    ORDER_IN_QEMU,    /* for the machines that QEMU emulates, as they start */
    ORDER_OF_BUILD,   /* for a QEMU that was built for exactly that name (qemu-system-mips) */
    ORDER_OF_MACHINE, /* the same, but newer ones can be told another for each machine */
};

struct architecture {
    const char *name; /* of a target description (<architecture>), or of QMP's query-target */
    unsigned bits;
    bool big_endian;
    bool ports; /* its processors have a port space */
    enum architecture_order order;
};

/* NULL when the name is not known. A name "powerpc:xyz" that is not known by itself counts as
 * "powerpc". */
const struct architecture *architecture_find(const char *name);

#endif
