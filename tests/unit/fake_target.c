#include "fake_target.h"

#include "base/failure.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake_target *fake_of(struct target *target)
{
    return (struct fake_target *)target;
}

static void hook(struct fake_target *fake, enum fake_op op, bool after)
{
    if (fake->hook)
        fake->hook(fake->hook_context, op, after);
}

static void note(struct fake_target *fake, enum fake_op op, target_client client, unsigned cpu,
                 uint64_t address, size_t length, enum target_access access)
{
    if (fake->log_count == fake->log_capacity) {
        fake->log_capacity = fake->log_capacity ? fake->log_capacity * 2 : 64;
        fake->log = realloc(fake->log, fake->log_capacity * sizeof(*fake->log));
        ck_assert_ptr_nonnull(fake->log);
    }
    fake->log[fake->log_count++] = (struct fake_entry){op, client, cpu, address, length, access};
}

static enum target_error ready(const struct fake_target *fake)
{
    if (fake->state == TARGET_STATE_HALTED)
        return TARGET_OK;
    return fake->state == TARGET_STATE_RUNNING ? TARGET_RUNNING : TARGET_GONE;
}

/* The next run or port access: does it fail? */
static enum target_error countdown(struct fake_target *fake)
{
    if (fake->lose_after >= 0 && fake->lose_after-- == 0)
        fake_lose(fake);
    if (fake->state != TARGET_STATE_HALTED)
        return ready(fake);
    if (fake->fail_after >= 0 && fake->fail_after-- == 0)
        return fake->fail_error;
    return TARGET_OK;
}

static int region_at(const struct fake_target *fake, uint64_t physical)
{
    for (size_t i = 0; i < fake->regions; i++) {
        if (fake->region[i].first <= physical && physical <= fake->region[i].last)
            return (int)i;
    }
    return -1;
}

static void classify(const struct fake_target *fake, uint64_t physical, struct target_region *out)
{
    int index = region_at(fake, physical);
    if (index >= 0) {
        *out = fake->region[index];
        return;
    }
    memset(out, 0, sizeof(*out));
    out->kind = REGION_NONE;
    out->last = UINT64_MAX;
    for (size_t i = 0; i < fake->regions; i++) {
        if (fake->region[i].last < physical)
            out->first = fake->region[i].last + 1;
        if (fake->region[i].first > physical && fake->region[i].first - 1 < out->last)
            out->last = fake->region[i].first - 1;
    }
}

static const struct fake_mapping *mapping_of(const struct fake_target *fake, unsigned cpu,
                                             uint64_t page)
{
    for (size_t i = 0; i < fake->mappings; i++) {
        if (fake->mapping[i].cpu == cpu && fake->mapping[i].page == page)
            return &fake->mapping[i];
    }
    return NULL;
}

/* --- operations --- */

static enum target_state fake_state(struct target *target)
{
    return fake_of(target)->state;
}

static const struct target_info *fake_info(struct target *target)
{
    return &fake_of(target)->info;
}

static enum target_error fake_translate(struct target *target, target_client client, unsigned cpu,
                                        const uint64_t *pages, size_t count,
                                        struct target_translation *out)
{
    struct fake_target *fake = fake_of(target);
    enum target_error error;

    note(fake, FAKE_TRANSLATE, client, cpu, pages[0], count, 0);
    hook(fake, FAKE_TRANSLATE, false);
    error = ready(fake);
    if (error == TARGET_RUNNING && fake->translate_running)
        error = TARGET_OK;
    for (size_t i = 0; i < count && !error; i++) {
        ck_assert_uint_eq(pages[i] % TARGET_PAGE_SIZE, 0);
        const struct fake_mapping *mapping = mapping_of(fake, cpu, pages[i]);
        memset(&out[i], 0, sizeof(out[i]));
        if (!mapping) {
            out[i].error = TARGET_FAULT;
            continue;
        }
        out[i].physical = mapping->physical;
        classify(fake, mapping->physical, &out[i].region);
    }
    hook(fake, FAKE_TRANSLATE, true);
    return error;
}

static uint64_t fake_epoch(struct target *target)
{
    return fake_of(target)->epoch;
}

