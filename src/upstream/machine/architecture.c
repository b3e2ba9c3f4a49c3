/* The one table of architectures: which name has which width, byte order and ports. */
#include "upstream/machine/architecture.h"

#include <stddef.h>
#include <string.h>

/* Names: BFD's, as GDB target descriptions use them, QAPI's SysEmuTarget, and QEMU's programs'. The
 * byte order is the one that a machine starts with. */
static const struct architecture architectures[] = {
    {"i386:x86-64", 64, false, true, ORDER_EVERYWHERE},
    {"i386:x64-32", 32, false, true, ORDER_EVERYWHERE},
    {"i386", 32, false, true, ORDER_EVERYWHERE},
    {"x86_64", 64, false, true, ORDER_EVERYWHERE},
    {"aarch64", 64, false, false, ORDER_IN_QEMU},
    {"aarch64:ilp32", 32, false, false, ORDER_IN_QEMU},
    {"arm", 32, false, false, ORDER_IN_QEMU},
    {"armv7", 32, false, false, ORDER_IN_QEMU},
    {"iwmmxt", 32, false, false, ORDER_IN_QEMU},
    {"powerpc:common64", 64, true, false, ORDER_IN_QEMU},
    {"powerpc:common", 32, true, false, ORDER_IN_QEMU},
    {"powerpc", 32, true, false, ORDER_IN_QEMU},
    {"ppc", 32, true, false, ORDER_IN_QEMU},
    {"ppc64", 64, true, false, ORDER_IN_QEMU},
    {"riscv:rv32", 32, false, false, ORDER_EVERYWHERE},
    {"riscv:rv64", 64, false, false, ORDER_EVERYWHERE},
    {"riscv32", 32, false, false, ORDER_EVERYWHERE},
    {"riscv64", 64, false, false, ORDER_EVERYWHERE},
    {"s390:31-bit", 32, true, false, ORDER_EVERYWHERE},
    {"s390:64-bit", 64, true, false, ORDER_EVERYWHERE},
    {"s390x", 64, true, false, ORDER_EVERYWHERE},
    {"mips", 32, true, false, ORDER_OF_BUILD},
    {"mipsel", 32, false, false, ORDER_EVERYWHERE},
    {"mips64", 64, true, false, ORDER_OF_BUILD},
    {"mips64el", 64, false, false, ORDER_EVERYWHERE},
    {"sparc", 32, true, false, ORDER_EVERYWHERE},
    {"sparc64", 64, true, false, ORDER_EVERYWHERE},
    {"sparc:v9", 64, true, false, ORDER_EVERYWHERE},
    {"m68k", 32, true, false, ORDER_EVERYWHERE},
    {"alpha", 64, false, false, ORDER_EVERYWHERE},
    {"hppa", 32, true, false, ORDER_EVERYWHERE},
    {"loongarch64", 64, false, false, ORDER_EVERYWHERE},
    {"LoongArch", 64, false, false, ORDER_EVERYWHERE},
    {"Loongarch64", 64, false, false, ORDER_EVERYWHERE},
    {"microblaze", 32, true, false, ORDER_OF_MACHINE},
    {"microblazeel", 32, false, false, ORDER_EVERYWHERE},
    {"nios2", 32, false, false, ORDER_IN_QEMU},
    {"or1k", 32, true, false, ORDER_EVERYWHERE},
    {"rx", 32, false, false, ORDER_IN_QEMU},
    {"sh4", 32, false, false, ORDER_OF_BUILD},
    {"sh4eb", 32, true, false, ORDER_EVERYWHERE},
    {"tricore", 32, false, false, ORDER_EVERYWHERE},
    {"xtensa", 32, false, false, ORDER_OF_BUILD},
    {"xtensaeb", 32, true, false, ORDER_EVERYWHERE},
};

const struct architecture *architecture_find(const char *name)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(architectures[i].name, name) == 0)
            return &architectures[i];
    if (strncmp(name, "powerpc:", strlen("powerpc:")) == 0)
        return architecture_find("powerpc");
    if (strncmp(name, "m68k:", strlen("m68k:")) == 0)
        return architecture_find("m68k");
    return NULL;
}
