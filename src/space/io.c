/* The calls on I/O ports: what is refused before anything is sent, and accesses under way together.
 */
#include "space/core.h"
#include "space/flush.h"
#include "space/session.h"

#include "spacebridge/names.h"

#include "base/bytes.h"
#include "base/failure.h"

#include <inttypes.h>

#define PORT_SPACE_SIZE 0x10000u

/* One ReadIo or WriteIo, as its caller gave it. */
struct io_request {
    const char *name;
    int32_t interface_type;
    uint32_t bus;
    uint32_t address_space;
    uint64_t offset;
    uint32_t size;
};

static bool interface_has_ports(int32_t interface_type)
{
    switch (interface_type) {
    case SB_INTERFACE_INTERNAL:
    case SB_INTERFACE_ISA:
    case SB_INTERFACE_EISA:
    case SB_INTERFACE_PCI_BUS:
    case SB_INTERFACE_PNP_ISA_BUS:
    case SB_INTERFACE_PNP_BUS:
    case SB_INTERFACE_ACPI_BUS:
        return true;
    default:
        return false;
    }
}

/* Every refusal that needs no word from the target. Pure. why gets the reason, and none on S_OK. */
static HRESULT io_validate(const struct io_request *io, struct failure *why)
{
    if (io->address_space != 1)
        return failure_set(why, E_INVALIDARG, "AddressSpace is %" PRIu32 ", it must be 1",
                           io->address_space);
    if (!interface_type_name(io->interface_type))
        return failure_set(why, E_INVALIDARG, "InterfaceType %" PRId32 " is not in the enumeration",
                           io->interface_type);
    if (!interface_has_ports(io->interface_type))
        return failure_set(why, E_INVALIDARG,
                           "InterfaceType %s does not reach the processor's port space",
                           interface_type_name(io->interface_type));
    if (io->bus && io->interface_type != SB_INTERFACE_PCI_BUS)
        return failure_set(why, E_INVALIDARG, "BusNumber is %" PRIu32 ", it must be 0 for %s",
                           io->bus, interface_type_name(io->interface_type));
    if (io->size != 1 && io->size != 2 && io->size != 4)
        return failure_set(why, E_INVALIDARG, "the size is %" PRIu32 ", it must be 1, 2 or 4",
                           io->size);
    if (io->offset % io->size)
        return failure_set(why, SB_STATUS_DATATYPE_MISALIGNMENT,
                           "the port is not aligned to its size, %" PRIu32, io->size);
    if (io->offset > PORT_SPACE_SIZE - io->size)
        return failure_set(why, E_INVALIDARG, "the port space ends at 0xffff");
    return S_OK;
}

/* All refusals, before anything is sent that the guest could see. */
static HRESULT io_check(struct session *session, const struct io_request *io)
{
    struct target *target = session->space->target;
    struct failure why;

    session->message[0] = '\0';
    HRESULT hr = io_validate(io, &why);
    if (FAILED(hr))
        return session_fail(session, hr, "%s at port 0x%" PRIx64 ": %s", io->name, io->offset,
                            why.text);
    if (target->run->state(target) == TARGET_STATE_LOST)
        return session_fail(session, E_UNEXPECTED, "%s at port 0x%" PRIx64 ": %s", io->name,
                            io->offset, target_error_text(TARGET_GONE));
    if (!target->about->info(target)->ports)
        return session_fail(session, E_NOTIMPL,
                            "%s at port 0x%" PRIx64
                            ": this target has no port space that can be reached",
                            io->name, io->offset);
    if (io->bus) {
        bool present = false;
        enum target_error error =
            target->ports ? target->ports->has_pci_bus(target, session->client, io->bus, &present)
                          : TARGET_UNSUPPORTED;
        if (error)
            return session_fail(session, space_hresult(error, E_FAIL),
                                "%s at port 0x%" PRIx64
                                ": cannot tell whether there is a PCI bus %" PRIu32 " (%s)",
                                io->name, io->offset, io->bus, target_error_text(error));
        if (!present)
            return session_fail(session, E_INVALIDARG,
                                "%s at port 0x%" PRIx64 ": there is no PCI bus %" PRIu32, io->name,
                                io->offset, io->bus);
    }
    return S_OK;
}

static HRESULT io_finish(struct session *session, const struct io_request *io,
                         enum target_error error, HRESULT fault, const struct failure *failure,
                         uint32_t *done)
{
    if (error)
        return session_fail(session, space_hresult(error, fault), "%s at port 0x%" PRIx64 ": %s",
                            io->name, io->offset,
                            failure->text[0] ? failure->text : target_error_text(error));
    if (done)
        *done = io->size;
    return S_OK;
}