static enum target_error fake_classify(struct target *target, target_client client,
                                       uint64_t physical, struct target_region *out)
{
    struct fake_target *fake = fake_of(target);
    note(fake, FAKE_CLASSIFY, client, 0, physical, 0, 0);
    if (!fake->info.physical)
        return TARGET_UNSUPPORTED;
    classify(fake, physical, out);
    return TARGET_OK;
}

/* A write to the byte that is a page table. */
static void table_written(struct fake_target *fake, uint64_t physical)
{
    const struct fake_table_byte *byte = &fake->table_byte;
    if (byte->page && physical == byte->address)
        fake_map(fake, byte->cpu, byte->page, byte->physical);
}

/* One byte by a virtual access, as QEMU below 10.0 does it: a write to a device is lost, and nobody
 * says so. */
static enum target_error virtual_byte(struct fake_target *fake, unsigned cpu, uint64_t address,
                                      uint8_t *byte, bool write)
{
    const struct fake_mapping *mapping = mapping_of(fake, cpu, address & TARGET_PAGE_MASK);
    if (!mapping)
        return TARGET_FAULT;
    uint64_t physical = mapping->physical + address % TARGET_PAGE_SIZE;
    int index = region_at(fake, physical);
    if (index < 0)
        return TARGET_FAULT;
    bool memory = fake->region[index].kind == REGION_RAM || fake->region[index].kind == REGION_ROM;
    uint8_t *at = fake->memory[index] + (physical - fake->region[index].first);
    if (!write) {
        /* It would be a real access, of a width that nobody chose. */
        ck_assert_msg(memory, "virtual read of a device at 0x%llx", (unsigned long long)address);
        *byte = *at;
    } else if (memory) {
        *at = *byte;
        table_written(fake, physical);
    }
    return TARGET_OK;
}

static enum target_error transfer_virtual(struct target *target, enum fake_op op,
                                          target_client client, unsigned cpu,
                                          struct target_span *span, size_t count)
{
    struct fake_target *fake = fake_of(target);
    bool write = op == FAKE_WRITE_VIRTUAL;
    enum target_error first = TARGET_OK;

    hook(fake, op, false);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_gt(span[i].length, 0);
        ck_assert_uint_le(span[i].address % TARGET_PAGE_SIZE + span[i].length, TARGET_PAGE_SIZE);
        note(fake, op, client, cpu, span[i].address, span[i].length, 0);
        span[i].done = 0;
        span[i].error = countdown(fake);
        if (!span[i].error && !write && fake->read_limit && span[i].length > fake->read_limit)
            span[i].error = TARGET_FAULT;
        size_t end = span[i].error ? fake->fail_done : span[i].length;
        if (span[i].error == TARGET_RUNNING || span[i].error == TARGET_GONE || end > span[i].length)
            end = 0;
        while (span[i].done < end) {
            enum target_error error = virtual_byte(fake, cpu, span[i].address + span[i].done,
                                                   span[i].bytes + span[i].done, write);
            if (error) {
                span[i].error = error;
                break;
            }
            span[i].done++;
        }
        if (write && fake->epoch_on_write)
            fake->epoch++;
        if (!first)
            first = span[i].error;
    }
    hook(fake, op, true);
    return first;
}

static enum target_error fake_read_virtual(struct target *target, target_client client,
                                           unsigned cpu, struct target_span *span, size_t count)
{
    return transfer_virtual(target, FAKE_READ_VIRTUAL, client, cpu, span, count);
}

static enum target_error fake_write_virtual(struct target *target, target_client client,
                                            unsigned cpu, struct target_span *span, size_t count)
{
    return transfer_virtual(target, FAKE_WRITE_VIRTUAL, client, cpu, span, count);
}

static enum target_error transfer_physical(struct target *target, enum fake_op op,
                                           target_client client, enum target_access access,
                                           struct target_span *span, size_t count)
{
    struct fake_target *fake = fake_of(target);
    bool write = op == FAKE_WRITE_PHYSICAL;
    enum target_error first = TARGET_OK;

