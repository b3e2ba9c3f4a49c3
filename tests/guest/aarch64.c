/* The machine under the guest: QEMU's "virt" with one Cortex-A57 at EL1. The map that it draws is
 * in README.md. */
#include "guest.h"

#define WINDOW     0x100000000u /* virtual */
#define RAM        0x41000000u  /* physical memory behind it */
#define DEVICES    0x140000000u
#define PL011      (DEVICES + 0x0000)
#define RTC        (DEVICES + 0x1000)
#define IDENTITY   0x40000000u         /* the gigabyte of RAM as it is */
#define HIGH       0xffffff8000000000u /* 2 MiB of RAM once more, high up */
#define NOWHERE    0x0f000000u         /* physical: nothing answers there */
#define LEVELS     3
#define INDEX_BITS 9
#define ENTRIES    (1u << INDEX_BITS)

typedef uint64_t entry;

/* descriptor bits: valid, table or page, attribute 1 is device memory, accessed, read-only, not for
 * EL0 */
enum { VALID = 1, TABLE = 2, DEVICE = 1 << 2, READ_ONLY = 1 << 7, ACCESSED = 1 << 10 };

const char machine_name[] = "aarch64";
void aarch64_main(void);

static entry pool[16][ENTRIES] __attribute__((aligned(4096)));
static unsigned pool_used;
static entry *low, *high;
static bool spinning;

static volatile uint32_t *reg(uint64_t address)
{
    return (volatile uint32_t *)address;
}

/* The UART and the interrupt controller at the addresses that hold before there is a map; the first
 * gigabyte stays as it is for them. */
#define UART  0x09000000u
#define GICD  0x08000000u
#define GICC  0x08010000u
#define TIMER 27 /* the virtual timer's private interrupt */

unsigned machine_cpu(void)
{
    return 0;
}

unsigned machine_cpus(void)
{
    return 1;
}

volatile struct mailbox *machine_mailbox(void)
{
    return (volatile struct mailbox *)(WINDOW + PAGE_MAILBOX);
}

int machine_get(void)
{
    return (*reg(UART + 0x18) & 0x10) == 0 ? (int)(*reg(UART) & 0xff) : -1;
}

void machine_put(char c)
{
    while ((*reg(UART + 0x18) & 0x20) != 0)
        ;
    *reg(UART) = (uint8_t)c;
}

/* The timer's interrupt ends wfi though it is masked in the processor. */
void machine_idle(void)
{
    uint64_t frequency;

    if (spinning)
        return;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    __asm__ volatile("msr cntv_tval_el0, %0; msr cntv_ctl_el0, %1; isb; wfi"
                     :
                     : "r"(frequency / 1000), "r"((uint64_t)1)
                     : "memory");
    __asm__ volatile("msr cntv_ctl_el0, xzr");
}

void machine_spin(bool on)
{
    spinning = on;
}

bool machine_run_on(unsigned cpu, void (*fn)(void *), void *argument)
{
    if (cpu != 0)
        return false;
    fn(argument);
    return true;
}

bool machine_in(unsigned size, uint16_t port, uint32_t *value)
{
    (void)size;
    (void)port;
    (void)value;
    return false;
}

bool machine_out(unsigned size, uint16_t port, uint32_t value)
{
    (void)size;
    (void)port;
    (void)value;
    return false;
}

void machine_sync_code(uint64_t address, size_t length)
{
    (void)address;
    (void)length;
    __asm__ volatile("ic iallu; dsb ish; isb" : : : "memory");
}

/* PSCI: the machine goes off; QEMU has no exit code for it. */
void machine_exit(uint32_t code)
{
    register uint64_t function __asm__("x0") = 0x84000008;

    (void)code;
    __asm__ volatile("hvc #0" : "+r"(function) : : "x1", "x2", "x3", "memory");
}

void machine_reset(void)
{
    register uint64_t function __asm__("x0") = 0x84000009;

    __asm__ volatile("hvc #0" : "+r"(function) : : "x1", "x2", "x3", "memory");
}