HRESULT session_read_io(struct session *session, int32_t interface_type, uint32_t bus,
                        uint32_t address_space, uint64_t offset, void *buffer, uint32_t size,
                        uint32_t *done)
{
    const struct io_request io = {"ReadIo", interface_type, bus, address_space, offset, size};
    struct target *target = session->space->target;
    uint8_t *bytes = buffer;
    struct failure failure = {0};
    uint32_t value = 0;

    if (done)
        *done = 0;
    HRESULT hr = io_check(session, &io);
    if (FAILED(hr))
        return hr;
    enum target_error error =
        target->ports
            ? target->ports->in(target, session->client, (uint16_t)offset, size, &value, &failure)
            : TARGET_UNSUPPORTED;
    if (!error)
        bytes_store(bytes, value, size, false);
    return io_finish(session, &io, error, SB_ERROR_READ_FAULT, &failure, done);
}

/* All that comes before the access. */
static HRESULT io_prepare_write(struct session *session, const struct io_request *io)
{
    HRESULT hr = io_check(session, io);

    return SUCCEEDED(hr) ? flush_before(session, io->name, io->offset) : hr;
}

HRESULT session_write_io(struct session *session, int32_t interface_type, uint32_t bus,
                         uint32_t address_space, uint64_t offset, const void *buffer, uint32_t size,
                         uint32_t *done)
{
    const struct io_request io = {"WriteIo", interface_type, bus, address_space, offset, size};
    struct target *target = session->space->target;
    const uint8_t *bytes = buffer;
    struct failure failure = {0};

    if (done)
        *done = 0;
    HRESULT hr = io_prepare_write(session, &io);
    if (FAILED(hr))
        return hr;
    enum target_error error =
        target->ports ? target->ports->out(target, session->client, (uint16_t)offset, size,
                                           (uint32_t)bytes_load(bytes, size, false), &failure)
                      : TARGET_UNSUPPORTED;
    session_device_written(session, WRITE_PHYSICAL);
    return io_finish(session, &io, error, SB_ERROR_WRITE_FAULT, &failure, done);
}

/* Several writes */

/* Writes that are under way together. */
#define TOGETHER_MOST 256u

static struct io_request io_of(const struct session_port_write *write)
{
    return (struct io_request){"WriteIo",     write->interface_type,
                               write->bus,    write->address_space,
                               write->offset, write->size};
}

/* How many there are, from the first on, that nothing speaks against, and about which the target
 * need not be asked. */
static size_t count_plain(const struct session_port_write *writes, size_t count)
{
    size_t plain = 0;

    while (plain < count && plain < TOGETHER_MOST) {
        const struct io_request io = io_of(&writes[plain]);
        if (io.bus || FAILED(io_validate(&io, NULL)))
            break;
        plain++;
    }
    return plain;
}

/* Plain writes, at most TOGETHER_MOST, after io_prepare_write. False: nothing was done. */
static bool write_together(struct session *session, const struct session_port_write *writes,
                           size_t count, struct target_port_write *out, struct failure *failure)
{
    struct target *target = session->space->target;

    failure_clear(failure);
    for (size_t i = 0; i < count; i++)
        out[i] = (struct target_port_write){
            .port = (uint16_t)writes[i].offset,
            .size = writes[i].size,
            .value = (uint32_t)bytes_load(writes[i].bytes, writes[i].size, false)};
    if (!target->ports || !target->ports->out_all ||
        target->ports->out_all(target, session->client, out, count, failure) == TARGET_UNSUPPORTED)
        return false;
    session_device_written(session, WRITE_PHYSICAL);
    return true;
}

size_t session_write_ports(struct session *session, const struct session_port_write *writes,
                           size_t count, session_port_written *written, void *context)
{
    struct target_port_write out[TOGETHER_MOST];
    struct failure failure;
    const struct target_ports *ports = session->space->target->ports;
    bool together = ports && ports->out_all, more = true;
    size_t at = 0;

    while (at < count && more) {
        const struct session_port_write *write = &writes[at];
        struct io_request io = io_of(write);
        size_t plain = together ? count_plain(write, count - at) : 0;
        uint32_t done = 0;
        HRESULT hr;
        if (plain < 2) {
            hr = session_write_io(session, io.interface_type, io.bus, io.address_space, io.offset,
                                  write->bytes, io.size, &done);
            more = written(context, at++, hr, done);
            continue;
        }
        /* What it finds of the first holds for all, but a flush that has failed is this one's. */
        hr = io_prepare_write(session, &io);
        if (FAILED(hr)) {
            more = written(context, at++, hr, 0);
            continue;
        }
        together = write_together(session, write, plain, out, &failure);
        for (size_t i = 0; i < plain && together; i++, at++) {
            io = io_of(&writes[at]);
            done = 0;
            session->message[0] = '\0';
            hr = io_finish(session, &io, out[i].error, SB_ERROR_WRITE_FAULT, &failure, &done);
            more = written(context, at, hr, done);
        }
    }
    return at;
}