    hook(fake, op, false);
    for (size_t i = 0; i < count; i++) {
        uint64_t address = span[i].address;
        size_t length = span[i].length;
        span[i].done = 0;
        if (first && access == TARGET_ACCESS_NATURAL) {
            span[i].error = TARGET_CANCELLED;
            continue;
        }
        note(fake, op, client, 0, address, length, access);
        if (access == TARGET_ACCESS_NATURAL) {
            ck_assert(length == 1 || length == 2 || length == 4 || length == 8);
            ck_assert_uint_eq(address % length, 0);
        }
        span[i].error = countdown(fake);
        int index = region_at(fake, address);
        if (!span[i].error) {
            ck_assert_msg(index >= 0, "physical access to a hole at 0x%llx",
                          (unsigned long long)address);
            ck_assert_uint_le(length - 1, fake->region[index].last - address);
            ck_assert(!fake->region[index].unreachable);
            uint8_t *at = fake->memory[index] + (address - fake->region[index].first);
            if (write) {
                ck_assert_int_ne(fake->region[index].kind, REGION_ROM);
                memcpy(at, span[i].bytes, length);
                for (size_t byte = 0; byte < length; byte++)
                    table_written(fake, address + byte);
            } else {
                memcpy(span[i].bytes, at, length);
            }
            span[i].done = length;
        }
        if (write && fake->epoch_on_write)
            fake->epoch++;
        if (!first)
            first = span[i].error;
    }
    hook(fake, op, true);
    return first;
}

static enum target_error fake_read_physical(struct target *target, target_client client,
                                            enum target_access access, struct target_span *span,
                                            size_t count)
{
    return transfer_physical(target, FAKE_READ_PHYSICAL, client, access, span, count);
}

static enum target_error fake_write_physical(struct target *target, target_client client,
                                             enum target_access access, struct target_span *span,
                                             size_t count)
{
    return transfer_physical(target, FAKE_WRITE_PHYSICAL, client, access, span, count);
}

static enum target_error fake_port_in(struct target *target, target_client client, uint16_t port,
                                      unsigned size, uint32_t *value, struct failure *failure)
{
    struct fake_target *fake = fake_of(target);
    hook(fake, FAKE_PORT_IN, false);
    note(fake, FAKE_PORT_IN, client, 0, port, size, 0);
    enum target_error error = fake->state == TARGET_STATE_RUNNING ? TARGET_OK : countdown(fake);
    if (error == TARGET_FAILED)
        failure_set(failure, TARGET_FAILED, "the monitor printed: no");
    *value = 0;
    for (unsigned i = 0; i < size && !error; i++)
        *value |= (uint32_t)fake->ports[port + i] << (8 * i);
    return error;
}

static enum target_error fake_port_out(struct target *target, target_client client, uint16_t port,
                                       unsigned size, uint32_t value, struct failure *failure)
{
    struct fake_target *fake = fake_of(target);
    hook(fake, FAKE_PORT_OUT, false);
    note(fake, FAKE_PORT_OUT, client, 0, port, size, 0);
    enum target_error error = fake->state == TARGET_STATE_RUNNING ? TARGET_OK : countdown(fake);
    for (unsigned i = 0; i < size && !error; i++)
        fake->ports[port + i] = (uint8_t)(value >> (8 * i));
    if (fake->port_complaint)
        return failure_set(failure, TARGET_FAILED, "%s", fake->port_complaint);
    return error;
}

/* After the first that fails the way is lost: nothing is known of the rest. */
static enum target_error fake_ports_out(struct target *target, target_client client,
                                        struct target_port_write *writes, size_t count,
                                        struct failure *failure)
{
    struct fake_target *fake = fake_of(target);
    enum target_error error = TARGET_OK;
    if (!fake->ports_together)
        return TARGET_UNSUPPORTED;
    fake->together++;
    if (count > fake->together_most)
        fake->together_most = count;
    for (size_t i = 0; i < count; i++) {
        if (!error)
            error = fake_port_out(target, client, writes[i].port, writes[i].size, writes[i].value,
                                  failure);
        writes[i].error = error;
    }
    if (error)
        failure_set(failure, error, "the way was lost");
    return error;
}

static enum target_error fake_has_pci_bus(struct target *target, target_client client, unsigned bus,
                                          bool *present)
{
    struct fake_target *fake = fake_of(target);
    note(fake, FAKE_BUS, client, 0, bus, 0, 0);
    *present = bus < fake->pci_buses;
    return TARGET_OK;
}

