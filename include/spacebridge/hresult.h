/* HRESULTs, flags and enumerations of dbgeng's data spaces that spacebridge speaks, with dbgeng's
 * names and values. Included by <spacebridge/spacebridge.h>; carries no function. */
#ifndef SPACEBRIDGE_HRESULT_H
#define SPACEBRIDGE_HRESULT_H

#include <stdint.h>

#ifndef _HRESULT_DEFINED
#define _HRESULT_DEFINED
typedef int32_t HRESULT;
#endif

#ifndef SUCCEEDED
#define SUCCEEDED(hr) ((HRESULT)(hr) >= 0)
#define FAILED(hr)    ((HRESULT)(hr) < 0)
#endif

#ifndef S_OK
#define S_OK           ((HRESULT)0)
#define S_FALSE        ((HRESULT)1)
#define E_NOTIMPL      ((HRESULT)0x80004001)
#define E_FAIL         ((HRESULT)0x80004005)
#define E_UNEXPECTED   ((HRESULT)0x8000FFFF)
#define E_ACCESSDENIED ((HRESULT)0x80070005)
#define E_OUTOFMEMORY  ((HRESULT)0x8007000E)
#define E_INVALIDARG   ((HRESULT)0x80070057)
#endif
/* HRESULT_FROM_WIN32(ERROR_WRITE_FAULT 29), HRESULT_FROM_WIN32(ERROR_READ_FAULT 30) */
#define SB_ERROR_WRITE_FAULT ((HRESULT)0x8007001D)
#define SB_ERROR_READ_FAULT  ((HRESULT)0x8007001E)
/* HRESULT_FROM_NT(STATUS_DATATYPE_MISALIGNMENT), HRESULT_FROM_NT(STATUS_NO_PAGEFILE) */
#define SB_STATUS_DATATYPE_MISALIGNMENT ((HRESULT)0x90000002)
#define SB_STATUS_NO_PAGEFILE           ((HRESULT)0xD0000147)

/* WritePhysical2 / ReadPhysical2 Flags (dbgeng.h DEBUG_PHYSICAL_*) */
#define DEBUG_PHYSICAL_DEFAULT        0u
#define DEBUG_PHYSICAL_CACHED         1u
#define DEBUG_PHYSICAL_UNCACHED       2u
#define DEBUG_PHYSICAL_WRITE_COMBINED 3u

/* DEBUG_STATUS_* of Get/SetExecutionStatus */
#define DEBUG_STATUS_GO        1u
#define DEBUG_STATUS_STEP_INTO 5u
#define DEBUG_STATUS_BREAK     6u

/* Interest mask and arguments of the event callbacks (dbgeng.h DEBUG_EVENT_*, DEBUG_CES_*,
 * DEBUG_CDS_*) */
#define DEBUG_EVENT_CHANGE_DEBUGGEE_STATE 0x00000400u
#define DEBUG_EVENT_CHANGE_ENGINE_STATE   0x00000800u
#define DEBUG_CES_EXECUTION_STATUS        0x00000010u
#define DEBUG_CDS_ALL                     0xffffffffu
#define DEBUG_STATUS_NO_DEBUGGEE          7u

/* INTERFACE_TYPE (wdm.h), for ReadIo and WriteIo */
enum spacebridge_interface_type {
    SB_INTERFACE_UNDEFINED = -1,
    SB_INTERFACE_INTERNAL = 0,
    SB_INTERFACE_ISA = 1,
    SB_INTERFACE_EISA = 2,
    SB_INTERFACE_MICRO_CHANNEL = 3,
    SB_INTERFACE_TURBO_CHANNEL = 4,
    SB_INTERFACE_PCI_BUS = 5,
    SB_INTERFACE_VME_BUS = 6,
    SB_INTERFACE_NU_BUS = 7,
    SB_INTERFACE_PCMCIA_BUS = 8,
    SB_INTERFACE_C_BUS = 9,
    SB_INTERFACE_MPI_BUS = 10,
    SB_INTERFACE_MPSA_BUS = 11,
    SB_INTERFACE_PROCESSOR_INTERNAL = 12,
    SB_INTERFACE_INTERNAL_POWER_BUS = 13,
    SB_INTERFACE_PNP_ISA_BUS = 14,
    SB_INTERFACE_PNP_BUS = 15,
    SB_INTERFACE_VMCS = 16,
    SB_INTERFACE_ACPI_BUS = 17,
    SB_INTERFACE_MAXIMUM = 18
};

#endif
