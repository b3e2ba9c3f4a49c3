#include "target/architecture.h"

#include <stddef.h>
#include <string.h>

/* Names: BFD's, as GDB target descriptions use them, and QAPI's SysEmuTarget. The byte order is
 * the one that a machine starts with. */
static const struct architecture architectures[] = {
    {"i386:x86-64", 64, false, true},
    {"i386:x64-32", 32, false, true},
    {"i386", 32, false, true},
    {"x86_64", 64, false, true},
    {"aarch64", 64, false, false},
    {"aarch64:ilp32", 32, false, false},
    {"arm", 32, false, false},
    {"armv7", 32, false, false},
    {"iwmmxt", 32, false, false},
    {"powerpc:common64", 64, true, false},
    {"powerpc:common", 32, true, false},
    {"powerpc", 32, true, false},
    {"ppc", 32, true, false},
    {"ppc64", 64, true, false},
    {"riscv:rv32", 32, false, false},
    {"riscv:rv64", 64, false, false},
    {"riscv32", 32, false, false},
    {"riscv64", 64, false, false},
    {"s390:31-bit", 32, true, false},
    {"s390:64-bit", 64, true, false},
    {"s390x", 64, true, false},
    {"mips", 32, true, false},
    {"mipsel", 32, false, false},
    {"mips64", 64, true, false},
    {"mips64el", 64, false, false},
    {"sparc", 32, true, false},
    {"sparc64", 64, true, false},
    {"sparc:v9", 64, true, false},
    {"m68k", 32, true, false},
    {"alpha", 64, false, false},
    {"hppa", 32, true, false},
    {"loongarch64", 64, false, false},
    {"LoongArch", 64, false, false},
    {"Loongarch64", 64, false, false},
    {"microblaze", 32, true, false},
    {"microblazeel", 32, false, false},
    {"nios2", 32, false, false},
    {"or1k", 32, true, false},
    {"rx", 32, false, false},
    {"sh4", 32, false, false},
    {"sh4eb", 32, true, false},
    {"tricore", 32, false, false},
    {"xtensa", 32, false, false},
    {"xtensaeb", 32, true, false},
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