static enum target_error fake_pointer_size(struct target *target, target_client client,
                                           unsigned cpu, unsigned *size)
{
    struct fake_target *fake = fake_of(target);
    note(fake, FAKE_POINTER_SIZE, client, cpu, 0, 0, 0);
    *size = fake->pointer_size;
    return ready(fake);
}

static void tell_state(struct fake_target *fake, enum target_state state, const char *text)
{
    fake->state = state;
    if (fake->listener && fake->listener->state_changed)
        fake->listener->state_changed(fake->listener->context, state, text);
}

void fake_memory_changed(struct fake_target *fake)
{
    fake->epoch++;
    if (fake->listener && fake->listener->memory_changed)
        fake->listener->memory_changed(fake->listener->context);
}

static enum target_error fake_resume(struct target *target, target_client client,
                                     enum target_resume how, unsigned cpu, struct failure *failure)
{
    struct fake_target *fake = fake_of(target);
    bool wrote = true;

    note(fake, FAKE_RESUME, client, cpu, 0, how, 0);
    for (int turn = 0; wrote; turn++) {
        if (ready(fake))
            return ready(fake);
        ck_assert_int_lt(turn, 100);
        wrote = false;
        if (fake->listener && fake->listener->before_resume &&
            !fake->listener->before_resume(fake->listener->context, client, &wrote, failure))
            return TARGET_FAILED;
        if (fake->resume_error)
            return fake->resume_error;
    }
    fake_memory_changed(fake);
    tell_state(fake, TARGET_STATE_RUNNING, "running");
    if (how == TARGET_RESUME_STEP)
        fake_halt(fake);
    return TARGET_OK;
}

static enum target_error fake_resume_packet(struct target *target, target_client client,
                                            uint64_t thread, const void *payload, size_t length,
                                            struct failure *failure)
{
    (void)thread, (void)payload, (void)length;
    return fake_resume(target, client, TARGET_RESUME_GO, 0, failure);
}

static enum target_error fake_interrupt(struct target *target, target_client client)
{
    struct fake_target *fake = fake_of(target);
    note(fake, FAKE_INTERRUPT, client, 0, 0, 0, 0);
    if (fake->state == TARGET_STATE_RUNNING)
        fake_halt(fake);
    return TARGET_OK;
}

static enum target_error fake_wait(struct target *target, target_client client, double timeout,
                                   const bool *cancel, char *text, size_t size)
{
    struct fake_target *fake = fake_of(target);
    note(fake, FAKE_WAIT, client, 0, 0, timeout < 0 ? SIZE_MAX : (size_t)(timeout * 1000), 0);
    hook(fake, FAKE_WAIT, false);
    if (fake->state == TARGET_STATE_LOST)
        return TARGET_GONE;
    if (fake->state == TARGET_STATE_HALTED) {
        snprintf(text, size, "halted");
        return TARGET_OK;
    }
    return *cancel ? TARGET_CANCELLED : TARGET_RUNNING;
}

static void fake_wait_cancel(struct target *target)
{
    (void)target;
}

static void fake_set_listener(struct target *target, const struct target_listener *listener)
{
    fake_of(target)->listener = listener;
}

static size_t fake_transports(struct target *target, struct target_transport *out, size_t most)
{
    struct fake_target *fake = fake_of(target);
    size_t count = fake->transports_count < most ? fake->transports_count : most;

    for (size_t i = 0; i < count; i++)
        out[i] = fake->transports[i];
    return count;
}

static const struct target_about about = {
    .info = fake_info,
    .set_listener = fake_set_listener,
    .transports = fake_transports,
};

static const struct target_memory memory = {
    .classify = fake_classify,
    .read_virtual = fake_read_virtual,
    .write_virtual = fake_write_virtual,
    .read_physical = fake_read_physical,
    .write_physical = fake_write_physical,
};

static const struct target_run run = {
    .state = fake_state,
    .resume = fake_resume,
    .interrupt = fake_interrupt,
    .wait = fake_wait,
    .wait_cancel = fake_wait_cancel,
    .resume_packet = fake_resume_packet,
};

