#include "space_fixture.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static void hear_flush_failed(void *context, HRESULT hr, const char *message)
{
    struct heard *heard = context;
    heard->flush_failed++;
    heard->hr = hr;
    snprintf(heard->message, sizeof(heard->message), "%s", message);
}

static void hear_state_changed(void *context, enum space_state state, const char *text)
{
    struct heard *heard = context;
    ck_assert_ptr_nonnull(text);
    heard->state_changed++;
    heard->state = state;
}

void machine_start(struct machine *machine, enum cache_policy policy, size_t cache_size)
{
    struct fake_target *fake = &machine->fake;
    struct space_config config = {policy, cache_size ? cache_size : SPACE_CACHE_SIZE_DEFAULT};
    struct session **session[MANY_SESSIONS] = {&machine->a, &machine->b, &machine->c};
    static const char *const name[MANY_SESSIONS] = {"rpc#1", "rpc#2", "rpc#3"};
    struct target_region *region;

    memset(machine, 0, sizeof(*machine));
    fake_init(fake);
    fake->info.processors = 2;
    fake_region(fake, REGION_RAM, RAM_BASE, 0x100000, "pc.ram");
    fake_region(fake, REGION_RAM, MIXED_BASE, 0x800, "small.ram");
    fake_region(fake, REGION_DEVICE, MIXED_BASE + 0x800, 0x800, "uart");
    fake_region(fake, REGION_ROM, ROM_BASE, 2 * PAGE, "pc.rom");
    fake_region(fake, REGION_RAM, EDGE_BASE, PAGE, "edge.ram");
    region = fake_region(fake, REGION_RAM, VRAM_BASE, 0x10000, "vga.vram");
    region->pci_bar = region->prefetchable = true;
    region = fake_region(fake, REGION_DEVICE, BAR_BASE, PAGE, "edu");
    region->pci_bar = true;
    fake_region(fake, REGION_DEVICE, HPET_BASE, 0x400, "hpet");
    region = fake_region(fake, REGION_DEVICE, LAPIC_BASE, PAGE, "apic-msi");
    region->unreachable = true;

    for (unsigned i = 0; i < 16; i++) {
        if (i != 8)
            fake_map(fake, 0, BASE + i * PAGE, RAM_AT + i * PAGE);
        /* The other processor sees the same addresses elsewhere. */
        fake_map(fake, 1, BASE + i * PAGE, RAM_AT + (i + 64) * PAGE);
    }
    fake_map(fake, 0, ALIAS, RAM_AT);
    fake_map(fake, 0, V_ROM, ROM_BASE);
    fake_map(fake, 0, V_HPET, HPET_BASE);
    fake_map(fake, 0, V_VRAM, VRAM_BASE);
    fake_map(fake, 0, V_MIXED, MIXED_BASE);
    fake_map(fake, 0, V_LAPIC, LAPIC_BASE);
    fake_map(fake, 0, V_HOLE, NOWHERE);
    fake_map(fake, 0, V_BAR, BAR_BASE);
    fake_map(fake, 0, V_TOP, TOP_AT);

    machine->space = space_new(&fake->base, &config);
    ck_assert_ptr_nonnull(machine->space);
    for (int i = 0; i < MANY_SESSIONS; i++) {
        struct session_listener listener = {&machine->heard[i], hear_flush_failed,
                                            hear_state_changed};
        *session[i] = session_open(machine->space, name[i], policy, &listener);
        ck_assert_ptr_nonnull(*session[i]);
    }
}

void machine_stop(struct machine *machine)
{
    struct session *session[MANY_SESSIONS] = {machine->a, machine->b, machine->c};
    for (int i = 0; i < MANY_SESSIONS; i++) {
        if (session[i])
            session_close(session[i]);
    }
    space_free(machine->space);
    fake_free(&machine->fake);
}

struct session_cache_status machine_status(struct session *session)
{
    struct session_cache_status status;
    assert_hr(session_get_cache_status(session, &status), S_OK);
    return status;
}

uint64_t dirty_bytes(struct session *session)
{
    return machine_status(session).dirty_bytes;
}

uint8_t *ram(struct machine *machine, uint64_t address)
{
    return fake_byte(&machine->fake, RAM_AT + (address - BASE));
}
