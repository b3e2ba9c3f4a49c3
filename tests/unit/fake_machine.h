/* A machine of 64 KiB behind a GDB stub and a QMP monitor that speak as QEMU's do, as far as the
 * upstream target asks: two processors with a page table each, RAM, ROM, a device, a hole. With
 * qemu off it is a plain process. With a root it has page tables of x86-64 in its memory instead,
 * the same for both processors, and more RAM to put them in. For tests; runs as tasks on the same
 * loop. */
#ifndef SB_TESTS_FAKE_MACHINE_H
#define SB_TESTS_FAKE_MACHINE_H

#include "base/endpoint.h"
#include "base/task.h"
#include "fake_stub.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define MACHINE_SIZE      0x10000u
#define MACHINE_ROM       0xd000u /* one page */
#define MACHINE_DEVICE    0xe000u /* one page; above it is a hole */
#define MACHINE_HOLE      0xf000u
#define MACHINE_PAGES     16u
#define MACHINE_UNMAPPED  0xff
#define MACHINE_CPUS      2u
#define MACHINE_HIGH      0x10000000u /* more RAM: every page of it shows what is at MACHINE_SHOWN */
#define MACHINE_HIGH_SIZE 0x1000000u
#define MACHINE_SHOWN     0xc000u
#define MACHINE_RANGES    UINT64_C(0x200000000)
#define MACHINE_LOG_MOST  4096u
#define MACHINE_NOTE_SIZE 64u

struct fake_machine {
    struct ev_loop *loop;
    char directory[64];
    struct endpoint gdb, qmp;
    int gdb_listener, qmp_listener;
    struct fake_stub stub;
    int qmp_fd;
    bool closing;

    /* what it is; set before it is attached to */
    bool qemu, binary, long_mode, acks;
    bool silent_stops;         /* QEMU from 8.1: a stop is told only to whoever asked for it */
    bool devices;              /* the device refuses single bytes, and the hole everything: */
    bool quiet_physical;       /* by physical addresses without a word, */
    bool quiet_virtual_writes; /* and virtual writes reach neither, also without a word */
    size_t read_most;          /* the longest reply to m, in bytes; 0: as asked */
    const char *architecture;
    const char *version, *status; /* its monitor's words; status: while it is halted */

    /* as QEMU, it takes no notice of what is no packet while it is halted: an interrupt that comes
     * too late, what is left of a packet that has halted it. Else that fails the test */
    bool patient;

    unsigned ranges; /* that many more in its map, from MACHINE_RANGES on */
    uint64_t root;   /* of its page tables, in its memory; 0: pages says */

    /* how it stands */
    uint8_t memory[MACHINE_SIZE];
    uint8_t pages[MACHINE_CPUS][MACHINE_PAGES]; /* virtual page -> physical page */
    bool running, physical, asked_to_run, listed;
    unsigned cpu, monitor_cpu;
    uint8_t port[256];
    uint32_t moved[MACHINE_CPUS]; /* steps made; all that `g` has to tell */
    unsigned phantoms;            /* so many steps more are answered, and not made */
    const char *port_error;       /* what `o` prints */

    /* what happened */
    char log[MACHINE_LOG_MOST][MACHINE_NOTE_SIZE]; /* packets, cut */
    unsigned logged, connects, bad;                /* bad: a byte other than 0x03 while it ran */

    /* misfortune */
    const char *die_at;             /* close when a packet begins with this */
    const char *mute_at;            /* never answer one that does */
    const char *answer_at, *answer; /* a reply in place of the right one */
    bool slow_status;               /* query-status is answered when that is taken back: */
    unsigned status_asked;          /* so often it was asked */
    struct task_cond status_turn;   /* woken at both */
};

/* Start listening; fills in gdb and qmp. */
void fake_machine_start(struct fake_machine *machine, struct ev_loop *loop);
/* Serve one connection after the other until fake_machine_stop. */
void fake_machine_serve(struct fake_machine *machine);
void fake_machine_stop(struct fake_machine *machine);
/* By another's hand: the events go to QMP. In a task; a halted one runs once its stub has read what
 * was sent to it. */
void fake_machine_run(struct fake_machine *machine, bool run);
/* The machine halts by itself, as at a breakpoint. */
void fake_machine_halt(struct fake_machine *machine, const char *reply);
/* How many packets that begin so were heard. */
unsigned fake_machine_count(const struct fake_machine *machine, const char *start);

#endif