static const struct target_processors processors = {
    .translate = fake_translate,
    .translation_epoch = fake_epoch,
    .pointer_size = fake_pointer_size,
};

static const struct target_ports ports = {
    .in = fake_port_in,
    .out = fake_port_out,
    .out_all = fake_ports_out,
    .has_pci_bus = fake_has_pci_bus,
};

/* --- for tests --- */

void fake_init(struct fake_target *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->base = (struct target){.about = &about,
                                 .memory = &memory,
                                 .run = &run,
                                 .processors = &processors,
                                 .ports = &ports};
    fake->state = TARGET_STATE_HALTED;
    fake->info.processors = 1;
    fake->info.pointer_size = fake->pointer_size = 8;
    fake->info.physical = fake->info.ports = true;
    fake->pci_buses = 1;
    fake->epoch = 1;
    fake->fail_after = fake->lose_after = -1;
    fake->fail_error = TARGET_FAULT;
}

void fake_free(struct fake_target *fake)
{
    for (size_t i = 0; i < fake->regions; i++)
        free(fake->memory[i]);
    free(fake->log);
}

struct target_region *fake_region(struct fake_target *fake, enum region_kind kind, uint64_t first,
                                  size_t size, const char *name)
{
    ck_assert_uint_lt(fake->regions, FAKE_REGIONS);
    struct target_region *region = &fake->region[fake->regions];
    region->first = first;
    region->last = first + (size - 1);
    region->kind = kind;
    snprintf(region->name, sizeof(region->name), "%s", name);
    fake->memory[fake->regions] = calloc(1, size);
    ck_assert_ptr_nonnull(fake->memory[fake->regions]);
    fake->regions++;
    return region;
}

void fake_unmap(struct fake_target *fake, unsigned cpu, uint64_t page)
{
    for (size_t i = 0; i < fake->mappings; i++) {
        if (fake->mapping[i].cpu == cpu && fake->mapping[i].page == page) {
            fake->mapping[i] = fake->mapping[--fake->mappings];
            break;
        }
    }
    fake->epoch++;
}

void fake_map(struct fake_target *fake, unsigned cpu, uint64_t page, uint64_t physical)
{
    fake_unmap(fake, cpu, page);
    ck_assert_uint_lt(fake->mappings, FAKE_PAGES);
    fake->mapping[fake->mappings++] = (struct fake_mapping){cpu, page, physical};
}

uint8_t *fake_byte(struct fake_target *fake, uint64_t physical)
{
    int index = region_at(fake, physical);
    ck_assert_int_ge(index, 0);
    return fake->memory[index] + (physical - fake->region[index].first);
}

void fake_clear_log(struct fake_target *fake)
{
    fake->log_count = 0;
}

size_t fake_count(const struct fake_target *fake, enum fake_op op)
{
    size_t count = 0;
    for (size_t i = 0; i < fake->log_count; i++)
        count += fake->log[i].op == op;
    return count;
}

const struct fake_entry *fake_nth(const struct fake_target *fake, enum fake_op op, size_t nth)
{
    for (size_t i = 0; i < fake->log_count; i++) {
        if (fake->log[i].op == op && !nth--)
            return &fake->log[i];
    }
    ck_abort_msg("no such operation was asked for");
    return NULL;
}

size_t fake_traffic(const struct fake_target *fake)
{
    return fake->log_count - fake_count(fake, FAKE_CLASSIFY);
}

void fake_resume_by_others(struct fake_target *fake)
{
    fake_memory_changed(fake);
    tell_state(fake, TARGET_STATE_RUNNING, "resumed by others");
}

void fake_halt(struct fake_target *fake)
{
    tell_state(fake, TARGET_STATE_HALTED, "halted");
}

void fake_lose(struct fake_target *fake)
{
    if (fake->listener && fake->listener->lost)
        fake->listener->lost(fake->listener->context, "it hung up");
    tell_state(fake, TARGET_STATE_LOST, "lost");
    fake_memory_changed(fake);
}

void fake_return(struct fake_target *fake)
{
    fake_memory_changed(fake);
    tell_state(fake, TARGET_STATE_HALTED, "attached again");
}
