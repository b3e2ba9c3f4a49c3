/* The processor's port space. */
#include "upstream/upstream_ports.h"

#include "base/failure.h"
#include "upstream/link/monitor_text.h"
#include "upstream/translate/translate.h"
#include "upstream/upstream.h"
#include "upstream/ways/way.h"
#include "upstream/ways/ways.h"

static enum target_error access_port(struct upstream *upstream, struct way_port *access,
                                     struct failure *failure)
{
    enum target_error error = upstream_ready(upstream);
    if (error == TARGET_OK && !upstream->info.ports)
        error = TARGET_UNSUPPORTED;
    if (error != TARGET_OK)
        return failure_set(failure, error, "%s", target_error_text(error));
    ways_enter(upstream->ways);
    error = ways_port(upstream->ways, access, failure);
    ways_leave(upstream->ways);
    return error;
}

static enum target_error port_in(struct target *target, target_client client, uint16_t port,
                                 unsigned size, uint32_t *value, struct failure *failure)
{
    struct way_port access = {.client = client, .port = port, .size = size};
    if (!monitor_text_port_valid(port, size, 0))
        return failure_set(failure, TARGET_INVALID, "no such port access");
    enum target_error error = access_port(upstream_of(target), &access, failure);
    if (error == TARGET_OK)
        *value = access.value;
    return error;
}

static enum target_error port_out(struct target *target, target_client client, uint16_t port,
                                  unsigned size, uint32_t value, struct failure *failure)
{
    struct upstream *upstream = upstream_of(target);
    struct way_port access = {
        .client = client, .port = port, .size = size, .write = true, .value = value};
    if (!monitor_text_port_valid(port, size, value))
        return failure_set(failure, TARGET_INVALID, "no such port access");
    enum target_error error = access_port(upstream, &access, failure);
    translate_map_changed(upstream->translate);
    return error;
}

static enum target_error ports_out(struct target *target, target_client client,
                                   struct target_port_write *writes, size_t count,
                                   struct failure *failure)
{
    struct upstream *upstream = upstream_of(target);
    (void)client;
    if (!run_state_attached(&upstream->state) || !upstream->info.ports)
        return TARGET_UNSUPPORTED;
    ways_enter(upstream->ways);
    enum target_error error = ways_ports_out(upstream->ways, writes, count, failure);
    ways_leave(upstream->ways);
    if (error != TARGET_UNSUPPORTED)
        translate_map_changed(upstream->translate);
    return error;
}

static enum target_error has_pci_bus(struct target *target, target_client client, unsigned bus,
                                     bool *present)
{
    struct upstream *upstream = upstream_of(target);
    enum target_error error = upstream_ready(upstream);
    return error != TARGET_OK ? error
                              : translate_has_bus(upstream->translate, client, bus, present);
}

const struct target_ports upstream_ports = {
    .in = port_in,
    .out = port_out,
    .out_all = ports_out,
    .has_pci_bus = has_pci_bus,
};
