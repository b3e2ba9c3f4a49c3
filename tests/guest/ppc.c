/* The machine under the guest: QEMU's "bamboo", a big-endian PowerPC 440 with 4-byte pointers. It
 * keeps the map it starts with, everything as it is, so there is no window: RAM is used at its own
 * addresses. */
#include "guest.h"

#define UART    0xef600300u
#define MAILBOX 0x01009000u

const char machine_name[] = "ppc";
void ppc_main(void);

static volatile uint8_t *uart(unsigned offset)
{
    return (volatile uint8_t *)(uintptr_t)(UART + offset);
}

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
    return (volatile struct mailbox *)(uintptr_t)MAILBOX;
}

int machine_get(void)
{
    return (*uart(5) & 1) != 0 ? *uart(0) : -1;
}

void machine_put(char c)
{
    while ((*uart(5) & 0x20) == 0)
        ;
    *uart(0) = (uint8_t)c;
}

void machine_idle(void)
{
}

void machine_spin(bool on)
{
    (void)on;
}

bool machine_run_on(unsigned cpu, void (*fn)(void *), void *argument)
{
    if (cpu != 0)
        return false;
    fn(argument);
    return true;
}

bool machine_map(uint64_t page, uint64_t physical, bool writable)
{
    (void)page;
    (void)physical;
    (void)writable;
    return false;
}

bool machine_unmap(uint64_t page)
{
    (void)page;
    return false;
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
    for (uint64_t at = address & ~(uint64_t)31; at < address + length; at += 32)
        __asm__ volatile("dcbst 0, %0; icbi 0, %0" : : "r"((uintptr_t)at) : "memory");
    __asm__ volatile("sync; isync" : : : "memory");
}

void machine_exit(uint32_t code)
{
    (void)code;
}

void machine_reset(void)
{
}

void ppc_main(void)
{
    *uart(2) = 0xc1; /* the queue, all of it */
    guest_main();
}
