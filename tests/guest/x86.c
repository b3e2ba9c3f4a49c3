/* The machine under the guest: a PC with one or two processors, in 32-bit protected mode with
 * paging or in long mode. The map that it draws is in README.md. */
#include "guest.h"

#define WINDOW     0x40000000u /* virtual */
#define RAM        0x01000000u /* physical memory behind it */
#define BULK       0x40400000u /* virtual: 4 MiB of large pages … */
#define BULK_RAM   0x01400000u /* … and what is behind them */
#define BULK_SIZE  0x00400000u
#define DEVICES    0x50000000u
#define HPET       (DEVICES + 0x0000)
#define IO_APIC    (DEVICES + 0x1000)
#define LOCAL_APIC (DEVICES + 0x2000)
#define EDU        (DEVICES + 0x3000)
#define TESTDEV    (DEVICES + 0x4000)
#define FRAME      (DEVICES + 0x100000) /* first 64 KiB of the VGA's frame buffer */
#define FRAME_SIZE 0x10000u
#define IDENTITY   0x02000000u /* 32 MiB as they are */
#define NOWHERE    0x30000000u /* physical: nothing answers there */

#ifdef __x86_64__
typedef uint64_t entry;
#define LEVELS     4
#define INDEX_BITS 9
#define HIGH       0xffff800000000000u /* 2 MiB of RAM once more, high up */
#define HIGH_SIZE  0x200000u
#define TOP        0xfffffffffffff000u /* the last page of all */
const char machine_name[] = "x86_64";
#else
typedef uint32_t entry;
#define LEVELS     2
#define INDEX_BITS 10
#define HIGH       0xc0000000u
#define HIGH_SIZE  0x400000u
#define TOP        0xfffff000u
const char machine_name[] = "i386";
#endif
#define LARGE_SHIFT (12 + INDEX_BITS)
#define ENTRIES     (1u << INDEX_BITS)

enum { PRESENT = 1, WRITABLE = 2, NO_CACHE = 0x10, LARGE = 0x80 };
enum { COM1 = 0x3f8, DEBUG_EXIT = 0xf4, TIMER_VECTOR = 32, SPURIOUS_VECTOR = 255 };

extern char trampoline_begin[], trampoline_end[], fault_stubs[], timer_stub[], spurious_stub[];
void x86_main(unsigned cpu);
_Noreturn void x86_fault(unsigned vector, uintptr_t where);

static entry pool[80][ENTRIES] __attribute__((aligned(4096)));
static unsigned pool_used;
static entry *root[MAX_CPUS];
static volatile unsigned cpus_up = 1;
static volatile bool spinning;

/* A command handed to the second processor. */
static struct {
    void (*fn)(void *);
    void *argument;
    volatile bool wanted;
} handed;

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

bool machine_in(unsigned size, uint16_t port, uint32_t *value)
{
    uint16_t half;

    switch (size) {
    case 1:
        *value = inb(port);
        return true;
    case 2:
        __asm__ volatile("inw %1, %0" : "=a"(half) : "Nd"(port));
        *value = half;
        return true;
    case 4:
        __asm__ volatile("inl %1, %0" : "=a"(*value) : "Nd"(port));
        return true;
    }
    return false;
}

bool machine_out(unsigned size, uint16_t port, uint32_t value)
{
    switch (size) {
    case 1:
        outb(port, (uint8_t)value);
        return true;
    case 2:
        __asm__ volatile("outw %0, %1" : : "a"((uint16_t)value), "Nd"(port));
        return true;
    case 4:
        __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
        return true;
    }
    return false;
}

static volatile uint32_t *lapic(unsigned offset)
{
    return (volatile uint32_t *)(uintptr_t)(LOCAL_APIC + offset);
}

/* Two local APICs, two numbers; before there is a map only the first processor runs. */
unsigned machine_cpu(void)
{
    return root[0] == NULL ? 0 : *lapic(0x20) >> 24 & (MAX_CPUS - 1);
}

unsigned machine_cpus(void)
{
    return cpus_up;
}

volatile struct mailbox *machine_mailbox(void)
{
    return (volatile struct mailbox *)(uintptr_t)(WINDOW + PAGE_MAILBOX);
}

int machine_get(void)
{
    return (inb(COM1 + 5) & 1) != 0 ? inb(COM1) : -1;
}

void machine_put(char c)
{
    while ((inb(COM1 + 5) & 0x20) == 0)
        ;
    outb(COM1, (uint8_t)c);
}

void machine_idle(void)
{
    if (spinning)
        __asm__ volatile("pause");
    else
        __asm__ volatile("sti; hlt");
}

