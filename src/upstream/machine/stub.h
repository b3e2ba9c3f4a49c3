/* What attaching has found out about the GDB stub upstream and the machine behind it. */
#ifndef SB_UPSTREAM_MACHINE_STUB_H
#define SB_UPSTREAM_MACHINE_STUB_H

#include "rsp/description.h"
#include "rsp/thread_id.h"
#include "upstream/link/monitor.h"
#include "upstream/link/rsp_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How wide the virtual addresses of the processors are. */
enum stub_width {
    STUB_WIDTH_64,
    STUB_WIDTH_32,
    STUB_WIDTH_BY_MODE, /* x86-64: 64 bits while EFER.LMA is set, else 32 */
};

enum byte_order { BYTE_ORDER_UNKNOWN, BYTE_ORDER_LITTLE, BYTE_ORDER_BIG };

struct stub {
    struct rsp_client *rsp;
    struct monitor monitor; /* its own, and QMP where that is there; not touched by an attach */
    bool qemu;              /* QEMU's own, and behind it a machine; else a process */
    bool has_monitor;       /* behind qRcmd */
    bool has_physical;      /* physical memory, and a map of it */
    bool vcont;             /* vCont;c;s */
    bool binary;            /* the X packet */
    bool x86;               /* of any width */
    bool known;             /* the architecture is: width is true */
    enum byte_order order;
    enum byte_order processor_order; /* as the processor, or the process, itself says */
    bool processor_asked;
    enum stub_width width;
    size_t read_most;  /* bytes that one m packet may ask for */
    uint64_t *threads; /* RSP thread id of each processor; on QEMU its number + 1 */
    unsigned processors;
    char architecture[64];
    char build[64]; /* what QEMU was built for: "mipsel"; "" where it does not say */
    struct description description;
    char *features;   /* its reply to our qSupported, as it came */
    char *stop;       /* its stop reply when we attached */
    char status[32];  /* QEMU's word for its run state when we attached: "paused", "prelaunch" */
    char version[64]; /* "QEMU 7.2.22", "GDB stub" */
};

/* The thread whose view of memory a processor's virtual accesses use: that of a QEMU processor. The
 * threads of a process share their memory, and come and go: any. */
static inline uint64_t stub_memory_thread(const struct stub *stub, unsigned cpu)
{
    return stub->qemu && cpu < stub->processors ? stub->threads[cpu] : 0;
}

/* Does the target run, as far as its stub is concerned? */
static inline bool stub_running(const struct stub *stub)
{
    return rsp_client_running(stub->rsp);
}

/* For rsp_operation.monitor_cpu. */
static inline unsigned stub_monitor_cpu(const struct stub *stub, unsigned cpu)
{
    return stub->qemu && cpu < stub->processors ? (unsigned)stub->threads[cpu] : 0;
}

#endif