/* The entry of address in the table of that level (1: the last), made when it is not there. */
static entry *find(entry *table, uint64_t address, int level)
{
    for (int l = LEVELS;; l--) {
        entry *e = &table[address >> (12 + (l - 1) * INDEX_BITS) & (ENTRIES - 1)];
        if (l == level)
            return e;
        if ((*e & VALID) == 0)
            *e = (entry)(uintptr_t)pool[pool_used++] | VALID | TABLE;
        table = (entry *)(uintptr_t)(*e & 0xfffffffff000u);
    }
}

static void map(uint64_t address, uint64_t physical, entry flags)
{
    *find(low, address, 1) = physical | flags | ACCESSED | VALID | TABLE;
}

static void draw_map(void)
{
    low = pool[pool_used++];
    high = pool[pool_used++];
    *find(low, 0, 3) = 0 | DEVICE | ACCESSED | VALID;
    *find(low, IDENTITY, 3) = IDENTITY | ACCESSED | VALID;
    *find(high, HIGH, 2) = RAM | ACCESSED | VALID;
    map(WINDOW + PAGE_A, RAM, 0);
    map(WINDOW + PAGE_B, RAM + 0x3000, 0); /* not A's neighbour */
    map(WINDOW + PAGE_C, RAM + 0x1000, 0);
    map(WINDOW + PAGE_READ_ONLY, RAM + 0x4000, READ_ONLY);
    map(WINDOW + PAGE_PER_CPU, RAM + 0x5000, 0);
    map(WINDOW + PAGE_NOWHERE, NOWHERE, DEVICE);
    map(WINDOW + PAGE_FLIP, RAM + 0x7000, 0);
    map(WINDOW + PAGE_ROM, 0, 0);
    map(WINDOW + PAGE_MAILBOX, RAM + 0x9000, 0);
    map(WINDOW + PAGE_CODE, RAM + 0xa000, 0);
    map(PL011, UART, DEVICE);
    map(RTC, 0x09010000u, DEVICE);
}

static void forget_translations(void)
{
    __asm__ volatile("dsb ishst; tlbi vmalle1; dsb ish; isb" : : : "memory");
}

static bool in_window(uint64_t page)
{
    return page >= WINDOW && page < WINDOW + WINDOW_SIZE && page % PAGE_SIZE == 0;
}

bool machine_map(uint64_t page, uint64_t physical, bool writable)
{
    if (!in_window(page))
        return false;
    map(page, physical, writable ? 0 : READ_ONLY);
    forget_translations();
    return true;
}

bool machine_unmap(uint64_t page)
{
    if (!in_window(page))
        return false;
    *find(low, page, 1) = 0;
    forget_translations();
    return true;
}

static void enter_map(void)
{
    uint64_t attributes = 0x00ff;                     /* 0: normal, 1: device */
    uint64_t control = 25 | 25 << 16 | 2u << 30 |     /* both halves 39 bits of 4 KiB pages … */
                       1 << 8 | 1 << 10 | 3 << 12 |   /* … tables in cached memory … */
                       1 << 24 | 1 << 26 | 3u << 28 | /* … of both */
                       (uint64_t)1 << 32;             /* 36 bits of physical address */

    __asm__ volatile("msr mair_el1, %0; msr tcr_el1, %1; msr ttbr0_el1, %2; msr ttbr1_el1, %3; isb"
                     :
                     : "r"(attributes), "r"(control), "r"(low), "r"(high));
    forget_translations();
    __asm__ volatile("mrs %0, sctlr_el1; orr %0, %0, #1; msr sctlr_el1, %0; isb"
                     : "=&r"(control)
                     :
                     : "memory");
}

void aarch64_main(void)
{
    draw_map();
    enter_map();
    *reg(UART + 0x2c) = 0x70; /* the queue, all of it */
    *reg(GICD) = 1;
    *reg(GICD + 0x100) = 1u << TIMER;
    *reg(GICC + 4) = 0xff;
    *reg(GICC) = 1;
    guest_main();
}