void machine_spin(bool on)
{
    spinning = on;
}

void machine_exit(uint32_t code)
{
    outb(DEBUG_EXIT, (uint8_t)code);
}

void machine_reset(void)
{
    outb(0x64, 0xfe);
}

void machine_sync_code(uint64_t address, size_t length)
{
    (void)address;
    (void)length;
}

/* paging */

/* The entry of address in the table of that level (1: the last), made when it is not there. */
static entry *find(entry *table, uint64_t address, int level)
{
    for (int l = LEVELS;; l--) {
        entry *e = &table[address >> (12 + (l - 1) * INDEX_BITS) & (ENTRIES - 1)];
        if (l == level)
            return e;
        if ((*e & PRESENT) == 0)
            *e = (entry)(uintptr_t)pool[pool_used++] | PRESENT | WRITABLE;
        table = (entry *)(uintptr_t)(*e & ~(entry)0xfff);
    }
}

static void map(entry *table, uint64_t address, uint64_t physical, uint64_t size, entry flags)
{
    for (uint64_t at = 0; at < size; at += PAGE_SIZE)
        *find(table, address + at, 1) = (entry)(physical + at) | flags | PRESENT;
}

static void map_large(entry *table, uint64_t address, uint64_t physical, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += (uint64_t)1 << LARGE_SHIFT)
        *find(table, address + at, 2) = (entry)(physical + at) | PRESENT | WRITABLE | LARGE;
}

/* What another processor changed in the tables counts from here. */
static void reload(void)
{
    uintptr_t cr3;

    __asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
}

static entry *draw_map(unsigned cpu, uint32_t edu, uint32_t testdev, uint32_t frame)
{
    entry *table = pool[pool_used++];

    map(table, 0, 0, IDENTITY, WRITABLE);
    map(table, WINDOW + PAGE_A, RAM, PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_B, RAM + 0x3000, PAGE_SIZE, WRITABLE); /* not A's neighbour */
    map(table, WINDOW + PAGE_C, RAM + 0x1000, PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_READ_ONLY, RAM + 0x4000, PAGE_SIZE, 0);
    map(table, WINDOW + PAGE_PER_CPU, RAM + (cpu == 0 ? 0x5000 : 0x6000), PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_NOWHERE, NOWHERE, PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_FLIP, RAM + 0x7000, PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_ROM, 0xfffff000u, PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_MAILBOX, RAM + 0x9000, PAGE_SIZE, WRITABLE);
    map(table, WINDOW + PAGE_CODE, RAM + 0xa000, PAGE_SIZE, WRITABLE);
    map(table, HPET, 0xfed00000u, PAGE_SIZE, WRITABLE | NO_CACHE);
    map(table, IO_APIC, 0xfec00000u, PAGE_SIZE, WRITABLE | NO_CACHE);
    map(table, LOCAL_APIC, 0xfee00000u, PAGE_SIZE, WRITABLE | NO_CACHE);
    if (edu != 0)
        map(table, EDU, edu, PAGE_SIZE, WRITABLE | NO_CACHE);
    if (testdev != 0)
        map(table, TESTDEV, testdev, PAGE_SIZE, WRITABLE | NO_CACHE);
    if (frame != 0)
        map(table, FRAME, frame, FRAME_SIZE, WRITABLE);
    map(table, TOP, RAM + 0xb000, PAGE_SIZE, WRITABLE);
    map_large(table, BULK, BULK_RAM, BULK_SIZE);
    map_large(table, HIGH, RAM, HIGH_SIZE);
    return table;
}

static bool in_window(uint64_t page)
{
    return page >= WINDOW && page < WINDOW + WINDOW_SIZE && page % PAGE_SIZE == 0;
}

bool machine_map(uint64_t page, uint64_t physical, bool writable)
{
    if (!in_window(page))
        return false;
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
        map(root[cpu], page, physical, PAGE_SIZE, writable ? WRITABLE : 0);
    reload();
    return true;
}

bool machine_unmap(uint64_t page)
{
    if (!in_window(page))
        return false;
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
        *find(root[cpu], page, 1) = 0;
    reload();
    return true;
}

static void enter_map(unsigned cpu)
{
    uintptr_t cr = (uintptr_t)root[cpu];

#ifndef __x86_64__
    uintptr_t cr4;
    __asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4" : "=&r"(cr4)); /* PSE */
#endif
    __asm__ volatile("mov %0, %%cr3" : : "r"(cr) : "memory");
#ifndef __x86_64__
    __asm__ volatile("mov %%cr0, %0; or $0x80010000, %0; mov %0, %%cr0" /* PG, WP */
                     : "=&r"(cr)
                     :
                     : "memory");
#endif
}

