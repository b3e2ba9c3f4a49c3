/* Names of the values of <spacebridge/hresult.h>, for programs of this project: each stands here
 * and nowhere else. Not installed. */
#ifndef SPACEBRIDGE_NAMES_H
#define SPACEBRIDGE_NAMES_H

#include <spacebridge/hresult.h>

#include <stddef.h>
#include <stdint.h>

/* Each calls NAME(value, text): text is what people read and type. */
#define NAMES_HRESULT                                                                              \
    NAME(S_OK, "S_OK")                                                                             \
    NAME(S_FALSE, "S_FALSE")                                                                       \
    NAME(E_NOTIMPL, "E_NOTIMPL")                                                                   \
    NAME(E_FAIL, "E_FAIL")                                                                         \
    NAME(E_UNEXPECTED, "E_UNEXPECTED")                                                             \
    NAME(E_ACCESSDENIED, "E_ACCESSDENIED")                                                         \
    NAME(E_OUTOFMEMORY, "E_OUTOFMEMORY")                                                           \
    NAME(E_INVALIDARG, "E_INVALIDARG")                                                             \
    NAME(SB_ERROR_WRITE_FAULT, "ERROR_WRITE_FAULT")                                                \
    NAME(SB_ERROR_READ_FAULT, "ERROR_READ_FAULT")                                                  \
    NAME(SB_STATUS_DATATYPE_MISALIGNMENT, "STATUS_DATATYPE_MISALIGNMENT")                          \
    NAME(SB_STATUS_NO_PAGEFILE, "STATUS_NO_PAGEFILE")

#define NAMES_INTERFACE_TYPE                                                                       \
    NAME(SB_INTERFACE_INTERNAL, "Internal")                                                        \
    NAME(SB_INTERFACE_ISA, "Isa")                                                                  \
    NAME(SB_INTERFACE_EISA, "Eisa")                                                                \
    NAME(SB_INTERFACE_MICRO_CHANNEL, "MicroChannel")                                               \
    NAME(SB_INTERFACE_TURBO_CHANNEL, "TurboChannel")                                               \
    NAME(SB_INTERFACE_PCI_BUS, "PCIBus")                                                           \
    NAME(SB_INTERFACE_VME_BUS, "VMEBus")                                                           \
    NAME(SB_INTERFACE_NU_BUS, "NuBus")                                                             \
    NAME(SB_INTERFACE_PCMCIA_BUS, "PCMCIABus")                                                     \
    NAME(SB_INTERFACE_C_BUS, "CBus")                                                               \
    NAME(SB_INTERFACE_MPI_BUS, "MPIBus")                                                           \
    NAME(SB_INTERFACE_MPSA_BUS, "MPSABus")                                                         \
    NAME(SB_INTERFACE_PROCESSOR_INTERNAL, "ProcessorInternal")                                     \
    NAME(SB_INTERFACE_INTERNAL_POWER_BUS, "InternalPowerBus")                                      \
    NAME(SB_INTERFACE_PNP_ISA_BUS, "PNPISABus")                                                    \
    NAME(SB_INTERFACE_PNP_BUS, "PNPBus")                                                           \
    NAME(SB_INTERFACE_VMCS, "Vmcs")                                                                \
    NAME(SB_INTERFACE_ACPI_BUS, "ACPIBus")

#define NAMES_PHYSICAL_FLAGS                                                                       \
    NAME(DEBUG_PHYSICAL_DEFAULT, "default")                                                        \
    NAME(DEBUG_PHYSICAL_CACHED, "cached")                                                          \
    NAME(DEBUG_PHYSICAL_UNCACHED, "uncached")                                                      \
    NAME(DEBUG_PHYSICAL_WRITE_COMBINED, "write-combined")

/* NULL: it has no name here. */
static inline const char *hresult_name(HRESULT hr)
{
    switch (hr) {
#define NAME(value, text)                                                                          \
    case value:                                                                                    \
        return text;
        NAMES_HRESULT
#undef NAME
    default:
        return NULL;
    }
}

/* NULL: it is no INTERFACE_TYPE of a bus. */
static inline const char *interface_type_name(int32_t type)
{
    switch (type) {
#define NAME(value, text)                                                                          \
    case value:                                                                                    \
        return text;
        NAMES_INTERFACE_TYPE
#undef NAME
    default:
        return NULL;
    }
}

/* NULL: there are no such flags. */
static inline const char *physical_flags_name(uint32_t flags)
{
    switch (flags) {
#define NAME(value, text)                                                                          \
    case value:                                                                                    \
        return text;
        NAMES_PHYSICAL_FLAGS
#undef NAME
    default:
        return NULL;
    }
}

/* The same as dbgeng names them. */
static inline const char *physical_flags_constant(uint32_t flags)
{
    switch (flags) {
#define NAME(value, text)                                                                          \
    case value:                                                                                    \
        return #value;
        NAMES_PHYSICAL_FLAGS
#undef NAME
    default:
        return NULL;
    }
}

#endif