/* interrupts: the local timer wakes a resting processor, exceptions end a command */

struct gate {
    uint16_t low, selector, type, middle;
#ifdef __x86_64__
    uint32_t high, reserved;
#endif
};
static struct gate idt[256] __attribute__((aligned(16)));

static void set_gate(unsigned vector, const char *stub)
{
    uintptr_t at = (uintptr_t)stub;

    idt[vector].low = (uint16_t)at;
    idt[vector].middle = (uint16_t)(at >> 16);
    idt[vector].type = 0x8e00;
#ifdef __x86_64__
    idt[vector].selector = 0x18;
#else
    idt[vector].selector = 0x08;
#endif
}

static void enter_interrupts(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uintptr_t base;
    } pointer = {sizeof idt - 1, (uintptr_t)idt};

    __asm__ volatile("lidt %0" : : "m"(pointer));
    *lapic(0xf0) = 0x100 | SPURIOUS_VECTOR;
    *lapic(0x3e0) = 0xb;                    /* undivided */
    *lapic(0x320) = 0x20000 | TIMER_VECTOR; /* periodic … */
    *lapic(0x380) = 1000000;                /* … each millisecond on QEMU's clock */
}

_Noreturn void x86_fault(unsigned vector, uintptr_t where)
{
    guest_fault(vector, where);
}

/* PCI */

static uint32_t pci_read(unsigned device, unsigned offset)
{
    uint32_t value;

    machine_out(4, 0xcf8, 0x80000000u | device << 11 | offset);
    machine_in(4, 0xcfc, &value);
    return value;
}

/* The address of a memory BAR of the first device of that name (device and vendor), or 0. */
static uint32_t pci_bar(uint32_t name, unsigned bar)
{
    for (unsigned device = 0; device < 32; device++)
        if (pci_read(device, 0) == name)
            return pci_read(device, 0x10 + 4 * bar) & ~0xfu;
    return 0;
}

/* processors */

static void delay(unsigned turns)
{
    while (turns-- > 0)
        inb(0x80);
}

static void start_second(void)
{
    memcpy((void *)(uintptr_t)0x8000, trampoline_begin,
           (size_t)(trampoline_end - trampoline_begin));
    *lapic(0x310) = 1u << 24;
    *lapic(0x300) = 0x4500; /* INIT */
    delay(2000);
    *lapic(0x310) = 1u << 24;
    *lapic(0x300) = 0x4608; /* start-up at 0x8000 */
    for (unsigned turn = 0; turn < 100000 && cpus_up == 1; turn++)
        delay(1);
}

bool machine_run_on(unsigned cpu, void (*fn)(void *), void *argument)
{
    if (cpu >= cpus_up)
        return false;
    if (cpu == machine_cpu()) {
        fn(argument);
        return true;
    }
    handed.fn = fn;
    handed.argument = argument;
    handed.wanted = true;
    while (handed.wanted)
        __asm__ volatile("pause" : : : "memory");
    return true;
}

static _Noreturn void second_main(void)
{
    cpus_up = 2;
    for (;;) {
        reload();
        if (handed.wanted) {
            handed.fn(handed.argument);
            handed.wanted = false;
        }
        guest_beat(1);
        machine_idle();
    }
}

void x86_main(unsigned cpu)
{
    if (cpu == 0) {
        uint32_t edu = pci_bar(0x11e81234, 0);
        uint32_t testdev = pci_bar(0x00051b36, 0);
        uint32_t frame = pci_bar(0x11111234, 0);
        outb(0x21, 0xff); /* no interrupts but the local timers' */
        outb(0xa1, 0xff);
        outb(COM1 + 1, 0);
        outb(COM1 + 2, 0xc1); /* the queue, all of it */
        for (unsigned i = 0; i < MAX_CPUS; i++)
            root[i] = draw_map(i, edu, testdev, frame);
        for (unsigned vector = 0; vector < 32; vector++)
            set_gate(vector, fault_stubs + 32 * vector);
        set_gate(TIMER_VECTOR, timer_stub);
        set_gate(SPURIOUS_VECTOR, spurious_stub);
        enter_map(0);
        guest_print("* bars edu=0x%x testdev=0x%x frame=0x%x\n", (uint64_t)edu, (uint64_t)testdev,
                    (uint64_t)frame);
    } else {
        enter_map(cpu);
    }
    enter_interrupts();
    if (cpu != 0)
        second_main();
    start_second();
    guest_main();
}
